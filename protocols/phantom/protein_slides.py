"""Slides of the protein phantom on disk: H&E, the table of tiles, the truth; the development and the external set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.files import write_text_whole, written_whole
from protocols.phantom.bundle import fixed_uuid
from protocols.phantom.image_file import write_he_image
from protocols.phantom.protein_markers import MARKERS, marker_laws
from protocols.phantom.protein_settings import MPP, TILE_PX, ProteinSettings
from protocols.phantom.protein_tiles import (
    TileLaw,
    majority_type,
    oracle_values,
    tile_law,
    tile_reachable_r,
    written_values,
)
from protocols.phantom.render import render
from protocols.phantom.tables import half, write_parquet
from protocols.phantom.tissue import Float, SlideName, Tissue, make_tissue

CANCER = "nsclc"
SCANNER_GAIN, SCANNER_GAMMA = np.array([0.97, 0.92, 0.95]), 1.15
"""How the other scanner sees light: a gain a channel and a gamma, which also makes the stains look stronger."""
ANNOTATED = 0.5
"""Share of the external set's slides whose tiles have a cell type."""


@dataclass(frozen=True)
class SlideSet:
    """One of the two sets: its slides, tiles along a side, and whether the other laboratory made it."""

    names: tuple[SlideName, ...]
    tiles: int
    external: bool


def development(settings: ProteinSettings) -> SlideSet:
    """One slide a patient."""
    numbers = range(1, settings.patients + 1)
    names = tuple(SlideName(CANCER, f"codex-p{k:02d}", f"codex-p{k:02d}-s1") for k in numbers)
    return SlideSet(names, settings.tiles, external=False)


def external(settings: ProteinSettings) -> SlideSet:
    """Cores of a tissue microarray, one a patient."""
    numbers = range(1, settings.external_patients + 1)
    names = tuple(SlideName(CANCER, f"tma-p{k:02d}", f"tma-p{k:02d}-core1") for k in numbers)
    return SlideSet(names, settings.external_tiles, external=True)


def other_scanner(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image as the other scanner takes it, through a table of 256 values a channel."""
    levels = np.arange(256) / 255.0
    table = np.round(255.0 * SCANNER_GAIN * (levels**SCANNER_GAMMA)[:, None]).astype(np.uint8)
    return np.stack([table[image[..., channel], channel] for channel in range(3)], axis=-1)


def generate_slides(
    out: Path,
    settings: ProteinSettings,
    seed: int,
    which: SlideSet,
    progress: Callable[[str], None] | None = None,
    only: Sequence[str] | None = None,
) -> None:
    """Write a set below ``out``; ``only`` limits images (not tables) to some slides."""
    rows, laws = [], marker_laws(settings, seed)
    drawn = settings.external_slide if which.external else settings.slide
    for number, name in enumerate(which.names, start=1):
        tissue = make_tissue(drawn, seed, name)
        law = tile_law(settings, seed, tissue, laws, which.tiles, external=which.external)
        annotated = which.external and number <= ANNOTATED * len(which.names)
        rows.append(_write_tables(out, seed, tissue, law, which.external, annotated))
        if only is not None and name.slide not in only:
            continue
        image = render(drawn, seed, tissue)
        path = out / "images" / f"{name.slide}.ome.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as part:
            write_he_image(
                part,
                other_scanner(image) if which.external else image,
                mpp=MPP,
                levels=drawn.pyramid_levels,
                tile=drawn.tile_px,
                quality=drawn.jpeg_quality,
                name=name.slide,
                uuid=fixed_uuid(seed, name.slide, "image"),
            )
        if progress is not None:
            progress(f"{out.name}: slide {number}/{len(which.names)}")
    merged = {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}
    write_parquet(out / "truth" / "genes.parquet", merged)
    # A table of units says neither what a unit is nor that its nuclear stain is to be kept.
    header, options = (",unit,markers", ",tile,markers.txt") if which.external else ("", "")
    lines = [
        f"{name.slide},{name.patient},{name.cancer},tables/{name.slide}.csv,images/{name.slide}.ome.tif{options}\n"
        for name in which.names
    ]
    if which.external:
        write_text_whole(out / "markers.txt", "".join(f"{marker}\n" for marker in MARKERS))
    write_text_whole(out / "slides.csv", f"slide,patient,cancer,table,image{header}\n" + "".join(lines))


def _write_tables(
    out: Path, seed: int, tissue: Tissue, law: TileLaw, external: bool, annotated: bool
) -> dict[str, np.ndarray[Any, Any]]:
    """Write a slide's table and truth; returns its rows of ``truth/genes.parquet``."""
    name, tiles = tissue.name, law.tiles
    values, oracle = written_values(law, seed, name), oracle_values(law)
    kinds = majority_type(tissue, tiles)
    ids = [f"{name.slide}_{index}" for index in range(len(tiles))]
    shown = kinds if annotated else [""] * len(tiles)
    text = external_csv(ids, tiles.corner, shown, values) if external else hex_csv(name.slide, tiles.corner, values)
    (out / "tables").mkdir(parents=True, exist_ok=True)
    write_text_whole(out / "tables" / f"{name.slide}.csv", text)
    truth = out / "truth"
    columns = {marker: half(oracle[:, j]) for j, marker in enumerate(MARKERS)}
    write_parquet(truth / "oracle" / f"{name.slide}.parquet", {"cell_id": ids} | columns)
    write_parquet(truth / "cells" / f"{name.slide}.parquet", {"cell_id": ids, "cell_type": kinds})
    return {
        "slide": np.array([name.slide] * len(MARKERS)),
        "gene": np.array(MARKERS),
        "visible_share": law.share,
        "reachable_r": tile_reachable_r(law, oracle, seed, name),
    }


def hex_csv(slide: str, corner: NDArray[np.int64], values: Float) -> str:
    """HEX's table: slide, index, x, y (upper left corner, level-0 pixels), mean_intensity_channel1 to 40."""
    channels = ",".join(f"mean_intensity_channel{k}" for k in range(1, values.shape[1] + 1))
    lines = [
        f"{slide},{index},{x},{y},{_numbers(row)}\n"
        for index, ((x, y), row) in enumerate(zip(corner, values, strict=True))
    ]
    return f"slide,index,x,y,{channels}\n" + "".join(lines)


def external_csv(ids: Sequence[str], corner: NDArray[np.int64], kinds: Sequence[str], values: Float) -> str:
    """A table of units: cell_id, x and y of the tile's centre in level-0 pixels, cell_type (may be empty), markers."""
    lines = [
        f"{ident},{x + TILE_PX // 2},{y + TILE_PX // 2},{kind},{_numbers(row)}\n"
        for ident, (x, y), kind, row in zip(ids, corner, kinds, values, strict=True)
    ]
    return f"cell_id,x,y,cell_type,{','.join(MARKERS)}\n" + "".join(lines)


def _numbers(row: Float) -> str:
    return ",".join(f"{value:.5f}" for value in row)
