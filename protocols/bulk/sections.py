"""Reads sections with spatial transcriptomics: tiles over the tissue, and what the spots say at each tile."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from protocols.expression.cohort import SlideData
from protocols.images.image import open_image
from protocols.images.tiling import TileRows, lay_tiles, read_tiles, write_tiles
from protocols.metrics.spatial_maps import TileGrid, four_nearest, log_normalised, median_3x3
from protocols.names import safe_names
from protocols.progress import track
from protocols.readers.manifest import read_manifest
from protocols.readers.readers import read_slide
from protocols.spatial.store import Section, Thumbnail, write_sections
from protocols.splits import Exclusion
from protocols.survival.cohort import SlideFile
from protocols.task import CohortRequest

THUMBNAIL_PX = 600
EVERY_TILE = 2**31


def read_sections(request: CohortRequest, folder: Path) -> None:
    """Read every section into ``folder``. One of an unknown patient is left out: it might be a training one."""
    entry = request.entry
    entries = read_manifest(entry.manifest, entry.root, entry.reader)
    safe_names((one.slide for one in entries), kind="section", where=entry.manifest)
    excluded = tuple(
        Exclusion(f"section {one.slide}", "its patient is unknown") for one in entries if one.patient is None
    )
    data = [read_slide(entry.reader, one, entry.root) for one in track(entries, "reading sections") if one.patient]
    slides = []
    for section in data:
        path = section.image.relative_to(entry.root).as_posix()
        slides.append(SlideFile(section.entry.slide, str(section.entry.patient), path, mpp=section.mpp))
    # Of a section every tile is wanted: a random draw, which a slide is content with, would leave holes in its map.
    tile = request.settings.tile.model_copy(update={"max_tiles": EVERY_TILE})
    write_tiles(folder, lay_tiles("sections", tuple(slides), entry.root, tile, request.seed))
    tiles = read_tiles(folder)
    sections = [_section(one, tiles, number, tile.um) for number, one in enumerate(data)]
    write_sections(
        folder,
        sections,
        tuple(slides),
        root=entry.root,
        phantom=entry.truth is not None,
        tile_um=tile.um,
        window=entry.window_side(request.settings.super_tiles),
        stride=entry.window_stride,
        thumbnails={one.entry.slide: thumbnail(one.image, one.mpp) for one in data},
        excluded=excluded,
    )


def grid_of(tiles: TileRows, number: int, tile_um: float) -> TileGrid:
    """The grid on which a section's tiles lie; they were laid side by side from the image's corner."""
    side = tile_um / tiles.mpp[number]
    place = np.floor(tiles.xy_px[tiles.rows_of(number)] / side).astype(np.int64)
    return TileGrid(place[:, 1], place[:, 0])


def _section(data: SlideData, tiles: TileRows, number: int, tile_um: float) -> Section:
    """Spots' counts at tiles: log-normalised, mean of the four nearest spots to a tile's centre, 3 x 3 median."""
    grid = grid_of(tiles, number, tile_um)
    spots = data.units[["x_px", "y_px"]].to_numpy(np.float64)
    values = four_nearest(spots, log_normalised(data.counts), tiles.xy_px[tiles.rows_of(number)])
    return Section(
        name=data.entry.slide,
        patient=str(data.entry.patient),
        row=grid.row,
        column=grid.column,
        genes=data.genes,
        expression=median_3x3(values, grid),
        spots=len(spots),
    )


def thumbnail(path: Path, mpp: float) -> Thumbnail:
    """The whole section on the lowest level that has at least ``THUMBNAIL_PX``, shrunk by a whole factor."""
    import imagecodecs

    with open_image(path) as image:
        sides = [max(image.width, image.height) / image.downsample(level) for level in range(len(image.levels))]
        level = max((number for number, side in enumerate(sides) if side >= THUMBNAIL_PX), default=0)
        down = image.downsample(level)
        pixels = image.read_region(0, 0, round(image.width / down), round(image.height / down), level)
    factor = max(1, max(pixels.shape[:2]) // THUMBNAIL_PX)
    height, width = (side // factor * factor for side in pixels.shape[:2])
    blocks = pixels[:height, :width].reshape(height // factor, factor, width // factor, factor, 3)
    small = np.ascontiguousarray(blocks.mean(axis=(1, 3)).round().astype(np.uint8))
    jpeg = bytes(imagecodecs.jpeg_encode(small, level=80))
    return Thumbnail(jpeg, (small.shape[1], small.shape[0]), mpp * down * factor)
