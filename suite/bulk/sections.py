"""Reads sections with spatial transcriptomics: tiles over the tissue, and what the spots say at each tile."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from protocols.cohorts.cohort import SlideData
from protocols.cohorts.image import open_image
from protocols.cohorts.manifest import read_manifest
from protocols.cohorts.readers import read_slide
from protocols.errors import UserError
from protocols.metrics.spatial_maps import TileGrid, four_nearest, log_normalised, median_3x3
from protocols.protocol import Exclusion
from protocols.spatial.store import Section, SectionsStore, Thumbnail, write_sections
from protocols.survival.cohort import SlideFile
from suite.config import Config, SectionsConfig
from suite.places import SECTIONS
from suite.progress import track
from suite.tiling import TileRows, lay_tiles, read_tiles, write_tiles

THUMBNAIL_PX = 600
EVERY_TILE = 2**31


def sections_config(config: Config) -> SectionsConfig:
    if config.bulk.sections is None:
        raise UserError(
            "no sections", where="bulk.sections", expected="sections with spatial transcriptomics", remedy="add them"
        )
    return config.bulk.sections


def read_sections(config: Config) -> SectionsStore:
    """Read every section into ``runs/sections``. One of an unknown patient is left out: it might be a training one."""
    entry = sections_config(config)
    entries = read_manifest(entry.manifest, entry.root, entry.reader)
    excluded = tuple(
        Exclusion(f"section {one.slide}", "its patient is unknown") for one in entries if one.patient is None
    )
    slides, sections = [], []
    data = [read_slide(entry.reader, one, entry.root) for one in track(entries, "reading sections") if one.patient]
    for one in data:
        path = one.image.relative_to(entry.root).as_posix()
        slides.append(SlideFile(one.entry.slide, str(one.entry.patient), path, mpp=one.mpp))
    # Of a section every tile is wanted: a random draw, which a slide is content with, would leave holes in its map.
    tile = config.bulk.tile.model_copy(update={"max_tiles": EVERY_TILE})
    write_tiles(SECTIONS, lay_tiles("sections", tuple(slides), entry.root, tile, config.seed))
    tiles = read_tiles(SECTIONS)
    sections = [_section(one, tiles, number, tile.um) for number, one in enumerate(data)]
    return write_sections(
        SECTIONS,
        sections,
        tuple(slides),
        root=entry.root,
        phantom=entry.truth is not None,
        tile_um=tile.um,
        window=entry.window,
        stride=entry.stride,
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


def root_of(config: Config) -> Path:
    return sections_config(config).root
