"""Score: every cell of every board, kept by all that a score depends on; then the averages over cohorts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from protocols.files import write_text_whole
from protocols.progress import steps
from protocols.protocol import Board, Protocol
from protocols.records import AVERAGE, ScoreRecord
from protocols.sealed import is_sealed, read_seal
from suite.engine import keys, store
from suite.engine.averaged import averaged
from suite.engine.questions import hashes_of, question_of, split_hash
from suite.engine.run import Run
from suite.engine.scoring import RECORD, ScoreItem, fill_average, score_cell
from suite.engine.store import digest, forget_others, kept, made, placed
from suite.places import METRICS, SCORES, answers_folder, found, score_folder
from suite.workers import Job, run_jobs


def run_score(run: Run, *, prune: bool = False) -> None:
    """Write ``runs/scores/<protocol>/<board>/<model>/seed<k>`` and ``runs/metrics/<protocol>.json``.

    ``prune``: cells of earlier run files are removed.
    """
    items = [item for board in run.boards for item in items_of(run, board)]
    score_items(run, items)
    placed_at = {_place(item): item.folder for item in items}
    for out, folder in placed_at.items():
        placed(folder, out, RECORD)
        forget_others(folder)
    averages = [out for protocol in run.protocols.values() for out in average(run, protocol)]
    if prune:
        store.remove_others(SCORES, "*/*/*/*", {*placed_at, *averages})
    for protocol in run.protocols.values():
        text = json.dumps(metrics_of(protocol, run.config.seed), indent=1, sort_keys=True) + "\n"
        write_text_whole(METRICS / f"{protocol.name}.json", text)


def score_items(run: Run, items: list[ScoreItem]) -> None:
    missing = [item for item in items if not is_sealed(item.folder)]
    with steps(len(missing), f"scoring {len(missing)} of {len(items)} cells") as report:
        for number, _ in enumerate(run_jobs(score_cell, [Job(item) for item in missing], run.config.workers)):
            report(number + 1)


def items_of(run: Run, board: Board, only: tuple[str, ...] = ()) -> list[ScoreItem]:
    """The cells of a board: the listed models of its task, and the controls that scoring makes; ``only``: of these."""
    protocol = run.protocols[board.protocol]
    fitter = run.fitting[protocol.answered_by or protocol.name]
    question = question_of(run, protocol, board)
    request = run.requests(protocol.task)[board.cohort]
    of = {"split": split_hash(fitter, board.fitted_on), **hashes_of(question)}
    for name in (board.fitted_on, *question.companions):
        of[f"key {name}"] = digest(keys.of_score(run, protocol, run.requests(protocol.task)[name]))
    of["key"] = digest(keys.of_score(run, protocol, request) | {"board": board.name})
    config, items = run.told(protocol.name), []

    def item(model: str, seed: int, answers: Path | None, made_of: dict[str, str]) -> ScoreItem:
        name = (protocol.name, board.name, f"{model}.seed{seed}")
        folder = kept("scores", *name, key=digest(made_of))
        return ScoreItem(
            config, run.root, protocol.name, board.name, model, seed, answers, folder, tuple(made_of.items())
        )

    for entry in run.models_of(protocol.task):
        for seed in run.config.seeds if not only or entry.name in only else ():
            answers = answers_folder(
                fitter.name, board.fitted_on if protocol.answered_by else board.name, entry.name, seed
            )
            items.append(item(entry.name, seed, answers, of | {"predictions": read_seal(answers, "answers").hash}))
    for card in protocol.controls:
        if not only or card.name in only:
            items.append(item(card.name, run.config.seed, None, of | {"control": card.name}))
    return items


def average(run: Run, protocol: Protocol) -> list[Path]:
    """The board of the mean over the cohorts of the task's setting ``average``, for models scored on all of them."""
    task = run.tasks[protocol.task]
    names = averaged(run, protocol)
    if task.average is None or not names:
        return []
    outs = []
    for entry in run.models_of(protocol.task):
        for seed in run.config.seeds:
            folders = {name: score_folder(protocol.name, name, entry.name, seed) for name in names}
            records = {name: ScoreRecord.read(folder) for name, folder in folders.items()}
            if any(record.status != "scored" for record in records.values()):
                continue
            hashes = {name: read_seal(folder, RECORD).hash for name, folder in folders.items()}
            of = hashes | {"key": digest(keys.of_average(run, protocol))}
            joined = {
                key: "+".join(records[name].hashes.get(key, "") for name in names)
                for key in ("cohort", "split", "predictions")
            }
            parts = {name: (records[name], folders[name]) for name in names}
            folder = kept("scores", protocol.name, AVERAGE, f"{entry.name}.seed{seed}", key=digest(of))

            def make(part: Path, parts: Any = parts, joined: Any = joined) -> None:
                fill_average(run, protocol, parts, joined, part)

            made(folder, RECORD, of, make)
            forget_others(folder)
            out = score_folder(protocol.name, AVERAGE, entry.name, seed)
            placed(folder, out, RECORD)
            outs.append(out)
    return outs


def metrics_of(protocol: Protocol, first: int) -> dict[str, Any]:
    """The few numbers that ``dvc metrics show`` prints: each board's headline by model, with the seed behind its name
    where that is not the run's ``first``."""
    told: dict[str, dict[str, Any]] = {}
    for folder in found(SCORES / protocol.name, "*/*/*"):
        record = ScoreRecord.read(folder)
        name = record.model if record.seed == first else f"{record.model}.{folder.name}"
        numbers = {
            protocol.headline.key: record.headline.mean,
            "low": record.headline.low,
            "high": record.headline.high,
        }
        told.setdefault(name, {})[record.board] = numbers
    return told


def _place(item: ScoreItem) -> Path:
    return score_folder(item.protocol, item.board, item.model, item.seed)
