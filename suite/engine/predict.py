"""Predict: every listed model on every board that is fitted, in as many processes as the run allows.

A cell is a board, a model and a training seed. Its jobs (folds, or groups of folds that share their pre-training) are
kept one by one, so a killed run goes on; a finished cell stands in ``runs/predictions`` at once.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from baselines.training.kernels import as_note
from protocols.contract import ScheduleRecord, WeightsRecord
from protocols.findings import read_audit
from protocols.manifest import KIND, Manifest
from protocols.progress import steps
from protocols.protocol import Board, Protocol
from protocols.sealed import is_sealed
from protocols.task import Question
from suite.engine import keys, store
from suite.engine.ask import audited
from suite.engine.embedding import features_of, kernels_of_embedding
from suite.engine.fitting import FIT, FITTED_FILE, PRETRAINED, FitAnswer, FitItem, fit_job, kernels_of, read_fitted
from suite.engine.inputs import Embedded, Place, run_inputs
from suite.engine.locks import locked
from suite.engine.named_weights import handed
from suite.engine.questions import hashes_of, question_of, split_hash
from suite.engine.run import ModelEntry, Run
from suite.engine.store import digest, forget_others, kept, linked, made, placed
from suite.engine.timing import write_timing
from suite.places import PREDICTIONS, answers_folder, audit_folder
from suite.workers import Job, run_jobs


@dataclass(frozen=True)
class Cell:
    """One board, model and training seed, and where its answers are kept. ``reason``: why it is not asked."""

    protocol: Protocol
    board: Board
    entry: ModelEntry
    seed: int
    question: Question
    answers: Path
    of: dict[str, str]
    reason: str
    items: tuple[FitItem, ...]

    @property
    def out(self) -> Path:
        return answers_folder(self.protocol.name, self.board.name, self.entry.name, self.seed)


def run_predict(run: Run) -> None:
    """Write ``runs/predictions``; behind a failed or altered audit nothing is fitted."""
    for protocol, board in audited(run):
        fitter = run.fitting[protocol.answered_by or protocol.name]
        read_audit(audit_folder(protocol.name, board.cohort), of={"split": split_hash(fitter, board.fitted_on)})
    predict_cells(run, cells_of(run, run_inputs(run)))


def predict_cells(run: Run, cells: list[Cell]) -> None:
    """Fit what is missing of some cells and put each in its place as it is done."""
    waiting = {}
    for cell in cells:
        if cell.reason or is_sealed(cell.answers):
            finish(run, cell)
        else:
            waiting[cell.out] = cell
    _pretrain(run, list(waiting.values()))
    left = {out: len(cell.items) for out, cell in waiting.items()}
    owner = {item.folder: out for out, cell in waiting.items() for item in cell.items}
    answers: dict[Path, list[FitAnswer]] = {out: [] for out in waiting}
    jobs = [
        Job(item, weight=_weight(cell), alone=cell.entry.outside) for cell in waiting.values() for item in cell.items
    ]
    with steps(len(jobs), f"fitting {len(waiting)} cells in {len(jobs)} jobs") as report:
        for number, (item, answer) in enumerate(run_jobs(fit_job, jobs, run.config.workers)):
            out = owner[item.folder]
            answers[out].append(answer)
            left[out] -= 1
            if not left[out]:
                finish(run, waiting[out])
                write_timing(waiting[out], answers[out])
            report(number + 1)


def cells_of(run: Run, inputs: dict[Place, Embedded], only: tuple[str, ...] = ()) -> list[Cell]:
    """Every cell of the fitted boards; ``only``: of these models."""
    return [
        _cell(run, protocol, board, entry, seed, inputs, question)
        for protocol, board, question in _questions(run)
        for entry in run.models_of(protocol.task)
        if not only or entry.name in only
        for seed in run.config.seeds
    ]


def _questions(run: Run) -> Iterator[tuple[Protocol, Board, Question]]:
    for protocol, board in run.fit_boards:
        yield protocol, board, question_of(run, protocol, board)


def _cell(
    run: Run,
    protocol: Protocol,
    board: Board,
    entry: ModelEntry,
    seed: int,
    inputs: dict[Place, Embedded],
    question: Question,
) -> Cell:
    task, encoder = run.tasks[protocol.task], entry.card.encoder
    reason = task.lacks(question, entry.card) if task.lacks else ""
    if "weights" in entry.card.needs and not handed(entry.card, run.config.settings_of(entry.card)):
        reason = "answers with published weights alone, and the run's file names none of them"
    if not question.split.folds:
        reason = "the cohort gives this protocol no fold (see what was left out)"
    names = [board.fitted_on, *question.companions]
    read = (
        {name: inputs[task.name, name, encoder, seed] for name in names if (task.name, name, encoder, seed) in inputs}
        if encoder
        else {}
    )
    of = {"split": split_hash(protocol, board.fitted_on), **hashes_of(question)}
    of |= {f"{name}: {key}": value for name, one in read.items() for key, value in one.hashes().items()}
    if "oracle" in entry.card.needs:
        of |= {f"truth {name}": keys.of_truth(question.opened(name).request) for name in names}
    request = run.requests(protocol.task)[board.fitted_on]
    key = keys.of_fit(run, protocol, entry, request, seed) | {"board": board.name}
    of["key"] = digest(key)
    if reason:
        of["skipped"] = digest(reason)
    name = (protocol.name, board.name, f"{entry.name}.seed{seed}")
    answers = kept("answers", *name, key=digest(of))
    base = FitItem(
        run.told(protocol.name), run.root, protocol.name, board.name, entry.name, seed, "", Path(),
        tuple(of.items()),
        features=tuple((cohort, tuple(one.sets.items()), one.derived) for cohort, one in read.items()),
        answers=answers,
    )  # fmt: skip
    on = task.pretrains_on(question, entry.card) if task.pretrains_on and not reason else ""
    if on:
        base = replace(base, cohort=on, pretrained=_pretraining(run, protocol, entry, seed, question, on, read.get(on)))
    jobs = [] if reason else task.jobs(question)
    items = tuple(replace(base, job=job, folder=kept("fits", *name, job, key=digest(of))) for job in jobs)
    return Cell(protocol, board, entry, seed, question, answers, of, reason, items)


def _pretraining(
    run: Run, protocol: Protocol, entry: ModelEntry, seed: int, question: Question, on: str, read: Embedded | None
) -> Path:
    """One pre-training serves every board: its key is of the tissue that is learnt from, and of the model."""
    own = keys.of_pretraining(run, entry, run.tasks[protocol.task], seed)
    request = question.opened(on).request
    of = {
        "cohort": question.opened(on).hash,
        "settings": request.settings.model_dump(mode="json"),
        **(read.hashes() if read else {}),
    }
    return kept("pretrained", protocol.task, f"{entry.name}.seed{seed}", key=digest({**own, "of": of}))


def _pretrain(run: Run, cells: list[Cell]) -> None:
    """Every pre-training that a waiting cell starts from, each once."""
    wanted: dict[Path, tuple[Cell, FitItem]] = {}
    for cell in cells:
        for item in cell.items:
            if item.pretrained and not is_sealed(item.pretrained):
                wanted.setdefault(item.pretrained, (cell, item))
    jobs = []
    for folder, (cell, item) in wanted.items():
        on = cell.question.opened(item.cohort)
        only = tuple(one for one in item.features if one[0] == item.cohort)
        first = replace(
            item, job="", folder=folder, of=(("cohort", on.hash),), features=only, pretrained=None, answers=None
        )
        jobs.append(Job(first, alone=cell.entry.outside))
    if jobs:
        with steps(len(jobs), f"pre-training {len(jobs)} models") as report:
            for number, _ in enumerate(run_jobs(fit_job, jobs, run.config.workers)):
                report(number + 1)


def finish(run: Run, cell: Cell) -> None:
    """From finished jobs to the cell's answers with their manifest, kept and put in place."""

    def make(folder: Path) -> None:
        weights: tuple[WeightsRecord, ...] = ()
        kernels: tuple[str, ...] = ()
        schedule: tuple[ScheduleRecord, ...] = ()
        if not cell.reason:
            folders = {item.job: item.folder for item in cell.items}
            join(run, cell, folders, folder)
            weights = (*_encoder_weights(cell), *read_fitted(cell.items[0].folder).weights)
            schedule = _schedule(run, cell)
            kernels = _kernels(cell)
        manifest(run, cell, weights, schedule, kernels).write(folder)

    made(cell.answers, KIND, cell.of, make)
    forget_others(cell.answers)
    for item in cell.items:
        with locked(item.folder):  # another process may be about to fit it: it then finds the cell's answers
            shutil.rmtree(item.folder, ignore_errors=True)
        forget_others(item.folder)
    placed(cell.answers, cell.out, KIND)


