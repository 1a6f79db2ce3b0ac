"""Scores one cell: answers meet truth here and nowhere else. What it imports is in the key of the score."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from protocols import declared
from protocols.errors import UserError
from protocols.manifest import Manifest, read_manifest
from protocols.metric import Metric
from protocols.protocol import Protocol
from protocols.records import ADDS_UP, Interval, ScoreRecord
from protocols.splits import Exclusion
from protocols.task import Question, Scored, Task
from suite.engine.questions import question_of, run_of
from suite.engine.run import Run
from suite.engine.store import made

RECORD = "record"


@dataclass(frozen=True)
class ScoreItem:
    """One cell: what a process is given. ``answers`` is None for a control that scoring itself makes."""

    config: str
    root: Path
    protocol: str
    board: str
    model: str
    seed: int
    answers: Path | None
    folder: Path
    of: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return f"score of {self.protocol}, {self.board}: {self.model}"


def score_cell(item: ScoreItem) -> None:
    """Write the sealed record of one cell, if it is not there."""
    run = run_of(item.config, item.root)
    protocol = run.protocols[item.protocol]
    board = {one.name: one for one in run.boards_of(protocol)}[item.board]

    def make(folder: Path) -> None:
        question = question_of(run, protocol, board, scoring=True)
        if item.answers is None:
            fill_control(run, question, item.model, dict(item.of), folder)
        else:
            told, hashes = read_manifest(item.answers)
            refuse_other_data(question, dict(item.of)["split"], hashes, item.answers)
            fill_record(run, question, told, {**hashes, **dict(item.of)}, item.answers, folder)

    made(item.folder, RECORD, dict(item.of), make)


def refuse_other_data(question: Question, split: str, hashes: Mapping[str, str], where: Path) -> None:
    """Answers of another cohort or another split answer another question."""
    expected = {"split": split, "cohort": question.cohort.hash}
    expected |= {f"cohort {name}": one.hash for name, one in question.companions.items()}
    for name, wanted in expected.items():
        if name in hashes and hashes[name] != wanted:
            raise UserError(
                f"answers were made for another {name}",
                where=where,
                expected=wanted[:12],
                remedy="run `dvc repro predict`",
            )


def fill_record(
    run: Run, question: Question, told: Manifest, hashes: Mapping[str, str], answers: Path, folder: Path
) -> ScoreRecord:
    """Score answers and write the record and what stands beside it into ``folder``."""
    task = run.tasks[question.protocol.task]
    scored: Scored | None = None if told.skipped else task.score(question, answers)
    record = record_of(task, question, told, hashes, scored)
    return _written(folder, record, scored)


def fill_control(run: Run, question: Question, name: str, hashes: Mapping[str, str], folder: Path) -> ScoreRecord:
    """The record of a control that reads the truth: it has no answers of its own."""
    task = run.tasks[question.protocol.task]
    card = {one.name: one for one in question.protocol.controls}[name]
    told = Manifest(
        question.protocol.name, question.protocol.version, question.board.name, question.board.cohort, name, card,
        run.config.profile, run.config.seed, "cpu", run.config.threads, most_steps=run.config.most_steps or 0,
    )  # fmt: skip
    if task.score_control is None:
        raise RuntimeError(f"task {task.name} makes no controls")
    scored: Scored = task.score_control(question, name)
    return _written(folder, record_of(task, question, told, hashes, scored), scored)


def fill_average(
    run: Run, protocol: Protocol, parts: Mapping[str, tuple[ScoreRecord, Path]], hashes: Mapping[str, str], folder: Path
) -> ScoreRecord:
    """The record of the mean over cohorts that are independent of each other."""
    from dataclasses import replace

    task = run.tasks[protocol.task]
    if task.average is None:
        raise RuntimeError(f"task {task.name} has no average")
    scored: Scored = task.average(parts)
    first = next(iter(parts.values()))[0]
    records = [record for record, _ in parts.values()]
    cohort = {
        "name": " + ".join(record.board for record in records),
        "phantom": all(record.cohort["phantom"] for record in records),
        "unit": first.cohort["unit"],
        "published_in": sorted(set.intersection(*(set(r.cohort.get("published_in") or ()) for r in records))),
        **{key: sum(int(record.cohort[key]) for record in records) for key in ADDS_UP if key in first.cohort},
    }
    record = replace(
        first,
        board="average",
        cohort=cohort,
        hashes=dict(hashes),
        excluded=[],
        metrics=max((record.metrics for record in records), key=len),
        schedule=[one for record in records for one in record.schedule],
        notes=list(dict.fromkeys(f"{record.board}: {note}" for record in records for note in record.notes)),
        **_fields(protocol, scored),
    )
    return _written(folder, record, scored)


def refuse_other_headline(protocol: Protocol, scored: Scored) -> None:
    """A board says what its numbers are in the protocol's words: they must be those of what the task ranks by."""
    mean, told = scored.headline.mean, scored.summary
    if protocol.headline.key in told and _same(told[protocol.headline.key], mean):
        return
    fitting = [one.key for one in protocol.metrics if one.key in told and _same(told[one.key], mean)]
    raise UserError(
        f"its first metric is {protocol.headline.key!r}, and the task {protocol.task} ranks by another",
        where=f"protocol {protocol.name}",
        expected=" or ".join(fitting) or "what the task's score calls its headline",
        remedy="list that one first",
    )


