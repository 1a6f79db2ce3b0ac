"""Virtual staining of a whole slide: overlapping windows, predicted in batches, blended, and streamed to a pyramid.

The slide is read downwards at the model's resolution; what is held is one row of windows, its blended sums and the rows
of tiles of the pyramid writer, so memory follows the slide's width and not its height.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from protocols.contract import CropArray
from protocols.errors import UserError, look_up
from protocols.images.image import WHITE, SlideImage
from protocols.images.pyramid_writer import SUFFIXES, write_pyramid
from protocols.images.tissue_tiles import RULES
from protocols.metrics.seams import SeamScore, cells, pooled_units, seam_score, seam_units
from protocols.progress import steps
from suite.tools.windows import Axis, FieldReader, lay_axis, white_padded

Predict = Callable[[CropArray], CropArray]
"""H&E windows, uint8 RGB ``(k, p, p, 3)``, to stained windows of the same shape; each independent of the others."""
BLENDINGS = {"cosine": "cosine", "none": "none"}
CELLS = 4
"""A window is looked through for tissue in 4 x 4 cells; one that is half tissue is enough to predict it."""

JPEG_PERIOD = 16
GLASS = 250
"""A pixel with every channel at least this bright is glass when seams are measured."""


@dataclass(frozen=True)
class FieldReport:
    """What was made. ``glass`` windows were not predicted; ``x_seams, y_seams`` say where to look for seams."""

    out: Path
    width: int
    height: int
    mpp: float
    level: int
    level_pixels_per_pixel: float
    level_sizes: tuple[tuple[int, int], ...]
    windows: int
    predicted: int
    glass: int
    batches: int
    tile_px: int
    overlap_px: int
    blending: str
    tissue_rule: str
    x_seams: tuple[int, ...]
    y_seams: tuple[int, ...]
    bytes: int
    uuid: str
    seconds: float


def generate_field(
    image: SlideImage,
    predict: Predict,
    *,
    out: Path,
    tile_px: int,
    overlap_px: int,
    mpp_model: float,
    batch: int,
    blending: str = "cosine",
    tissue_rule: str = "saturation",
    mpp: float | None = None,
    compression: str = "jpeg",
    quality: int = 90,
) -> FieldReport:
    """Predict overlapping windows over a slide and write them as one pyramidal OME-TIFF at the model's resolution.

    A window without a cell of tissue (``tissue_rule`` of :mod:`protocols.images.tissue_tiles`) is glass: it is not
    predicted and has no say in the blend, so tissue at its rim keeps its full stain; what no predicted window covers is
    white. ``mpp`` overrides what the file says. Settings that cannot work, a slide without tissue and an answer of
    another shape or type are :class:`UserError`. Interrupted, it leaves nothing behind.
    """
    start = time.monotonic()
    _check(image, out, tile_px, overlap_px, batch)
    look_up(blending, BLENDINGS, kind="blending", where="blending")
    reader = FieldReader(image, mpp_model, tile_px, mpp)
    across, down = (lay_axis(side, tile_px, overlap_px, blending) for side in (reader.width, reader.height))
    tissue = tissue_windows(reader, across, down, tissue_rule)
    predicted = int(tissue.sum())
    batches = sum(ceil(int(row.sum()) / batch) for row in tissue)
    with steps(predicted, f"{image.path.name}: staining {predicted} of {tissue.size} windows") as report:
        written = write_pyramid(
            out,
            _field(reader, predict, across, down, tissue, batch, report),
            width=reader.width,
            height=reader.height,
            mpp=reader.mpp,
            compression=compression,
            quality=quality,
            name=out.name.split(".ome.")[0],
        )
    return FieldReport(
        out=out,
        width=reader.width,
        height=reader.height,
        mpp=reader.mpp,
        level=reader.index,
        level_pixels_per_pixel=reader.scale_x,
        level_sizes=written.level_sizes,
        windows=tissue.size,
        predicted=predicted,
        glass=tissue.size - predicted,
        batches=batches,
        tile_px=tile_px,
        overlap_px=overlap_px,
        blending=blending,
        tissue_rule=tissue_rule,
        x_seams=across.seams,
        y_seams=down.seams,
        bytes=written.bytes,
        uuid=written.uuid,
        seconds=time.monotonic() - start,
    )


def field_seams(image: SlideImage, report: FieldReport) -> SeamScore:
    """Seams of what was written, over everything darker than glass; read band by band.

    "cosine": where windows begin and end; "none": where one takes over from the next. Borders are compared with lines
    in the same place of JPEG's blocks, which have seams of their own. What the H&E itself shows there stands in
    the result too: a model that changes nothing is the reference.
    """
    parts = []
    for at, (top, bottom) in enumerate(cells(report.y_seams, report.height)):
        above = min(top, 1)  # the line between two bands needs a row of both
        band = image.read_region(0, top - above, report.width, bottom - top + above)
        rows = [y - top + above for y in report.y_seams[at : at + 1]]
        parts.append(seam_units(band, report.x_seams, rows, np.asarray((band < GLASS).any(axis=2)), JPEG_PERIOD))
    return seam_score(pooled_units(parts))


def tissue_windows(reader: FieldReader, across: Axis, down: Axis, rule: str) -> NDArray[np.bool_]:
    """Which windows are predicted, bool ``(rows, columns)``: those that touch a cell of tissue."""
    cell = across.tile / CELLS
    columns, rows = ceil(reader.width / cell), ceil(reader.height / cell)
    found = look_up(rule, RULES, kind="tissue rule", where="tissue_rule")
    filled = found(reader.image, cell * reader.level0_per_pixel, columns, rows).reshape(rows, columns)
    touched = [[slice(int(s / cell), ceil((s + axis.tile) / cell)) for s in axis.start] for axis in (down, across)]
    tissue = np.array([[filled[y, x].any() for x in touched[1]] for y in touched[0]])
    if not tissue.any():
        raise UserError(
            f"none of {tissue.size} windows holds tissue by the rule {rule!r}",
            where=reader.image.path,
            expected="tissue",
            remedy="look at the slide, or choose another rule",
        )
    return tissue


def _field(
    reader: FieldReader,
    predict: Predict,
    across: Axis,
    down: Axis,
    tissue: NDArray[np.bool_],
    batch: int,
    report: Callable[[int], None],
) -> Iterator[CropArray]:
    """Finished rows of the stained field, from top to bottom, uint8 ``(rows, width, 3)``."""
    tile, wide = across.tile, max(across.length, across.tile)
    pixels = np.empty((0, wide, 3), np.uint8)  # the slide's rows from the window row's first on
    total = np.zeros((tile, wide, 3), np.float32)
    weight = np.zeros((tile, wide), np.float32)
    done, read, top = 0, 0, 0
    for row, first in enumerate(down.start):
        pixels = pixels[first - top :]
        top, bottom = first, min(first + tile, reader.height)
        if bottom > read:
            fresh = reader.rows(read, bottom)
            pixels = np.concatenate([pixels, white_padded(fresh, len(fresh), wide)])
            read = bottom
        band = white_padded(pixels, tile, wide)
        columns = np.flatnonzero(tissue[row])
        for chunk in range(0, len(columns), batch):
            members = columns[chunk : chunk + batch]
            asked = np.stack([band[:, x : x + tile] for x in (across.start[c] for c in members)])
            answer = _checked(predict(asked), asked.shape)
            for column, stained in zip(members, answer, strict=True):
                part = slice(across.start[column], across.start[column] + tile)
                share = np.outer(down.weight[row], across.weight[column]).astype(np.float32)
                total[:, part] += share[..., None] * stained
                weight[:, part] += share
            done += len(members)
            report(done)
        end = down.start[row + 1] if row + 1 < len(down.start) else reader.height
        ready = end - first
        yield _mean(total[:ready], weight[:ready])[:, : reader.width]
        for sums in (total, weight):  # downwards rows move up in place
            sums[: tile - ready] = sums[ready:]
            sums[tile - ready :] = 0


def _mean(total: NDArray[np.float32], weight: NDArray[np.float32]) -> CropArray:
    covered = weight > 0
    mean = np.divide(total, weight[..., None], out=np.full_like(total, WHITE), where=covered[..., None])
    np.rint(mean, out=mean)
    return np.clip(mean, 0, 255, out=mean).astype(np.uint8)


def _checked(answer: CropArray, shape: tuple[int, ...]) -> CropArray:
    if not isinstance(answer, np.ndarray) or answer.shape != shape or answer.dtype != np.uint8:
        kind = f"{getattr(answer, 'shape', type(answer).__name__)} {getattr(answer, 'dtype', '')}".strip()
        raise UserError(
            f"the model answered {kind}",
            where="a batch of windows",
            expected=f"uint8 {shape}",
            remedy="make the model answer RGB images of the windows' size",
        )
    return answer


def _check(image: SlideImage, out: Path, tile_px: int, overlap_px: int, batch: int) -> None:
    if tile_px < CELLS or not 0 <= overlap_px < tile_px or batch < 1:
        raise UserError(
            f"windows of {tile_px} px that overlap by {overlap_px}, {batch} at a time",
            where="the settings of the windows",
            expected=f"at least {CELLS} px, an overlap below the window, a batch of 1 or more",
            remedy="correct them",
        )
    if not out.name.lower().endswith(SUFFIXES) or out.resolve() == image.path.resolve():
        raise UserError(
            "the output has another suffix, or is the slide itself",
            where=out,
            expected=f"a new file ending in {SUFFIXES[0]}",
            remedy="choose another output",
        )
