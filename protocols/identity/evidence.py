"""What a cohort holds that may be of one person alone: slides, patches, tables, and whom the cohort says they are of.

A task says what it has (its part ``evidence``); everything after that is said once for every task. Evidence is made
once a cohort and kept as a sealed folder, with what every image is recognised by.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from protocols.contract import CropArray
from protocols.errors import UserError
from protocols.identity.inverted_file import DIMENSIONS
from protocols.identity.look_alike import Fingerprint, fingerprint, read_fingerprints, write_fingerprints
from protocols.identity.overview import overview
from protocols.identity.tables import PATIENT, Sameness, Tokens, nothing
from protocols.images.image import RASTER, open_image
from protocols.seeds import generator

KIND = "evidence"
ITEMS_FILE, PRINTS_FILE, TABLES_FILE = "items.json", "prints.npz", "tables.npz"
OVERVIEW_MPP = 1.0
"""µm a pixel at which slides are looked at; coarser where the longer side would pass 1,024 px."""
MIDDLE = 512
"""Side in pixels of the middle of a slide that is compared pixel by pixel."""
FLAT = 4.0
"""Standard deviation of green below which a picture shows nothing: two of glass may well be equal."""
Seen = Literal["", "seen", "flat", "too small", "unreadable", "over the maximum"]
"""What became of an item's picture; empty: it has none."""

NO_PRINT = Fingerprint(np.zeros((0, 2), dtype=np.float32), np.zeros((0, DIMENSIONS), dtype=np.uint8))


@dataclass(frozen=True, eq=False)
class Item:
    """One thing of a cohort, of one person.

    ``name`` for messages ("slide s1"); ``person``: the cohort's label, None where it is unknown; ``rows``: the rows of
    the cohort's folds that it goes with, from and to (none: it is in no fold). ``scan``: its file, by which its bytes
    are hashed; ``picture``: whether the file is an image; ``look``: whether it is compared by look, too. ``has_table``:
    it is counts or targets, with the sketch ``tokens``, empty where these say too little.
    """

    name: str
    person: str | None
    rows: tuple[int, int] = (0, 0)
    scan: Path | None = None
    picture: bool = False
    look: bool = True
    has_table: bool = False
    tokens: Tokens | None = None


@dataclass(frozen=True)
class Evidence:
    """All that a task knows. ``sameness``: from when on two of its tables are one."""

    items: tuple[Item, ...]
    sameness: Sameness = PATIENT


@dataclass(frozen=True)
class Known:
    """An item as it is kept: hashes of its bytes and of its decoded pixels (empty: none), and what was seen of it."""

    name: str
    person: str | None
    rows: tuple[int, int]
    bytes: str
    pixels: str
    seen: Seen
    look: bool
    has_table: bool


@dataclass(frozen=True, eq=False)
class Kept:
    """A cohort's evidence as it was kept; prints and tables are one an item, in its order."""

    items: tuple[Known, ...]
    prints: tuple[Fingerprint, ...]
    tables: tuple[Tokens, ...]
    sameness: Sameness


def write_evidence(
    folder: Path, evidence: Evidence, *, hash_of: Callable[[Path], str], most: int, seed: int, workers: int = 1
) -> None:
    """Open the pictures, at most ``most`` of them (drawn by ``seed``), and keep what the cohort is recognised by.

    ``hash_of`` hashes a file's bytes. A picture that is flat shows nothing: neither its bytes nor its pixels count.
    """
    items = evidence.items
    drawn = _drawn([item.picture for item in items], most, seed)
    files = sorted({item.scan for item in items if item.scan is not None})
    with ThreadPoolExecutor(max(1, workers)) as pool:
        looks = list(pool.map(_look_at, items, [place in drawn for place in range(len(items))]))
        hashes = dict(zip(files, pool.map(hash_of, files), strict=True))
    known = [_known(item, look, hashes) for item, look in zip(items, looks, strict=True)]
    told = {"items": [asdict(one) for one in known], "sameness": asdict(evidence.sameness)}
    (folder / ITEMS_FILE).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    write_fingerprints(folder / PRINTS_FILE, [look.print for look in looks])
    tokens = [nothing() if item.tokens is None else item.tokens for item in items]
    lengths = np.array([len(one) for one in tokens], dtype=np.int64)
    with (folder / TABLES_FILE).open("wb") as file:
        np.savez(file, tokens=np.concatenate([nothing(), *tokens]), lengths=lengths)


def read_evidence(folder: Path) -> Kept:
    """What :func:`write_evidence` kept in a folder whose seal was verified."""
    told = json.loads((folder / ITEMS_FILE).read_text(encoding="utf-8"))
    with np.load(folder / TABLES_FILE, allow_pickle=False) as arrays:
        tables = np.split(arrays["tokens"], np.cumsum(arrays["lengths"])[:-1])
    items = tuple(Known(**one | {"rows": tuple(one["rows"])}) for one in told["items"])
    return Kept(items, tuple(read_fingerprints(folder / PRINTS_FILE)), tuple(tables), Sameness(**told["sameness"]))


@dataclass(frozen=True, eq=False)
class _Look:
    seen: Seen
    pixels: str = ""
    print: Fingerprint = NO_PRINT


def _look_at(item: Item, drawn: bool) -> _Look:
    if item.scan is None or not item.picture:
        return _Look("")
    if not drawn:
        return _Look("over the maximum")
    try:
        picture = overview(item.scan, OVERVIEW_MPP)
    except UserError:  # the verdict is "unverifiable"; whoever needs the pixels says what is wrong with the file
        return _Look("unreadable")
    if picture is None:
        return _Look("too small")
    if _flat(picture):
        return _Look("flat")
    return _Look("seen", _pixels(item.scan, picture), fingerprint(picture) if item.look else NO_PRINT)


def _known(item: Item, look: _Look, hashes: Mapping[Path, str]) -> Known:
    digest = hashes[item.scan] if item.scan is not None and look.seen != "flat" else ""
    return Known(item.name, item.person, item.rows, digest, look.pixels, look.seen, item.look, item.has_table)


def _pixels(path: Path, picture: CropArray) -> str:
    """Hash of decoded pixels: of a slide those in its middle at full size, which do not hang on its pyramid."""
    if path.suffix.lower() not in RASTER:
        with open_image(path) as image:
            side = min(MIDDLE, image.width, image.height)
            middle = image.read_region((image.width - side) // 2, (image.height - side) // 2, side, side)
            size = (image.width, image.height)
        if not _flat(middle):
            return _digest(middle, *size)
    return _digest(picture)


def _flat(pixels: CropArray) -> bool:
    return float(pixels[..., 1].std()) < FLAT


def _digest(pixels: CropArray, *size: int) -> str:
    return hashlib.sha256(f"{(*size, *pixels.shape)}".encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest()


def _drawn(pictures: Sequence[bool], most: int, seed: int) -> set[int]:
    """Places of the pictures that are opened: all, or so many drawn by the seed."""
    places = np.flatnonzero(np.asarray(pictures, dtype=bool))
    if len(places) > most:
        places = generator(seed, "look-alikes").permutation(places)[:most]
    return set(places.tolist())