def join(run: Run, cell: Cell, folders: dict[str, Path], out: Path) -> None:
    task = run.tasks[cell.protocol.task]
    if task.join is not None:
        task.join(cell.question, folders, out)
        return
    for folder in folders.values():
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.name not in (FITTED_FILE, "seal.json"):
                linked(path, out / path.relative_to(folder))


def _encoder_weights(cell: Cell) -> tuple[WeightsRecord, ...]:
    """Where the frozen encoder behind a model started, by the cohort that it learns on."""
    for cohort, sets, derived in cell.items[0].features:
        if cohort == cell.board.fitted_on:
            found = features_of(dict(sets), derived).weights
            return (found,) if found else ()
    return ()


def _kernels(cell: Cell) -> tuple[str, ...]:
    """Kernels without a deterministic version that stand behind a cell: in its jobs, what they started from, and the
    embeddings that they read."""
    pretrained = {item.pretrained for item in cell.items if item.pretrained}
    read = {folder for item in cell.items for _, sets, _ in item.features for _, folder in sets}
    found = [kernels_of(item.folder) for item in cell.items]
    found += [kernels_of(folder, PRETRAINED) for folder in pretrained]
    found += [kernels_of_embedding(folder) for folder in read]
    return tuple(sorted({kernel for one in found for kernel in one}))