def _same(a: float | None, b: float | None) -> bool:
    """Two ways of summing may differ in the last digits."""
    return a is b if a is None or b is None else math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)


def record_of(
    task: Task, question: Question, told: Manifest, hashes: Mapping[str, str], scored: Scored | None
) -> ScoreRecord:
    excluded: list[Exclusion] = [*(task.excluded(question) if task.excluded else []), *question.split.excluded]
    protocol = question.protocol
    if scored is not None:
        refuse_other_headline(protocol, scored)
    return ScoreRecord(
        protocol=protocol.name,
        protocol_version=told.version,
        protocol_title=protocol.title,
        model=told.model,
        kind=told.card.kind,
        status="scored" if scored else "skipped",
        reason=told.skipped,
        card=told.card.to_dict(),
        weights=[asdict(one) for one in told.weights],
        schedule=[asdict(one) for one in told.schedule],
        most_steps=told.most_steps,
        profile=told.profile,
        seed=told.seed,
        device=told.device,
        libraries=dict(told.libraries),
        cohort=dict(task.describe(question)),
        hashes={name: value for name, value in hashes.items() if not name.startswith("key")},
        excluded=[asdict(item) for item in dict.fromkeys(excluded)],
        task=task.name,
        board=question.board.name,
        metrics=[asdict(metric) for metric in metrics_of(protocol, scored)],
        place=protocol.place,
        notes=[*told.notes, *notes_of(protocol, told, scored)],
        **_fields(protocol, scored),
    )


def metrics_of(protocol: Protocol, scored: Scored | None) -> tuple[Metric, ...]:
    """The protocol's, and behind them those of a submission that declared units missing."""
    extra = scored is not None and scored.answered is not None
    return (*protocol.metrics, *(declared.metrics(protocol.headline) if extra else ()))


def notes_of(protocol: Protocol, told: Manifest, scored: Scored | None) -> list[str]:
    """What scoring noticed of a model; a control says nothing on purpose, and an oracle what is true."""
    if scored is None or told.card.kind != "model":
        return []
    missing = [] if scored.answered is None else [declared.note(protocol.headline, scored.answered)]
    return [*missing, *scored.notes]


def _fields(protocol: Protocol, scored: Scored | None) -> dict[str, Any]:
    if scored is None:
        return {"headline": Interval(None, None, None, 0)}
    # An average has what stands beside a headline from its records.
    beside = declared.beside(protocol.headline, scored.headline.mean, scored.answered)
    return {
        "headline": scored.headline,
        "summary": {**beside, **scored.summary},
        "counts": dict(scored.counts),
        "per_patient": dict(scored.per_patient),
        "per_gene": list(scored.per_gene),
        "pseudo_values": scored.values.to_dict() if scored.values is not None else {},
        "details": dict(scored.details),
    }


def _written(folder: Path, record: ScoreRecord, scored: Scored | None) -> ScoreRecord:
    if scored is not None:
        for name, table in scored.tables.items():
            table.to_parquet(folder / name, compression="zstd", index=False)
        for name, write in scored.files.items():
            write(folder / name)
    record.write(folder)
    return record
