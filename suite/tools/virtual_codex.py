"""Every marker over a whole slide, tile by tile, by a model that was fitted on a cohort of proteins.

What is asked is what the cohort's units are: squares of the same side in µm, in as many pixels, over the slide's
tissue and beside each other. Slide and model are asked some tiles at a time; what is kept of a tile is its place, its
embedding and its answers, in files, so memory does not follow the slide.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from protocols.contract import FloatArray, Inputs, RowArray, Settings
from protocols.expression.view_makers import embedding_reader
from protocols.expression.views import InputView, RowReader
from protocols.files import written_whole
from protocols.images.crops import CohortCrops
from protocols.images.source import FieldOfView
from protocols.images.tissue_tiles import TileTable, tile_slide
from protocols.progress import steps
from suite.tools.marker_maps import TISSUE, growing_maps, write_maps
from suite.tools.token_bag import refuse_other_name, write_bag

TILES_AT_ONCE = 512
DECODED_BYTES = 256 << 20
"""Of the slide's own tiles, kept from one batch to the next: a row of tiles of the widest slides."""
EVERY_TILE = 1 << 40


class Predicts(Protocol):
    def predict(self, test: Inputs) -> FloatArray: ...


@dataclass(frozen=True)
class Asked:
    """What a cohort's model is asked about: its markers, the side and pixels of a tile, the encoder that it reads."""

    markers: tuple[str, ...]
    um: float
    pixels: int
    settings: Settings
    encoder: str | None = None
    field: FieldOfView = "whole"


@dataclass(frozen=True)
class CodexReport:
    """What was drawn: ``outside`` counts answers below 0 or above 1, which a bag of tokens would clip."""

    out: Path
    rows: int
    columns: int
    tiles: int
    glass: int
    markers: int
    outside: int
    bytes: int
    seconds: float

    @property
    def tiles_per_second(self) -> float:
        return self.tiles / self.seconds if self.seconds else 0.0


def draw_codex(
    slide: Path,
    model: Predicts,
    out: Path,
    asked: Asked,
    *,
    tissue: str = "saturation",
    mpp: float | None = None,
    predictions: Path | None = None,
    bag: Path | None = None,
    bag_settings: Settings | None = None,
) -> CodexReport:
    """Ask ``model`` about every tile of tissue and write the maps; see :func:`suite.tools.marker_maps.write_maps`.

    A slide whose file does not say its resolution is refused unless ``mpp`` is given: HEX's scripts fall back to 40x in
    one place and to 20x in another, and nothing shows which. ``predictions``: an .h5 with ``codex_prediction``
    ``(tiles, markers)`` and ``coords`` (upper left corners, level-0 pixels), which HEX's scripts read and none writes.
    ``bag``: another .h5, of a token a marker; see :func:`suite.tools.token_bag.write_bag`.
    """
    start = time.monotonic()
    if bag is not None:
        refuse_other_name(bag)
    table = tile_slide(slide, um=asked.um, tissue=tissue, max_tiles=EVERY_TILE, seed=0, mpp=mpp)
    side = asked.um / table.mpp
    column, row = (np.floor(table.centres / side).astype(np.int64)).T
    columns = _columns(slide, side)
    rows = table.seen // columns
    outside = 0
    with (
        growing_maps(out, len(asked.markers) + 1, rows, columns) as planes,
        TemporaryDirectory(dir=out.parent, prefix=".tiles-") as folder,
    ):
        answers = np.lib.format.open_memmap(
            Path(folder) / "answers.npy", mode="w+", dtype=np.float32, shape=(len(column), len(asked.markers))
        )
        for at, answer in _answered(slide, table, model, asked, Path(folder)):
            planes[:-1, row[at], column[at]] = answer.T
            planes[-1, row[at], column[at]] = 1.0
            answers[at] = answer
            outside += int(((answer < 0) | (answer > 1)).sum())
        size = write_maps(out, planes, [*asked.markers, TISSUE], um=asked.um, title=slide.stem)
        if predictions is not None:
            write_predictions(predictions, answers, np.rint(table.centres - side / 2).astype(np.int64), asked.markers)
        if bag is not None:
            write_bag(bag, planes[:-1], asked.markers, bag_settings or asked.settings, slide.name)
        del answers
    return CodexReport(
        out=out,
        rows=rows,
        columns=columns,
        tiles=len(column),
        glass=table.seen - len(column),
        markers=len(asked.markers),
        outside=outside,
        bytes=size,
        seconds=time.monotonic() - start,
    )


def write_predictions(path: Path, answers: FloatArray, corners: NDArray[np.int64], markers: Sequence[str]) -> None:
    """HEX's .h5 of a slide, with the markers' names, which its own has not."""
    import h5py

    with written_whole(path) as part, h5py.File(part, "w", libver=("earliest", "v110")) as file:
        file.create_dataset("codex_prediction", data=answers, track_times=False)
        file.create_dataset("coords", data=corners, track_times=False)
        file.attrs["markers"] = list(markers)


def _columns(slide: Path, side: float) -> int:
    from protocols.images.image import open_image

    with open_image(slide) as image:
        return int(image.width / side)


def _answered(slide: Path, table: TileTable, model: Predicts, asked: Asked, folder: Path) -> Any:
    """``(rows of the table, answers float32 (n, markers))``, a few rows of tiles at a time, checked."""
    from protocols.expression.answers import checked

    number = len(table.centres)
    images, none = [(slide, table.mpp)], np.zeros(number, np.int64)
    crops = CohortCrops(none, table.centres, images, asked.um, asked.pixels, tile_bytes=DECODED_BYTES)
    try:
        embedding = _embedding(crops, number, asked, folder / "tiles.npy", slide.name)
        with steps(number, f"{slide.name}: asking about {number} tiles") as report:
            for first in range(0, number, TILES_AT_ONCE):
                at = np.arange(first, min(first + TILES_AT_ONCE, number), dtype=np.int64)
                view = _view(slide, table, asked, at, crops, embedding)
                answer = checked(model.predict(view), (len(at), len(asked.markers)), "of the slide", slide.name)
                report(int(at[-1]) + 1)
                yield at, answer
    finally:
        crops.close()


def _view(
    slide: Path, table: TileTable, asked: Asked, at: RowArray, crops: CohortCrops, embedding: RowReader | None
) -> InputView:
    name = np.full(len(at), slide.stem)
    return InputView(
        rows=at,
        genes=asked.markers,
        slide=name,
        patient=name,
        cancer=np.full(len(at), "unknown"),
        xy_um=(table.centres[at] * table.mpp).astype(np.float32),
        settings=asked.settings,
        crop_source=crops,
        embedding_reader=embedding,
    )


def _embedding(crops: CohortCrops, number: int, asked: Asked, out: Path, name: str) -> RowReader | None:
    """What the model's encoder makes of every tile, in a file; None for a model without one."""
    if asked.encoder is None:
        return None
    from baselines.encoders.embedding import embed

    rows = np.arange(number, dtype=np.int64)
    with steps(number, f"{name}: embedding {number} tiles with {asked.encoder}") as report:
        told: Callable[[int, int], None] = lambda done, _: report(done)  # noqa: E731
        embed(asked.encoder, crops, rows, asked.settings, out, told, um=asked.um, field=asked.field)
    return embedding_reader(out)
