"""Super-tiles: the means of k-means clusters of a slide's tiles, made once for each cohort and encoder.

SEQUOIA groups tiles by their features (Methods, preprocessing), HE2RNA by their places on the slide; both are made. A
slide with no more tiles than places has its tiles themselves, first, and absent rows after them: SEQUOIA's code skips
such slides and HE2RNA pads them with zeros that count as tiles; here they are kept, counted, and marked.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.bulk_contract import GroupedBy, SuperTiles
from protocols.contract import FloatArray, RowArray
from protocols.errors import UserError
from protocols.files import sha256_of_files, write_text_whole, written_whole
from protocols.survival.cohort import SlideFile
from suite.config import Config
from suite.places import EMBEDDINGS
from suite.progress import track
from suite.stages.encoder_sources import repository
from suite.tiling import TileRows

KMEANS_SEED = 0
"""SEQUOIA's released ``random_state``; ``n_init`` is scikit-learn's default, one start of k-means++."""
PARTS = ("features", "coordinates", "present", "mean")


@dataclass(frozen=True)
class SlideTiles:
    """One slide's tile features ``(t, d)`` and their places ``(t, 2)``, None where a precomputed bag has none."""

    features: FloatArray
    xy: NDArray[np.float64] | None


def group_means(
    features: FloatArray, by: NDArray[np.floating[Any]], places: int
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """``(K, d)`` means of k-means clusters of ``by``'s rows, and which of the K are present."""
    means = np.zeros((places, features.shape[1]), dtype=np.float32)
    present = np.zeros(places, dtype=bool)
    if len(features) <= places:
        means[: len(features)], present[: len(features)] = features, True
        return means, present
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ConvergenceWarning
        )  # fewer different tiles than clusters: empty ones are absent
        label = KMeans(places, random_state=KMEANS_SEED, n_init=1).fit(np.asarray(by, dtype=np.float64)).labels_
    counts = np.bincount(label, minlength=places)
    present[:] = counts > 0
    for cluster in np.flatnonzero(present):
        means[cluster] = features[label == cluster].mean(axis=0, dtype=np.float64)
    return means, present


def read_slide_tiles(
    slides: tuple[SlideFile, ...], root: Path, encoder: str, tiles: TileRows, embedding: Path | None
) -> Iterator[SlideTiles]:
    """Each slide's tiles in order: out of the embedding's memory map, or from a file of precomputed features."""
    array = np.load(embedding, mmap_mode="r", allow_pickle=False) if embedding else None
    for number, slide in enumerate(slides):
        if slide.kind == "bag":
            from baselines.encoders.bag_files import read_bag

            yield SlideTiles(read_bag(root / slide.path, encoder), None)
        elif array is None:
            raise RuntimeError("image slides without an embedding")
        else:
            rows = tiles.rows_of(number)
            yield SlideTiles(np.array(array[rows], dtype=np.float32), tiles.xy_px[rows])


def super_tile_stem(config: Config, kind: str, name: str, encoder: str, content: str) -> Path:
    """The common beginning of the files that hold a cohort's super-tiles; ``content`` is the hash of its features."""
    key = {
        "features": content,
        "places": config.bulk.super_tiles,
        "sources": sha256_of_files([repository() / "suite/bulk/super_tiles.py"], repository()),
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return EMBEDDINGS / kind / name / f"{encoder}-super-{digest[:16]}"


def make_super_tiles(stem: Path, label: str, slides: Iterator[SlideTiles], n: int, places: int) -> dict[str, Any]:
    """Write the arrays of ``n`` slides one by one; the note comes last and counts slides with fewer tiles than K."""
    note = stem.with_suffix(".json")
    if note.exists():
        found: dict[str, Any] = json.loads(note.read_text())
        return found
    first = next(slides)
    width, short, tiles = first.features.shape[1], 0, 0
    shapes = {"features": (n, places, width), "coordinates": (n, places, width), "mean": (n, width)}
    with (
        written_whole(_part(stem, "features")) as features,
        written_whole(_part(stem, "coordinates")) as coordinates,
        written_whole(_part(stem, "mean")) as mean,
        written_whole(_part(stem, "present")) as present,
    ):
        paths = {"features": features, "coordinates": coordinates, "mean": mean}
        arrays = {
            part: np.lib.format.open_memmap(paths[part], mode="w+", dtype=np.float32, shape=shape)
            for part, shape in shapes.items()
        }
        there = np.lib.format.open_memmap(present, mode="w+", dtype=np.bool_, shape=(2, n, places))
        for number, slide in enumerate(track(range(n), f"{label}: super-tiles")):
            one = first if slide == 0 else next(slides)
            if one.features.shape[1] != width:
                raise UserError(
                    f"slide {number} has {one.features.shape[1]} features a tile", where=label, expected=str(width),
                    remedy="hand in features of one encoder",
                )  # fmt: skip
            short, tiles = short + (len(one.features) < places), tiles + len(one.features)
            arrays["mean"][number] = one.features.mean(axis=0, dtype=np.float64)
            arrays["features"][number], there[0, number] = group_means(one.features, one.features, places)
            if one.xy is not None:
                arrays["coordinates"][number], there[1, number] = group_means(one.features, one.xy, places)
        for array in (*arrays.values(), there):
            array.flush()
    record = {"stem": stem.as_posix(), "width": width, "slides": n, "tiles": tiles, "fewer_than_places": short}
    write_text_whole(note, json.dumps(record, sort_keys=True))
    return record


class SuperTileFiles:
    """Reads super-tiles through memory maps: a batch of slides is all that is held."""

    def __init__(self, stem: Path) -> None:
        self._arrays = {part: np.load(_part(stem, part), mmap_mode="r", allow_pickle=False) for part in PARTS}
        self._stem = stem

    @property
    def width(self) -> int:
        return int(self._arrays["mean"].shape[1])

    def super_tiles(self, rows: RowArray, grouped_by: GroupedBy) -> SuperTiles:
        present = np.array(self._arrays["present"][0 if grouped_by == "features" else 1][rows])
        if not present.any(axis=1).all():
            raise UserError(
                "tiles without places cannot be grouped by them",
                where=str(self._stem),
                expected="slides as images",
                remedy="use a model that groups by features, or hand in images",
            )
        return SuperTiles(np.array(self._arrays[grouped_by][rows]), present)

    def mean(self, rows: RowArray) -> FloatArray:
        return np.array(self._arrays["mean"][rows])


def _part(stem: Path, part: str) -> Path:
    return stem.with_name(f"{stem.name}-{part}.npy")
