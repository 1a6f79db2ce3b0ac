"""IHC images drawn elsewhere: a folder of PNG files, laid out as a model's own answers.

``<folder>/<cohort>/<marker>/<tile>.png``: 8-bit RGB of the tile's side, named as ``slide2omics units ihc4bc`` lists
tiles. Every tile is tested once, so a marker's folder holds one image for each. A marker that has a folder must be
there whole; others count as not handed in.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from protocols.contract import CropArray, RowArray, TextArray
from protocols.errors import UserError, look_up
from protocols.images.patch_images import PNG_RGB, PNG_SIGNATURE, decode
from protocols.protocol import Board
from protocols.staining.answers import fold_file
from protocols.task import CohortRequest, Question

SUFFIX = ".png"
AT_ONCE = 32


def boards_in(
    folder: Path, boards: Mapping[str, Board], _cohorts: Mapping[str, CohortRequest], where: str
) -> dict[str, Path]:
    """Boards that have a folder; whatever else lies there is refused."""
    cohorts = {board.cohort: board for board in boards.values()}
    for cohort in _seen(folder):
        look_up(cohort.name, cohorts, kind="cohort", where=where)
        markers = {str(board.part): board for board in boards.values() if board.cohort == cohort.name}
        for marker in _seen(cohort) if cohort.is_dir() else ():
            look_up(marker.name, markers, kind="marker", where=cohort)
    found = {
        name: place for name, board in boards.items() if (place := folder / board.cohort / str(board.part)).is_dir()
    }
    if not found:
        raise UserError(
            "no marker's folder", where=where, expected=f"<cohort>/<marker>/<tile>{SUFFIX}",
            remedy="see `slide2omics units ihc4bc`",
        )  # fmt: skip
    return found


def lay_out(question: Question, place: Path, folder: Path, where: str) -> None:
    """One array a fold, once every name and header was found right; images are decoded a few at a time."""
    store, marker = question.cohort.store, question.board.part
    if marker not in store.markers:
        raise UserError(
            f"the cohort has no patch of {marker}", where=where, expected="a marker it has", remedy="drop it"
        )
    tiles = [store.tiles(store.rows_of(marker, fold.test)).name for fold in question.split.folds]
    _check_names(place, np.concatenate(tiles), store.tile.pixels)
    for number, names in enumerate(tiles):
        shape = (len(names), store.tile.pixels, store.tile.pixels, 3)
        array = np.lib.format.open_memmap(folder / fold_file(number), mode="w+", dtype=np.uint8, shape=shape)
        for start in range(0, len(names), AT_ONCE):
            rows = np.arange(start, min(start + AT_ONCE, len(names)), dtype=np.int64)
            array[rows] = _images(place, names, rows)
        array.flush()


def _images(place: Path, names: TextArray, rows: RowArray) -> CropArray:
    return np.stack([decode(place / f"{names[row]}{SUFFIX}") for row in rows.tolist()])


def _check_names(place: Path, tiles: TextArray, pixels: int) -> None:
    given, wanted = {path.name for path in _seen(place)}, {f"{tile}{SUFFIX}" for tile in tiles.tolist()}
    _refuse(given - wanted, place, "files are no test tiles", "only test tiles", "drop them")
    _refuse(wanted - given, place, "test tiles have no image", "one image a test tile", "draw them, too")
    for name in sorted(wanted):
        problem = _problem(place / name, pixels)
        if problem:
            raise UserError(
                problem, where=place / name, expected=f"PNG, 8-bit RGB, {pixels} × {pixels} px", remedy="write it anew"
            )


def _seen(folder: Path) -> list[Path]:
    """What lies in a folder, sorted, less hidden files (file managers leave some)."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _refuse(names: Iterable[str], folder: Path, what: str, expected: str, remedy: str) -> None:
    some = sorted(names)
    if some:
        raise UserError(
            f"{len(some)} {what}, first {some[0]}",
            where=folder,
            expected=expected,
            remedy=f"{remedy}; see `slide2omics units ihc4bc`",
        )


def _problem(path: Path, pixels: int) -> str | None:
    """What is wrong by a file's header; its pixels are decoded when they are scored."""
    if not path.is_file():
        return "not a file"
    with path.open("rb") as file:
        start = file.read(26)
    if len(start) < 26 or not start.startswith(PNG_SIGNATURE) or start[12:16] != b"IHDR":
        return "not a PNG file"
    width, height, bits, colour = struct.unpack(">IIBB", start[16:26])
    if bits != 8:
        return f"{bits}-bit image"
    if colour != PNG_RGB:
        return f"{ {0: 'grey', 3: 'palette', 4: 'grey with alpha', 6: 'RGBA'}.get(colour, 'unknown') } image"
    return None if (width, height) == (pixels, pixels) else f"{width} × {height} px"
