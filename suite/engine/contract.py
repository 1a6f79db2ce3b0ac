"""Check: the contract tests of every listed model; their results stand beside the ranks, and none stops a run.

A model is tested on the made-up data of its task, with the smallest sizes and one thread, and with the weights of the
run's file where it is somebody's own. A result is kept by the key of the model's code and of the tests'.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from protocols.contract_checks import CONTRACT_FILE, KIND, CheckResult
from protocols.errors import UserError
from protocols.files import write_text_whole
from protocols.progress import steps
from protocols.sealed import is_sealed
from suite.engine import keys, store
from suite.engine.checking import CheckItem, check_job, one_code
from suite.engine.locks import locked
from suite.engine.run import ModelEntry, Run
from suite.engine.store import digest, forget_others, kept, made, placed
from suite.places import CACHE, CHECKS, check_folder
from suite.workers import Job, run_jobs

ENDED = "the process that tests it lives on"


def run_check(run: Run) -> None:
    """Write ``runs/checks`` of every listed model whose task is asked."""
    entries = tested(run)
    of = {entry.name: {"key": digest(keys.of_check(run, entry))} for entry in entries}
    folders = {entry.name: kept("contract", entry.name, key=of[entry.name]["key"]) for entry in entries}
    with locked(CACHE / "contract"):  # another run at once tests some of them: it is waited for
        waiting = [entry for entry in entries if not is_sealed(folders[entry.name])]
        with steps(len(waiting), f"contract tests of {len(waiting)} models") as report:
            for number, (name, results) in enumerate(_results(run, waiting)):
                _keep(folders[name], of[name], name, results)
                report(number + 1)
    for entry in entries:
        forget_others(folders[entry.name])
        placed(folders[entry.name], check_folder(entry.name), KIND)
    store.remove_others(CHECKS, "*", [check_folder(entry.name) for entry in entries])


def tested(run: Run) -> list[ModelEntry]:
    return [entry for entry in run.models.values() if entry.card.task in run.tasks]


def _results(run: Run, waiting: list[ModelEntry]) -> Iterator[tuple[str, list[CheckResult]]]:
    inside = [Job(item, weight=_weight(run, item)) for item in _items(run, [one for one in waiting if not one.outside])]
    for _, answer in run_jobs(check_job, inside, run.config.workers):
        yield from answer
    for entry in waiting:
        if not entry.outside:
            continue
        item = CheckItem(run.told(), run.root, (entry.name,), keys.contract_settings(run, entry))
        try:
            for _, answer in run_jobs(check_job, [Job(item, alone=True)], 1):
                yield from answer
        except UserError as died:  # its process ended, whatever it did: that is its result, and no other model's
            yield entry.name, [CheckResult(ENDED, died.what)]


def _items(run: Run, entries: list[ModelEntry]) -> list[CheckItem]:
    """Built-in models, those of one code together."""
    from baselines.registry import load_model_class

    groups: dict[object, list[ModelEntry]] = {}
    for entry in entries:
        code = one_code(load_model_class(entry.name, run.config.adapters, run.root))
        groups.setdefault(code, []).append(entry)
    return [
        CheckItem(run.told(), run.root, tuple(one.name for one in group), keys.contract_settings(run, group[0]))
        for group in groups.values()
    ]


def _weight(run: Run, item: CheckItem) -> float:
    return 10.0 if run.models[item.models[0]].card.encoder else 1.0


def _keep(folder: Path, of: dict[str, str], name: str, results: list[CheckResult]) -> None:
    told = {"model": name, "checks": [asdict(one) for one in results]}

    def make(part: Path) -> None:
        write_text_whole(part / CONTRACT_FILE, json.dumps(told, indent=1, sort_keys=True) + "\n")

    made(folder, KIND, of, make)
