"""Visium-like sections of the bulk phantom: Space Ranger's ``outs``, the image, and the cells behind them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.files import write_text_whole, written_whole
from protocols.phantom.bulk_expression import spot_means
from protocols.phantom.bulk_genes import BulkGene, Loadings, ensembl_id, looks
from protocols.phantom.bulk_settings import BulkSettings
from protocols.phantom.bundle import fixed_uuid, write_matrix
from protocols.phantom.image_file import write_he_image
from protocols.phantom.render import draw_scanner, render
from protocols.phantom.tables import half, write_parquet
from protocols.phantom.tissue import Float, SlideName, SmoothField, Tissue, make_tissue, standardised
from protocols.seeds import generator

POSITIONS = "barcode,in_tissue,array_row,array_col,pxl_row_in_fullres,pxl_col_in_fullres\n"


def section_name(number: int) -> SlideName:
    return SlideName("gbm", f"UKF9{number:02d}", f"UKF9{number:02d}_T_ST")


def write_section(
    out: Path, settings: BulkSettings, seed: int, number: int, genes: tuple[BulkGene, ...], loaded: Loadings
) -> None:
    """``<section>/outs``, ``<section>/<section>.ome.tif`` and the truth of its cells."""
    name = section_name(number)
    side = (settings.section.image_px - 1) * settings.section.mpp
    tissue = within_outline(make_tissue(settings.section, seed, name, niche_um=settings.niche_um), seed)
    rows, columns, centres = spot_grid(side, settings.spot_pitch_um)
    counts, inside = spot_counts(settings, seed, tissue, genes, loaded, centres)
    folder = out / "sections" / name.slide
    folder.mkdir(parents=True, exist_ok=True)
    barcodes = [barcode(k) for k in range(len(centres))]
    kept = np.flatnonzero(inside)
    outs = folder / "outs"
    (outs / "spatial").mkdir(parents=True, exist_ok=True)
    write_matrix(
        outs / "filtered_feature_bc_matrix.h5",
        [barcodes[k] for k in kept],
        tuple(gene.name for gene in genes),
        [ensembl_id(gene.name, genes) for gene in genes],
        counts[kept],
        np.zeros((len(kept), 0), np.int32),
        chemistry="Visium",
    )
    pixels = np.round(centres / settings.section.mpp).astype(int)
    lines = [
        f"{barcodes[k]},{int(inside[k])},{rows[k]},{columns[k]},{pixels[k, 1]},{pixels[k, 0]}\n"
        for k in range(len(centres))
    ]
    write_text_whole(outs / "spatial" / "tissue_positions.csv", POSITIONS + "".join(lines))
    scale = {
        "spot_diameter_fullres": settings.spot_um / settings.section.mpp,
        "fiducial_diameter_fullres": 1.6 * settings.spot_um / settings.section.mpp,
        "tissue_hires_scalef": 0.5,
        "tissue_lowres_scalef": 0.15,
    }
    write_text_whole(outs / "spatial" / "scalefactors_json.json", json.dumps(scale) + "\n")
    with written_whole(folder / f"{name.slide}.ome.tif") as part:
        write_he_image(
            part,
            section_image(settings, seed, tissue),
            mpp=settings.section.mpp,
            levels=settings.section.pyramid_levels,
            tile=settings.section.tile_px,
            quality=settings.section.jpeg_quality,
            name=name.slide,
            uuid=fixed_uuid(seed, name.slide, "image"),
        )
    cells = looks(tissue)
    columns_of_truth = {
        "x_um": half(tissue.xy[:, 0]),
        "y_um": half(tissue.xy[:, 1]),
        "kind": tissue.kind.astype(np.int8),
    }
    columns_of_truth |= {f"look_{k}": half(cells[:, k]) for k in range(cells.shape[1])}
    write_parquet(out / "truth" / "sections" / f"{name.slide}.parquet", columns_of_truth)


def radius_of_outline(seed: int, name: SlideName, side_um: float, angle: Float) -> Float:
    """Distance in µm from the section's middle to its rim, a circle dented by three harmonics."""
    rng = generator(seed, "section outline", name.slide)
    rim = np.full(np.shape(angle), 0.49)
    for order in (2, 3, 5):
        rim = rim + 0.12 / order * rng.uniform(0.3, 1.0) * np.cos(order * angle + rng.uniform(0, 2 * np.pi))
    return np.asarray(side_um * rim)


