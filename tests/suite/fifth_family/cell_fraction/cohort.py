"""A cohort as it is kept: its table and every slide's tiles."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from protocols.contract import CropArray
from protocols.images.source import ArrayCrops
from protocols.registry import load_reader
from protocols.task import CohortRequest, CropSet, Opened

TILES = "tiles"


@dataclass(frozen=True, eq=False)
class FractionStore:
    table: pd.DataFrame
    tiles: CropArray
    """``(slides x tiles, p, p, 3)``, as many of every slide."""

    @property
    def a_slide(self) -> int:
        return len(self.tiles) // len(self.table)


def data_files(request: CohortRequest) -> list[Path]:
    entry = request.entry
    reader = load_reader("cell_fraction", entry.reader)
    more = reader.data_files(entry.root, entry.table) if reader.data_files else []
    return [entry.root / entry.table, *more]


def read(request: CohortRequest, folder: Path) -> None:
    entry, p = request.entry, request.settings.tile_px
    table = load_reader("cell_fraction", entry.reader).read(entry.root, entry.table)
    slides = np.stack([np.asarray(Image.open(entry.root / image).convert("RGB")) for image in table["image"]])
    n, side = len(slides), slides.shape[1] // p
    cut = slides[:, : side * p, : side * p].reshape(n, side, p, side, p, 3).swapaxes(2, 3)
    np.save(folder / "tiles.npy", cut.reshape(-1, p, p, 3))
    table.drop(columns="image").to_csv(folder / "slides.csv", index=False)


def open_store(_request: CohortRequest, folder: Path) -> FractionStore:
    table = pd.read_csv(folder / "slides.csv", dtype={"slide": str, "patient": str})
    return FractionStore(table, np.load(folder / "tiles.npy"))


def crops(opened: Opened) -> list[CropSet]:
    tiles = opened.store.tiles
    return [CropSet(TILES, ArrayCrops(tiles), np.arange(len(tiles)))]
