"""Tiles over the slides of a cohort of patients: laid once, kept as a table, read slide by slide."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.files import written_whole
from protocols.images.crops import CohortCrops
from protocols.images.tissue_tiles import tile_slide
from protocols.progress import track
from protocols.settings import TileSettings
from protocols.survival.cohort import SlideFile
from protocols.task import CropSet

TILES_FILE = "tiles.parquet"


def lay_tiles(name: str, slides: tuple[SlideFile, ...], root: Path, tile: TileSettings, seed: int) -> pd.DataFrame:
    """One row a tile: slide (its number), x_px, y_px (centre, level 0) and mpp; sorted by slide."""
    tables = []
    images = [(number, slide) for number, slide in enumerate(slides) if slide.kind == "image"]
    for number, slide in track(images, f"{name}: tiling slides"):
        found = tile_slide(
            root / slide.path, um=tile.um, mpp=slide.mpp, tissue=tile.tissue, max_tiles=tile.max_tiles, seed=seed
        )
        x, y = found.centres.T
        tables.append(pd.DataFrame({"slide": np.int32(number), "x_px": x, "y_px": y, "mpp": found.mpp}))
    empty = pd.DataFrame({"slide": np.zeros(0, np.int32), "x_px": np.zeros(0), "y_px": np.zeros(0), "mpp": np.zeros(0)})
    return pd.concat(tables, ignore_index=True) if tables else empty


def write_tiles(folder: Path, table: pd.DataFrame) -> None:
    with written_whole(folder / TILES_FILE) as part:
        table.to_parquet(part, compression="zstd", index=False)


@dataclass(frozen=True, eq=False)
class TileRows:
    """All tiles of a cohort, slide by slide."""

    slide: NDArray[np.int32]
    xy_px: NDArray[np.float64]
    mpp: dict[int, float]

    def __len__(self) -> int:
        return len(self.slide)

    def rows_of(self, number: int) -> slice:
        """The tiles of one slide; they lie together."""
        start, stop = np.searchsorted(self.slide, [number, number + 1])
        return slice(int(start), int(stop))


def read_tiles(folder: Path) -> TileRows:
    """The tiles that :func:`write_tiles` kept."""
    table = pd.read_parquet(folder / TILES_FILE)
    slide = table["slide"].to_numpy(np.int32)
    numbers, first = np.unique(slide, return_index=True)
    mpp = {int(number): float(table["mpp"].iloc[at]) for number, at in zip(numbers, first, strict=True)}
    return TileRows(slide, table[["x_px", "y_px"]].to_numpy(np.float64), mpp)


def tile_crops(key: str, folder: Path, slides: tuple[SlideFile, ...], root: Path, tile: TileSettings) -> list[CropSet]:
    """The tiles of a cohort's slides as one set of crops to embed; none where no slide is an image."""
    if not any(slide.kind == "image" for slide in slides):
        return []
    tiles = read_tiles(folder)
    images = [(root / slide.path, tiles.mpp.get(number, 1.0)) for number, slide in enumerate(slides)]
    source = CohortCrops(tiles.slide, tiles.xy_px, images, tile.um, tile.pixels)
    rows = np.arange(len(tiles), dtype=np.int64)
    return [CropSet(key, source, rows, um=tile.um, field=tile.field)]
