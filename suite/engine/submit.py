"""Submit: answers made elsewhere, in any language, laid out as a model's own and scored by the same code."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from protocols.contract import Card
from protocols.errors import UserError, look_up
from protocols.files import sha256_of, sha256_of_files
from protocols.manifest import KIND, Manifest, predictions_only
from protocols.protocol import Board, Protocol
from protocols.records import AVERAGE, ScoreRecord
from protocols.sealed import read_seal, sealed_folder
from protocols.task import Question, Task
from suite.config import Config
from suite.engine.handover import finish_handovers, hand_over
from suite.engine.questions import hashes_of, question_of, split_hash
from suite.engine.run import Run, checked_model_name
from suite.engine.scoring import RECORD, fill_average, fill_record
from suite.places import CACHE, SUBMISSIONS

if TYPE_CHECKING:
    import pandas as pd

COHORT = "cohort"
NAMES = (COHORT, "fold", "model")
"""Columns that hold names in the table of every task; each declares its own (``Task.columns``, ``Task.names``)."""


@dataclass(frozen=True)
class HandedIn:
    """One model's part of what was handed in: a table (less its column ``model``) or a folder, and its hash."""

    model: str
    content: Any
    digest: str
    where: str
    note: str


def names_in(task: Task) -> tuple[str, ...]:
    """Columns of a task's table that hold names."""
    return tuple(dict.fromkeys((*NAMES, *task.columns, *task.names)))


def read_table(path: Path, names: Collection[str]) -> pd.DataFrame:
    """A CSV or Parquet table that somebody handed in; the columns ``names`` hold names."""
    import pandas as pd

    readers: dict[str, Callable[[Path], pd.DataFrame]] = {
        ".parquet": pd.read_parquet,
        ".csv": lambda file: _read_csv(file, names),
        ".gz": lambda file: _read_csv(file, names),
    }
    if not path.is_file():
        raise UserError("no such file", where=path, expected="a .parquet or .csv table", remedy="check the path")
    read = look_up(path.suffix, readers, kind="kind of table", where=path)
    try:
        return read(path)
    except (ValueError, OSError, UnicodeDecodeError, pd.errors.ParserError) as error:
        said = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"unreadable: {said}", where=path, expected="a table", remedy="write it anew") from None


def _read_csv(path: Path, names: Collection[str]) -> pd.DataFrame:
    """Names stay text as written: ``0012``, ``1e5`` and ``NA`` are names; an empty one is a hole."""
    import pandas as pd

    return pd.read_csv(path, converters=dict.fromkeys(names, lambda text: text or None))


@dataclass(frozen=True)
class OnBoard:
    """One model's answers on one board, checked whole and sealed as a model's own."""

    told: Manifest
    question: Question
    answers: Path
    of: Mapping[str, str]


@dataclass(frozen=True)
class LaidOut:
    """All that one model answered, by board; ``workplace`` goes when the submission is done or refused."""

    model: str
    workplace: Path
    boards: Mapping[str, OnBoard]


def handed_in(config: Config, task: Task, path: Path, model: str | None, note: str) -> list[HandedIn]:
    """What lies at ``path``, by model; every name is checked before anything is read further."""
    if task.by_folder:
        if model is None:
            raise UserError("no name", where="--model", expected="the model's name", remedy="give --model NAME")
        name = checked_model_name(model, config, "--model")
        if not path.is_dir():
            raise UserError("no such folder", where=path, expected="a folder of answers", remedy="check the path")
        files = sorted(path.rglob("*"))
        for link in (file for file in files if file.is_symlink()):
            raise UserError(
                "a link", where=link, expected="answers that lie in this folder", remedy="copy them into it"
            )
        files = [file for file in files if file.is_file()]
        return [HandedIn(name, path, sha256_of_files(files, path), str(path), note)]
    table = read_table(path, names_in(task))
    if not len(table):
        raise UserError("no row", where=path, expected="predictions", remedy="hand in a table with rows")
    if model is not None:
        if "model" in table.columns and table["model"].nunique(dropna=False) > 1:
            raise UserError(
                "the table holds several models", where=path, expected="one, with --model", remedy="drop --model"
            )
        table = table.assign(model=model)
    if "model" not in table.columns:
        raise UserError("no name", where=path, expected="--model NAME, or a column model", remedy="give --model NAME")
    if table["model"].isna().any():
        raise UserError("a row without model", where=path, expected="every row whole", remedy="fill it in")
    names = sorted(table["model"].astype(str).unique())
    lowered = {name.lower() for name in names}
    for name in names:
        checked_model_name(name, config, path)
    if len(lowered) < len(names):
        raise UserError(
            "models that differ by case alone", where=path, expected="names of their own", remedy="rename one"
        )
    digest = sha256_of(path)
    parts = table.groupby(table["model"].astype(str), sort=True)
    return [HandedIn(str(name), part.drop(columns="model"), digest, f"{path}, {name}", note) for name, part in parts]


def submit(run: Run, protocol: Protocol, given: Sequence[HandedIn]) -> list[ScoreRecord]:
    """Score all that was handed in, on every board that it covers; it replaces what a model handed in before."""
    with laid_out(run, protocol, given) as found:
        return score(run, protocol, found)


