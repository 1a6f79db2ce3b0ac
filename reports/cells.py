"""The score folders of a run, read and verified."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from protocols.errors import UserError
from protocols.records import RECORD_FILE, ScoreRecord

ScoredCell = tuple[ScoreRecord, Path]
"""A record and the folder that it was read from."""
LAYOUTS = (f"*/*/*/seed*/{RECORD_FILE}", f"*/*/*/{RECORD_FILE}")
"""``<protocol>/<board>/<model>/seed<k>/`` of a run's models, ``<protocol>/<board>/<model>/`` of submissions."""


def find_cells(scores: Path | Sequence[Path]) -> list[Path]:
    """Folders of score records below a folder, or the given ones. A folder that is still being filled is no cell."""
    if not isinstance(scores, Path):
        return list(scores)
    found = {path.parent for layout in LAYOUTS for path in scores.glob(layout)}
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(scores).parts))


def load_records(scores: Path | Sequence[Path]) -> list[ScoreRecord]:
    """Every record of :func:`find_cells`, sorted by protocol, board, model and seed."""
    return [record for record, _ in load_cells(scores)]


def load_cells(scores: Path | Sequence[Path]) -> list[ScoredCell]:
    """Records and the folders that they were read from, sorted by protocol, board, model and seed.

    Raises :class:`UserError` if a record is unreadable or was altered, or if two are of the same cell (a copied
    folder, or predictions handed in under the name of a model of this run).
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
