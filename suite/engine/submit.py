"""Submit: answers made elsewhere, in any language, laid out as a model's own and scored by the same code."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from protocols.contract import Card
from protocols.errors import UserError, look_up
from protocols.files import sha256_of, sha256_of_files
from protocols.manifest import KIND, predictions_only
from protocols.protocol import Board, Protocol
from protocols.records import AVERAGE, ScoreRecord
from protocols.sealed import read_seal, sealed_folder
from suite.config import Config
from suite.engine.handover import finish_handovers, hand_over
from suite.engine.questions import hashes_of, question_of, split_hash
from suite.engine.run import Run, checked_model_name
from suite.engine.scoring import RECORD, fill_average, fill_record
from suite.places import CACHE, SUBMISSIONS

if TYPE_CHECKING:
    import pandas as pd

COHORT = "cohort"
IDS = frozenset({"cohort", "fold", "model", "slide", "section", "patient", "cell_id"})
"""Columns that hold names, in the table of any task; a task adds its own ``columns``."""


@dataclass(frozen=True)
class HandedIn:
    """One model's part of what was handed in: a table (less its column ``model``) or a folder, and its hash."""

    model: str
    content: Any
    digest: str
    where: str
    note: str


def read_table(path: Path, ids: Collection[str] = ()) -> pd.DataFrame:
    """A CSV or Parquet table that somebody handed in; the columns ``ids`` are names."""
    import pandas as pd

    readers: dict[str, Callable[[Path], pd.DataFrame]] = {
        ".parquet": pd.read_parquet,
        ".csv": lambda file: _read_csv(file, ids),
        ".gz": lambda file: _read_csv(file, ids),
    }
    if not path.is_file():
        raise UserError("no such file", where=path, expected="a .parquet or .csv table", remedy="check the path")
    read = look_up(path.suffix, readers, kind="kind of table", where=path)
    try:
        return read(path)
    except (ValueError, OSError, UnicodeDecodeError, pd.errors.ParserError) as error:
        said = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"unreadable: {said}", where=path, expected="a table", remedy="write it anew") from None


def _read_csv(path: Path, ids: Collection[str]) -> pd.DataFrame:
    """Names stay text as written: ``0012``, ``1e5`` and ``NA`` are names; an empty one is a hole."""
    import pandas as pd

    return pd.read_csv(path, converters=dict.fromkeys(ids, lambda text: text or None))


def handed_in(
    config: Config, by_folder: bool, path: Path, model: str | None, note: str, ids: Collection[str] = ()
) -> list[HandedIn]:
    """What lies at ``path``, by model; every name is checked before anything is read further."""
    if by_folder:
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
    table = read_table(path, {*ids, *IDS})
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


def submit(run: Run, protocol: Protocol, given: HandedIn) -> list[ScoreRecord]:
    """Score one model's answers on every board that they cover; they replace what the model handed in before.

    All boards are scored before any is put in its place, and they are put there together: a refused or killed
    submission leaves what stood there, or the new one whole.
    """
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
    workplace = Path(tempfile.mkdtemp(prefix="submission-", dir=_made(CACHE / "submissions")))
    try:
        records = {
            name: _score(run, protocol, boards[name], given, parts[name], workplace) for name in boards if name in parts
        }
        records |= _average(run, protocol, records, workplace)
        hand_over(workplace / "records", protocol.name, given.model)
    finally:
        shutil.rmtree(workplace, ignore_errors=True)
    return list(records.values())


def _refuse_case_twin(protocol: Protocol, given: HandedIn) -> None:
    """Where a file system takes two names for one, a submission would replace somebody else's."""
    there = {folder.name for folder in (SUBMISSIONS / protocol.name).glob("*/*")}
    twins = sorted(name for name in there if name != given.model and name.lower() == given.model.lower())
    if twins:
        raise UserError(
            f"{given.model!r} and {twins[0]!r}, which was handed in before, differ by case alone", where=given.where,
            expected="a name of its own", remedy="rename it",
        )  # fmt: skip


def _score(run: Run, protocol: Protocol, board: Board, given: HandedIn, part: Any, workplace: Path) -> ScoreRecord:
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
    hashes = of | {"predictions": read_seal(answers, KIND).hash}
    with sealed_folder(workplace / "records" / board.name, RECORD, of) as folder:
        return fill_record(run, question, told, hashes, answers, folder)


def _average(
    run: Run, protocol: Protocol, records: Mapping[str, ScoreRecord], workplace: Path
) -> dict[str, ScoreRecord]:
    from suite.engine.score import averaged

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