@contextmanager
def laid_out(run: Run, protocol: Protocol, given: Sequence[HandedIn]) -> Iterator[list[LaidOut]]:
    """Every model's answers, in a folder that goes when the caller is done.

    All of them are laid out, and so checked, before any is scored or written: a mistake on the last board of the last
    model costs no time and changes nothing.
    """
    workplace = _made(CACHE / "submissions" / f".{protocol.name}.{os.getpid()}.part")
    try:
        yield [_laid_out(run, protocol, one, workplace / one.model) for one in given]
    finally:
        shutil.rmtree(workplace, ignore_errors=True)


def score(run: Run, protocol: Protocol, found: Sequence[LaidOut]) -> list[ScoreRecord]:
    """All boards of all models are scored before any is put in its place, and a model's are put there together: a
    refused or killed submission leaves what stood there, or the new one whole."""
    records = {one.model: _scored(run, protocol, one) for one in found}
    for one in found:
        hand_over(one.workplace / "records", protocol.name, one.model)
    return [record for boards in records.values() for record in boards.values()]


def _laid_out(run: Run, protocol: Protocol, given: HandedIn, workplace: Path) -> LaidOut:
    task = run.tasks[protocol.task]
    if given.model.lower() in {card.name.lower() for card in protocol.controls}:
        raise UserError(
            f"{given.model!r} is a control of {protocol.name}", where=given.where, expected="a name of its own",
            remedy="rename it",
        )  # fmt: skip
    finish_handovers()
    _refuse_case_twin(protocol, given)
    boards = {board.name: board for board in run.boards_of(protocol)}
    for name in (one for one in task.columns if not task.by_folder):
        if name not in given.content.columns:
            raise UserError(f"no column {name!r}", where=given.where, expected=", ".join(task.columns), remedy="add it")
    parts = _parts(run, protocol, boards, given)
    answered = [board for name, board in boards.items() if name in parts]
    laid = {one.name: _on_board(run, protocol, one, given, parts[one.name], workplace) for one in answered}
    return LaidOut(given.model, workplace, laid)


def _refuse_case_twin(protocol: Protocol, given: HandedIn) -> None:
    """Where a file system takes two names for one, a submission would replace somebody else's."""
    there = {folder.name for folder in (SUBMISSIONS / protocol.name).glob("*/*")}
    twins = sorted(name for name in there if name != given.model and name.lower() == given.model.lower())
    if twins:
        raise UserError(
            f"{given.model!r} and {twins[0]!r}, which was handed in before, differ by case alone", where=given.where,
            expected="a name of its own", remedy="rename it",
        )  # fmt: skip


def _on_board(run: Run, protocol: Protocol, board: Board, given: HandedIn, part: Any, workplace: Path) -> OnBoard:
    task = run.tasks[protocol.task]
    question = question_of(run, protocol, board, scoring=True)
    fitter = run.fitting[protocol.answered_by or protocol.name]
    of = {"split": split_hash(fitter, board.fitted_on), **hashes_of(question), "inputs": given.digest}
    card = Card(name=given.model, title=f"{given.model} (predictions only)", task=task.name, summary=given.note)
    told = predictions_only(card, protocol.name, protocol.version, board.name, board.cohort, run.config.seed)
    answers = workplace / "answers" / board.name
    with sealed_folder(answers, KIND, of) as folder:
        task.lay_out(question, part, folder, given.where)
        told.write(folder)
    return OnBoard(told, question, answers, of)


def _scored(run: Run, protocol: Protocol, found: LaidOut) -> dict[str, ScoreRecord]:
    records = {}
    for name, one in found.boards.items():
        hashes = {**one.of, "predictions": read_seal(one.answers, KIND).hash}
        with sealed_folder(found.workplace / "records" / name, RECORD, one.of) as folder:
            records[name] = fill_record(run, one.question, one.told, hashes, one.answers, folder)
    return records | _average(run, protocol, records, found.workplace)


def _average(
    run: Run, protocol: Protocol, records: Mapping[str, ScoreRecord], workplace: Path
) -> dict[str, ScoreRecord]:
    from suite.engine.averaged import averaged

    names = averaged(run, protocol)
    if run.tasks[protocol.task].average is None or not names or not set(names) <= set(records):
        return {}
    parts = {name: (records[name], workplace / "records" / name) for name in names}
    hashes = {
        key: "+".join(records[name].hashes.get(key, "") for name in names) for key in ("cohort", "split", "inputs")
    }
    with sealed_folder(workplace / "records" / AVERAGE, RECORD, hashes) as folder:
        return {AVERAGE: fill_average(run, protocol, parts, hashes, folder)}


def _parts(run: Run, protocol: Protocol, boards: Mapping[str, Board], given: HandedIn) -> dict[str, Any]:
    task = run.tasks[protocol.task]
    if task.boards_in is None:
        return _by_cohort(given, boards)
    return dict(task.boards_in(given.content, boards, run.requests(protocol.task), given.where))


def _by_cohort(given: HandedIn, boards: Mapping[str, Board]) -> dict[str, Any]:
    """Rows by their column ``cohort``; a table without it is of the only board there is."""
    table = given.content
    if COHORT not in table.columns:
        if len(boards) > 1:
            raise UserError(
                "no column 'cohort'",
                where=given.where,
                expected=f"one of {', '.join(boards)} in each row",
                remedy="add it",
            )
        return {next(iter(boards)): table}
    if table[COHORT].isna().any():
        raise UserError("a row without cohort", where=given.where, expected="every row whole", remedy="fill it in")
    found = {}
    for name, part in table.groupby(table[COHORT].astype(str), sort=True):
        look_up(str(name), boards, kind="cohort", where=given.where)
        found[str(name)] = part
    return found


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
