"""Plan: what each stage depends on, computed at every run and written down for DVC to compare.

DVC knows files, not imports. This stage resolves the run's file, follows the imports of whatever will run and hashes
the data that cohorts name; the other stages depend on the files that it writes and on each other's results.
"""

from __future__ import annotations

import json
from typing import Any

from protocols.files import write_text_whole
from suite.engine import keys
from suite.engine.contract import tested
from suite.engine.data_hash import keep_hashes
from suite.engine.import_names import keep_names
from suite.engine.read import refuse_missing
from suite.engine.run import Run
from suite.engine.weights_check import run_weights
from suite.places import PLAN


def run_plan(run: Run) -> None:
    """Write ``runs/plan/<stage>.json``; only a stage whose content changed will run.

    First every named file of weights is seen to fit: nothing is fitted behind one that does not.
    """
    run_weights(run)
    stages = {
        "read": _read(run),
        "ask": _ask(run),
        "predict": _predict(run),
        "check": {entry.name: keys.of_check(run, entry) for entry in tested(run)},
        "score": _score(run),
        "report": _report(run),
    }
    for name, told in stages.items():
        write_text_whole(PLAN / f"{name}.json", json.dumps(told, indent=1, sort_keys=True) + "\n")
    keep_hashes()
    keep_names()


def _read(run: Run) -> dict[str, Any]:
    for request in run.cohorts:
        refuse_missing(request)
    return {f"{request.task}/{request.name}": keys.of_cohort(run, request) for request in run.cohorts}


def _ask(run: Run) -> dict[str, Any]:
    told: dict[str, Any] = {
        "boards": [vars(board) for _, board in run.fit_boards] + [vars(board) for board in run.boards]
    }
    for protocol in {**run.fitting, **run.protocols}.values():
        told[protocol.name] = {"split": keys.of_split(run, protocol), "audit": keys.of_audit(run, protocol)}
    for task in run.tasks:
        for name, request in run.requests(task, auditing=True).items():
            told[f"{task}/{name}"] = keys.audited_alone(request)
    return told


def _predict(run: Run) -> dict[str, Any]:
    told: dict[str, Any] = {"seeds": list(run.config.seeds), "not asked": run.not_asked}
    for protocol, board in run.fit_boards:
        request = run.requests(protocol.task)[board.fitted_on]
        task = run.tasks[protocol.task]
        for entry in run.models_of(protocol.task):
            for seed in run.config.seeds:
                key = keys.of_fit(run, protocol, entry, request, seed)
                if entry.card.encoder:
                    key["encoder"] = keys.of_embedding(run, task, entry.card.encoder, "", seed)
                if "oracle" in entry.card.needs:
                    key["truth"] = [keys.of_truth(one) for one in run.requests(protocol.task).values()]
                told[f"{protocol.name}/{board.name}/{entry.name}/{seed}"] = key
    for task in run.tasks.values():
        if task.derive is not None:
            told[f"derived/{task.name}"] = [keys.of_derived(task, r) for r in run.requests(task.name).values()]
    return told


def _score(run: Run) -> dict[str, Any]:
    told: dict[str, Any] = {"models": list(run.config.models)}
    for board in run.boards:
        protocol = run.protocols[board.protocol]
        request = run.requests(protocol.task)[board.cohort]
        told[f"{protocol.name}/{board.name}"] = keys.of_score(run, protocol, request)
        if run.tasks[protocol.task].average is not None:
            told[f"{protocol.name}/average"] = keys.of_average(run, protocol)
    return told


def _report(run: Run) -> dict[str, Any]:
    return {
        **keys.of_report(run),
        "models": list(run.config.models),
        "seed": run.config.seed,
        "contract": run.config.contract,
    }
