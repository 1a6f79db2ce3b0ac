"""Sections with spatial transcriptomics as the pipeline keeps them: tiles on a grid, and the truth at each tile."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.errors import UserError
from protocols.files import sha256_of, write_text_whole, written_whole
from protocols.metrics.spatial_maps import TileGrid
from protocols.splits import Exclusion
from protocols.survival.cohort import SlideFile

SECTIONS_FILE = "sections.json"
FOLDER = "sections"
"""Files that are named by sections have a folder of their own: a section may be called as another file is."""
Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Section:
    """One section. ``row``, ``column`` int64 ``(t,)``: its tissue tiles; ``expression`` ``(t, genes)``: what spots say
    there (log-normalised, four nearest spots, 3 x 3 median), on every tile; ``spots`` were read."""

    name: str
    patient: str
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    genes: tuple[str, ...]
    expression: Float
    spots: int

    @property
    def grid(self) -> TileGrid:
        return TileGrid(self.row, self.column)


@dataclass(frozen=True)
class Thumbnail:
    """A small picture of a section: JPEG bytes, (width, height) in pixels, and micrometres a pixel."""

    jpeg: bytes
    size: tuple[int, int]
    um_per_pixel: float


class SectionsStore:
    """Read access to stored sections; the slides' numbers are the sections' places."""

    def __init__(self, folder: Path) -> None:
        path = folder / SECTIONS_FILE
        try:
            record = json.loads(path.read_text())
        except FileNotFoundError:
            raise UserError(
                "no sections here", where=path, expected="stored sections", remedy="run `dvc repro read`"
            ) from None
        self.folder, self.phantom = folder, bool(record["phantom"])
        self.slides = tuple(SlideFile(**slide) for slide in record["slides"])
        self.slide_hashes: tuple[str, ...] = tuple(record["slide_hashes"])
        self.spots: tuple[int, ...] = tuple(record["spots"])
        self.tile_um = float(record["tile_um"])
        self.window, self.stride = int(record["window"]), int(record["stride"])
        self.excluded = tuple(Exclusion(**item) for item in record["excluded"])
        self._thumbnails: dict[str, dict[str, float]] = record["thumbnails"]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(slide.slide for slide in self.slides)

    def thumbnail(self, number: int) -> Thumbnail:
        """The picture that was kept when the section was read."""
        slide = self.slides[number].slide
        facts = self._thumbnails[slide]
        jpeg = (self.folder / FOLDER / f"{slide}.jpg").read_bytes()
        return Thumbnail(jpeg, (int(facts["width"]), int(facts["height"])), float(facts["um_per_pixel"]))

    def section(self, number: int) -> Section:
        slide = self.slides[number]
        table = pd.read_parquet(self.folder / FOLDER / f"{slide.slide}.parquet")
        genes = tuple(str(name) for name in table.columns[2:])
        return Section(
            name=slide.slide,
            patient=slide.patient,
            row=table["row"].to_numpy(np.int64),
            column=table["column"].to_numpy(np.int64),
            genes=genes,
            expression=table[list(genes)].to_numpy(np.float64),
            spots=self.spots[number],
        )


def write_sections(
    folder: Path,
    sections: list[Section],
    slides: tuple[SlideFile, ...],
    *,
    root: Path,
    phantom: bool,
    tile_um: float,
    window: int,
    stride: int,
    thumbnails: dict[str, Thumbnail],
    excluded: tuple[Exclusion, ...] = (),
) -> SectionsStore:
    """Store sections; ``sections.json`` comes last, so a folder that has it is whole."""
    for section in sections:
        columns: dict[str, Any] = {"row": section.row, "column": section.column}
        columns |= {gene: section.expression[:, k].astype(np.float32) for k, gene in enumerate(section.genes)}
        table = pd.DataFrame(columns)
        with written_whole(folder / FOLDER / f"{section.name}.parquet") as part:
            table.to_parquet(part, compression="zstd", index=False)
    for name, picture in thumbnails.items():
        with written_whole(folder / FOLDER / f"{name}.jpg") as part:
            part.write_bytes(picture.jpeg)
    record: dict[str, Any] = {
        "phantom": phantom,
        "tile_um": tile_um,
        "window": window,
        "stride": stride,
        "slides": [asdict(slide) for slide in slides],
        "slide_hashes": [sha256_of(root / slide.path) for slide in slides],
        "spots": [section.spots for section in sections],
        "thumbnails": {
            name: {"width": one.size[0], "height": one.size[1], "um_per_pixel": one.um_per_pixel}
            for name, one in thumbnails.items()
        },
        "excluded": [asdict(item) for item in excluded],
    }
    write_text_whole(folder / SECTIONS_FILE, json.dumps(record, indent=1) + "\n")
    return SectionsStore(folder)