def _schedule(run: Run, cell: Cell) -> tuple[ScheduleRecord, ...]:
    """Every training behind a cell's answers: the pre-training that its jobs started from, then job by job. Where the
    run itself caps the updates, no method's own rule has ended anything."""
    first = cell.items[0].pretrained
    folders = [(first, PRETRAINED)] if first else []
    folders += [(item.folder, FIT) for item in cell.items]
    found = [one for folder, kind in folders for one in read_fitted(folder, kind).schedule]
    return tuple(replace(one, cut=one.cut or bool(run.config.most_steps)) for one in found)


def manifest(
    run: Run,
    cell: Cell,
    weights: tuple[WeightsRecord, ...],
    schedule: tuple[ScheduleRecord, ...],
    kernels: tuple[str, ...],
) -> Manifest:
    settings = run.config.settings_of(cell.entry.card, seed=cell.seed)
    versions = keys.libraries("suite.engine.fitting", keys.start_of(run, cell.protocol), cell.entry.start)
    return Manifest(
        protocol=cell.protocol.name,
        version=cell.protocol.version,
        board=cell.board.name,
        cohort=cell.board.fitted_on,
        model=cell.entry.name,
        card=cell.entry.card,
        profile=settings.profile,
        seed=cell.seed,
        device=settings.device,
        threads=settings.threads,
        libraries=versions,
        weights=weights,
        schedule=schedule,
        most_steps=settings.most_steps,
        skipped=cell.reason,
        notes=(as_note(kernels),) if kernels else (),
    )


def _weight(cell: Cell) -> float:
    """Which jobs are begun first: those of models with an encoder or a network, on large cohorts."""
    fold = cell.question.split.folds[0] if cell.question.split.folds else None
    return float(len(fold.train) if fold else 0) * (10.0 if cell.entry.card.encoder else 1.0)


def remove_others(run: Run) -> None:
    """Cells of earlier run files, which scoring must not mistake for this run's."""
    wanted = {
        answers_folder(protocol.name, board.name, entry.name, seed)
        for protocol, board in run.fit_boards
        for entry in run.models_of(protocol.task)
        for seed in run.config.seeds
    }
    store.remove_others(PREDICTIONS, "*/*/*/*", wanted)
