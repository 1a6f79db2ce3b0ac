"""Super-tiles: the means of k-means clusters of a slide's tiles, made once for each cohort and encoder.

SEQUOIA groups tiles by their features (Methods, preprocessing), HE2RNA by their places on the slide; both are made. A
slide with no more tiles than places has its tiles themselves, first, and absent rows after them: SEQUOIA's code skips
such slides and HE2RNA pads them with zeros that count as tiles; here they are kept, counted, and marked.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.bulk.contract import GroupedBy, SuperTiles
from protocols.contract import FloatArray, RowArray
from protocols.errors import UserError
from protocols.images.tiling import TileRows, read_tiles, tile_crops
from protocols.progress import track
from protocols.spatial.store import SectionsStore
from protocols.survival.cohort import SlideFile
from protocols.task import CropSet, Opened

TILES = "tiles"
"""The only set of crops of a cohort."""
KMEANS_SEED = 0
"""SEQUOIA's released ``random_state``; ``n_init`` is scikit-learn's default, one start of k-means++."""
NOTE_FILE = "super_tiles.json"
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
            from protocols.readers.bag_files import read_bag

            yield SlideTiles(read_bag(root / slide.path, encoder), None)
        elif array is None:
            raise RuntimeError("image slides without an embedding")
        else:
            rows = tiles.rows_of(number)
            yield SlideTiles(np.array(array[rows], dtype=np.float32), tiles.xy_px[rows])


def make_super_tiles(folder: Path, label: str, slides: Iterator[SlideTiles], n: int, places: int) -> None:
    """Write the arrays of ``n`` slides one by one; the note counts slides with fewer tiles than K."""
    first = next(slides)
    width, short, tiles = first.features.shape[1], 0, 0
    shapes = {"features": (n, places, width), "coordinates": (n, places, width), "mean": (n, width)}
    arrays = {
        part: np.lib.format.open_memmap(_part(folder, part), mode="w+", dtype=np.float32, shape=shape)
        for part, shape in shapes.items()
    }
    there = np.lib.format.open_memmap(_part(folder, "present"), mode="w+", dtype=np.bool_, shape=(2, n, places))
    for number in track(range(n), f"{label}: super-tiles"):
        one = first if number == 0 else next(slides)
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
    record = {"width": width, "slides": n, "tiles": tiles, "fewer_than_places": short}
    (folder / NOTE_FILE).write_text(json.dumps(record, sort_keys=True), encoding="utf-8")


class SuperTileFiles:
    """Reads super-tiles through memory maps: a batch of slides is all that is held."""

    def __init__(self, folder: Path) -> None:
        self._arrays = {part: np.load(_part(folder, part), mmap_mode="r", allow_pickle=False) for part in PARTS}
        self._folder = folder

    @property
    def width(self) -> int:
        return int(self._arrays["mean"].shape[1])

    def super_tiles(self, rows: RowArray, grouped_by: GroupedBy) -> SuperTiles:
        present = np.array(self._arrays["present"][0 if grouped_by == "features" else 1][rows])
        if not present.any(axis=1).all():
            raise UserError(
                "tiles without places cannot be grouped by them",
                where=str(self._folder),
                expected="slides as images",
                remedy="use a model that groups by features, or hand in images",
            )
        return SuperTiles(np.array(self._arrays[grouped_by][rows]), present)

    def mean(self, rows: RowArray) -> FloatArray:
        return np.array(self._arrays["mean"][rows])


def _part(folder: Path, part: str) -> Path:
    return folder / f"{part}.npy"


def derive(opened: Opened, encoder: str, embeddings: Mapping[str, Path], folder: Path) -> None:
    """The super-tiles of a cohort's slides; sections have none: their windows are made of tiles as they are."""
    if isinstance(opened.store, SectionsStore):
        return
    slides, tiles = opened.store.slides, read_tiles(opened.folder)
    read = read_slide_tiles(slides, opened.entry.root, encoder, tiles, embeddings.get(TILES))
    make_super_tiles(folder, opened.name, read, len(slides), opened.settings.super_tiles)


def crops(opened: Opened) -> list[CropSet]:
    """The tiles of every slide or section that is an image."""
    return tile_crops(TILES, opened.folder, opened.store.slides, opened.entry.root, opened.settings.tile)


def serves(opened: Opened, encoder: str) -> bool:
    """Whether every slide can be embedded or is a precomputed bag of this encoder."""
    return all(slide.kind == "image" or slide.encoder == encoder for slide in opened.store.slides)
