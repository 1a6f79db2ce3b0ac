"""IHC images drawn elsewhere: a folder of PNG files, laid out as a model's own answers.

``<folder>/<cohort>/<marker>/<tile>.png``: 8-bit RGB of the tile's side, named as ``slide2omics units ihc4bc`` lists
tiles. Every tile is tested once, so a marker's folder holds one image for each. A marker that has a folder must be
there whole; others count as not handed in. A tile without an image is named in a table ``missing.csv`` (column
``tile``) beside the images: that declares it missing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from protocols import declared
from protocols.contract import CropArray, RowArray, TextArray
from protocols.errors import UserError, look_up
from protocols.images.patch_images import PNG_RGB, PNG_SIGNATURE, decode
from protocols.protocol import Board
from protocols.staining.answers import fold_file
from protocols.task import CohortRequest, Question

SUFFIX = ".png"
MISSING = "missing.csv"
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
    missing = _declared(place, np.concatenate(tiles))
    _check_names(place, np.concatenate(tiles), missing, store.tile.pixels)
    by_fold = {
        fold.name: missing & set(names.tolist()) for fold, names in zip(question.split.folds, tiles, strict=True)
    }
    declared.write(folder, by_fold, sum(map(len, tiles)), str(place))
    for number, names in enumerate(tiles):
        shape = (len(names), store.tile.pixels, store.tile.pixels, 3)
        array = np.lib.format.open_memmap(folder / fold_file(number), mode="w+", dtype=np.uint8, shape=shape)
        for start in range(0, len(names), AT_ONCE):
            rows = np.arange(start, min(start + AT_ONCE, len(names)), dtype=np.int64)
            rows = rows[[name not in missing for name in names[rows].tolist()]]
            if len(rows):
                array[rows] = _images(place, names, rows)
        array.flush()


def _images(place: Path, names: TextArray, rows: RowArray) -> CropArray:
    return np.stack([decode(place / f"{names[row]}{SUFFIX}") for row in rows.tolist()])


def _declared(place: Path, tiles: TextArray) -> frozenset[str]:
    """The tiles that ``missing.csv`` names, if it is there."""
    path = place / MISSING
    if not path.is_file():
        return frozenset()
    lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    if not lines or lines[0] != "tile":
        raise UserError("no column 'tile'", where=path, expected="a head, tile, and one name a line", remedy="add it")
    names = frozenset(lines[1:])
    _refuse(names - set(tiles.tolist()), path, "names are no test tiles", "only test tiles", "drop them")
    return names


def _check_names(place: Path, tiles: TextArray, missing: frozenset[str], pixels: int) -> None:
    given = {path.name for path in _seen(place)} - {MISSING}
    everything = {f"{tile}{SUFFIX}" for tile in tiles.tolist()}
    absent = {f"{tile}{SUFFIX}" for tile in missing}
    wanted = everything - absent
    _refuse(given & absent, place, f"tiles are in {MISSING} and have an image", "either", "drop one of them")
    _refuse(given - wanted, place, "files are no test tiles", "only test tiles", "drop them")
    remedy = f"draw them, too, or name them in {MISSING} to declare them missing"
    _refuse(wanted - given, place, "test tiles have no image", "one image a test tile", remedy)
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
