"""IHC images drawn elsewhere: a folder of PNG files, joined with the truth, refused if malformed, on the leaderboard.

``<folder>/<cohort>/<marker>/<tile>.png``: 8-bit RGB of the tile's side, named as ``slide2omics units ihc4bc`` lists
tiles. Every tile is tested once, so a marker's folder holds one image for each. A marker that has a folder must be
there whole; others count as not handed in.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from protocols import load_image_protocol
from protocols.cohorts.patch_images import PNG_RGB, PNG_SIGNATURE, decode
from protocols.contract import CropArray, RowArray, TextArray
from protocols.errors import UserError, look_up
from protocols.files import sha256_of
from protocols.ihc.scoring import Images
from protocols.ihc.splitting import read_ihc_split
from protocols.records import ScoreRecord
from suite.config import Config
from suite.ihc.cohorts import Board, boards, stored
from suite.ihc.scoring import score_answers, write_image_record
from suite.places import SPLITS, SUBMISSIONS
from suite.submissions import predictions_only_manifest

SUFFIX = ".png"
WEIGHTS = [{"part": "whole model", "source": "predictions only", "revision": None, "sha256": None}]
NAME = re.compile(r"\w[\w.+ -]*")
"""A model's name is a folder's name: no separators, no leading dot."""


def score_ihc_submission(config: Config, protocol: str, model: str, folder: Path, note: str) -> list[ScoreRecord]:
    """Score the boards that were handed in; the model's earlier ones are replaced once all of these are scored.

    All names and headers are looked at before the first image is scored; images are read a few at a time. A missing,
    strange or malformed file is a :class:`UserError` that names it.
    """
    asked = load_image_protocol(protocol)
    if model in config.ihc.models:
        raise UserError(
            f"{model!r} is a model of params.yaml", where="--model", expected="a name of its own", remedy="rename it"
        )
    if not NAME.fullmatch(model):
        raise UserError(
            f"{model!r} is no name", where="--model", expected="letters, digits and . + - _", remedy="choose another"
        )
    found = handed_in(config, folder)
    expected = {board: _test_tiles(config, board) for board in found}
    entries = {board.name: _checked(config, board, place, expected[board]) for board, place in found.items()}
    manifest = predictions_only_manifest(config, asked.name, asked.version, model, note)
    manifest["card"]["task"] = "image"
    manifest["boards"] = entries
    scores = {board: score_answers(config, board, _reader(place)) for board, place in found.items()}
    out = SUBMISSIONS / asked.name / model
    shutil.rmtree(out, ignore_errors=True)  # boards of an older folder would stand beside those of this one
    return [write_image_record(config, out / board.name, manifest, board, scores[board]) for board in found]


def handed_in(config: Config, folder: Path) -> dict[Board, Path]:
    """Boards that have a folder, in the order of ``params.yaml``; whatever else lies there is refused."""
    if not folder.is_dir():
        raise UserError(
            "no such folder", where=folder, expected=f"<cohort>/<marker>/<tile>{SUFFIX}", remedy="check the path"
        )
    known = [board for board in boards(config) if board.marker in stored(config, board.cohort).markers]
    for cohort in _seen(folder):
        look_up(cohort.name, config.ihc.cohorts, kind="cohort", where=folder)
        markers = {board.marker: board for board in known if board.cohort == cohort.name}
        for marker in _seen(cohort) if cohort.is_dir() else ():
            look_up(marker.name, markers, kind="marker", where=cohort)
    found = {board: place for board in known if (place := folder / board.cohort / board.marker).is_dir()}
    if not found:
        raise UserError(
            "no marker's folder", where=folder, expected=f"<cohort>/<marker>/<tile>{SUFFIX}",
            remedy="see `slide2omics units ihc4bc`",
        )  # fmt: skip
    return found


def _seen(folder: Path) -> list[Path]:
    """What lies in a folder, sorted, less hidden files (file managers leave some)."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _test_tiles(config: Config, board: Board) -> TextArray:
    store = stored(config, board.cohort)
    split, _ = read_ihc_split(SPLITS / "ihc4bc" / board.cohort)
    return np.concatenate([store.tiles(store.rows_of(board.marker, fold.test)).name for fold in split.folds])


def _checked(config: Config, board: Board, folder: Path, tiles: TextArray) -> dict[str, Any]:
    """A board's entry of the manifest, once every name and header was found right."""
    given, wanted = {path.name for path in _seen(folder)}, {f"{tile}{SUFFIX}" for tile in tiles.tolist()}
    _refuse(given - wanted, folder, "files are no test tiles", "only test tiles", "drop them")
    _refuse(wanted - given, folder, "test tiles have no image", "one image a test tile", "draw them, too")
    store = stored(config, board.cohort)
    digest = hashlib.sha256()
    for name in sorted(wanted):
        problem = _problem(folder / name, store.tile.pixels)
        if problem:
            raise UserError(
                problem, where=folder / name, expected=f"PNG, 8-bit RGB, {store.tile.pixels} × {store.tile.pixels} px",
                remedy="write it anew",
            )  # fmt: skip
        digest.update(f"{name} {sha256_of(folder / name)}\n".encode())
    _, record = read_ihc_split(SPLITS / "ihc4bc" / board.cohort)
    hashes = {"cohort": store.hash, "split": record["hash"], "inputs": digest.hexdigest()}
    return {**hashes, "skipped": None, "weights": WEIGHTS}


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


def _reader(folder: Path) -> Any:
    """Images of a fold's test tiles by name, decoded when they are asked for."""

    def images_of(_number: int, tiles: TextArray) -> Images:
        def read(rows: RowArray) -> CropArray:
            return np.stack([decode(folder / f"{tile}{SUFFIX}") for tile in tiles[rows].tolist()])

        return read

    return images_of
