"""The score folders of a run, read and verified; of several training seeds, the record that stands for the cell."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from protocols.errors import UserError
from protocols.records import RECORD_FILE, ScoreRecord
from protocols.sealed import stands

ScoredCell = tuple[ScoreRecord, Path]
"""A record and the folder that it was read from."""
Names = tuple[str, str, str]
"""Protocol, board and model."""


def board_key(protocol: str, board: str) -> str:
    """Names a board in files, entries and addresses."""
    return f"{protocol}-{board}"


def find_cells(scores: Path | Sequence[Path]) -> list[Path]:
    """Folders of score records: all below a folder, or the given ones."""
    if not isinstance(scores, Path):
        return list(scores)
    return sorted(path.parent for path in scores.rglob(RECORD_FILE) if stands(path.parent, scores))


def load_records(scores: Path | Sequence[Path]) -> list[ScoreRecord]:
    """Every record of :func:`find_cells`, sorted by protocol, board, model and seed."""
    return [record for record, _ in load_cells(scores)]


def load_cells(scores: Path | Sequence[Path]) -> list[ScoredCell]:
    """Records and the folders that they were read from, sorted by protocol, board, model and seed.

    Raises :class:`UserError` if a record is unreadable or was altered, or if two are of the same cell (a copied folder,
    or predictions handed in under the name of a model of this run).
    """
    cells: dict[tuple[str, str, str, int], ScoredCell] = {}
    for folder in find_cells(scores):
        record = ScoreRecord.read(folder)
        key = (record.protocol, record.board, record.model, record.seed)
        if key in cells:
            raise UserError(
                f"a second record of {record.protocol} {record.board} x {record.model}, seed {record.seed}",
                where=folder,
                expected=f"only the one in {cells[key][1]}",
                remedy="rename or remove one of them",
            )
        cells[key] = (record, folder)
    return [cells[key] for key in sorted(cells)]


def by_cell(records: Sequence[ScoreRecord], seed: int) -> dict[Names, list[ScoreRecord]]:
    """Every cell's records, the one that stands for it first: of the run's own ``seed``, else of the lowest.

    Raises :class:`UserError` if a cell holds records of two profiles: they are not one model with other seeds.
    """
    found: dict[Names, list[ScoreRecord]] = defaultdict(list)
    for record in sorted(records, key=lambda one: (one.seed != seed, one.seed)):
        found[record.protocol, record.board, record.model].append(record)
    for (protocol, board, model), own in found.items():
        profiles = sorted({record.profile for record in own})
        if len(profiles) > 1:
            raise UserError(
                f"records of the profiles {' and '.join(profiles)} under one name",
                where=f"{protocol} {board} x {model}",
                expected="one model a name, whatever its seeds",
                remedy="run `dvc repro` to predict and score all seeds anew",
            )
    return {key: found[key] for key in sorted(found)}


def first_seeds(records: Sequence[ScoreRecord], seed: int) -> list[ScoreRecord]:
    """The record that stands for each cell, sorted by protocol, board and model."""
    return [own[0] for own in by_cell(records, seed).values()]


def first_cells(cells: Sequence[ScoredCell], seed: int) -> list[ScoredCell]:
    """As :func:`first_seeds`, with the folders."""
    folders = {id(record): folder for record, folder in cells}
    return [(record, folders[id(record)]) for record in first_seeds([record for record, _ in cells], seed)]


def title_of(record: ScoreRecord) -> str:
    return str(record.card.get("title") or record.model)


def titles_by_model(records: Sequence[ScoreRecord]) -> dict[str, str]:
    """Model to its title in a figure; where two models share one, with their names behind it."""
    titles = {record.model: title_of(record) for record in records}
    given = list(titles.values())
    return {model: title if given.count(title) == 1 else f"{title} ({model})" for model, title in titles.items()}