def is_inside(seed: int, name: SlideName, side_um: float, xy: Float) -> NDArray[np.bool_]:
    """Whether points ``(..., 2)`` lie on the section; around it is bare glass."""
    offset = xy - side_um / 2
    angle = np.arctan2(offset[..., 1], offset[..., 0])
    return np.asarray(np.hypot(offset[..., 0], offset[..., 1]) < radius_of_outline(seed, name, side_um, angle))


def within_outline(tissue: Tissue, seed: int) -> Tissue:
    """The same tissue without the cells that would lie on glass."""
    kept = is_inside(seed, tissue.name, tissue.side_um, tissue.xy)
    values = vars(tissue).items()
    arrays: dict[str, Any] = {name: value[kept] for name, value in values if isinstance(value, np.ndarray)}
    return replace(tissue, **arrays)


def section_image(settings: BulkSettings, seed: int, tissue: Tissue) -> NDArray[np.uint8]:
    """The H&E image; what lies outside the outline is the scanner's white."""
    image = render(settings.section, seed, tissue)
    axis = np.arange(settings.section.image_px) * settings.section.mpp
    xy = np.stack(np.meshgrid(axis, axis), axis=-1)
    glass = ~is_inside(seed, tissue.name, tissue.side_um, xy)
    image[glass] = np.round(draw_scanner(seed, tissue.name).white).astype(np.uint8)
    return image


def barcode(number: int) -> str:
    """Sixteen letters, as 10x writes them."""
    return "".join("ACGT"[(number >> 2 * k) & 3] for k in range(15, -1, -1)) + "-1"


def spot_grid(side_um: float, pitch_um: float) -> tuple[NDArray[np.int64], NDArray[np.int64], Float]:
    """Visium's hexagonal array: array_row, array_col (even in even rows, odd in odd ones), and centres in µm."""
    rows, columns, centres = [], [], []
    height, half_pitch = pitch_um * np.sqrt(3) / 2, pitch_um / 2
    for row in range(int((side_um - pitch_um) / height) + 1):
        for column in range(row % 2, int((side_um - pitch_um) / half_pitch) + 1, 2):
            rows.append(row)
            columns.append(column)
            centres.append((half_pitch + column * half_pitch, half_pitch + row * height))
    return np.array(rows), np.array(columns), np.array(centres)


def spot_counts(
    settings: BulkSettings, seed: int, tissue: Tissue, genes: tuple[BulkGene, ...], loaded: Loadings, centres: Float
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Transcripts ``(spots, genes)`` and which spots lie on tissue (two cells at least).

    log-rate = level + amplitude (sqrt(v) z + sqrt(1 - v) hidden): z the mean signal of the cells under the spot, hidden
    a smooth field of the gene's own, so that noise, too, is spatially correlated.
    """
    means, cells = spot_means(tissue, loaded, centres, settings.spot_um / 2)
    inside = cells >= 2
    share = np.array([gene.visible_share for gene in genes])
    seen = np.zeros_like(means)
    seen[inside] = standardised(means[inside])
    hidden = np.empty_like(means)
    for column, gene in enumerate(genes):
        rng = generator(seed, "spot field", tissue.name.slide, gene.name)
        smooth = SmoothField(rng, tissue.side_um, settings.hidden_length_um).at(centres)
        hidden[:, column] = np.sqrt(0.6) * smooth + np.sqrt(0.4) * rng.standard_normal(len(centres))
    amplitude = np.array([0.6 * gene.amplitude for gene in genes])
    level = np.array([np.log(2.0) * gene.base for gene in genes])
    rate = np.exp(0.5 * level + amplitude * (np.sqrt(share) * seen + np.sqrt(1 - share) * hidden))
    rng = generator(seed, "spot counts", tissue.name.slide)
    depth = settings.spot_depth * np.exp(0.3 * rng.standard_normal(len(centres)))
    expected = depth[:, None] * rate / rate.sum(axis=1, keepdims=True)
    return rng.poisson(rng.gamma(8.0, expected / 8.0)).astype(np.int32), inside
