"""An IHC4BC-like phantom on disk: the same patches twice, registered exactly and with jitter, and the truth of both.

``exact/`` and ``jitter/`` are two trees in IHC4BC's layout, ``Images/{HandE,IHC}/<marker>/Patient_<prefix>_<case>/
Subregion_<k>/<prefix>_<case>_<k>_<row>_<column>.jpg`` with ``Labels/<marker>.csv``. Their H&E files are equal byte for
byte; their IHC patches come of one section, with one stain and noise, and differ by movement alone.

Label tables have no header: name (ending in ``.png``, as in the real ones, though the images are JPEG), flag (``a``
accepted, ``d`` discarded, ``0`` forced to zero), H&E nuclei with their centre in the patch, then one mean DAB per IHC
nucleus there. A membrane marker has none, as in the real data.

``truth/`` (rows of ``patches.parquet`` and ``displacement.npy`` correspond):

- ``patches.parquet``: per patch the H-score and positive share of the cells with their centre in the H&E patch, and the
  expectation of both given all that the H&E shows; flag, share of glass, focus, and root mean square displacement.
- ``displacement.npy``: float16 ``(patches, 2, g, g)``, x and y in µm (:func:`ihc_render.dense_displacement`).
- ``cells.parquet``: place in µm from the centre of the first pixel of the region's patch (0, 0), radius, type, DAB.
- ``sections.parquet``: unit stain vectors and white of each region's IHC section.
- ``reachable.json``: Pearson r of the expected with the true H-score, here and over imagined outcomes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from protocols.files import write_text_whole, written_whole
from protocols.phantom.cell_types import TYPE_NAMES
from protocols.phantom.ihc_cells import (
    Cells,
    Patch,
    dab_of,
    flag_of,
    h_score,
    hidden_latent,
    on_glass,
    patches_of,
    region_cells,
    regions_of,
)
from protocols.phantom.ihc_render import RegionIhc, displacement_grid, draw_section, region_ihc
from protocols.phantom.ihc_settings import MARKER_LAWS, THRESHOLDS, IhcSettings
from protocols.phantom.image_file import Image, halved
from protocols.phantom.render import draw_scanner, render
from protocols.phantom.tables import half, write_parquet
from protocols.phantom.tissue import Float

VERSION = 1
"""Raised whenever the same settings and seed give other bytes."""
MARKER = "phantom.json"
SETS = ("jitter", "exact")


def region_he(settings: IhcSettings, seed: int, cells: Cells, glass: NDArray[np.bool_]) -> Image:
    """The H&E of the drawn square, in drawn pixels."""
    image = render(settings.section, seed, cells.tissue)
    image[glass] = np.round(draw_scanner(seed, cells.region.name).white).astype(np.uint8)
    return image


def reduced(settings: IhcSettings, image: Image) -> Image:
    """Drawn pixels averaged to the patch's pixels."""
    for _ in range(settings.supersample.bit_length() - 1):
        image = halved(image)
    return image


def region_images(settings: IhcSettings, seed: int, cells: Cells) -> tuple[Image, RegionIhc]:
    """H&E of the whole square in the patches' pixels, and the IHC section to cut patches from."""
    axis = np.arange(settings.section.image_px) * settings.fine_mpp
    glass = on_glass(settings, seed, cells.region, np.stack(np.meshgrid(axis, axis), axis=-1))
    law = cells.region.law
    ihc = region_ihc(settings, seed, cells.tissue, cells.od, law.name, membrane=law.membrane, glass=glass)
    return reduced(settings, region_he(settings, seed, cells, glass)), ihc


def patch_images(settings: IhcSettings, he: Image, ihc: RegionIhc, patch: Patch) -> dict[str, Image]:
    """``he``, ``exact`` and ``jitter``: the three images of a patch before compression."""
    top = settings.border_px + patch.row * (settings.patch_px // 2)
    left = settings.border_px + patch.column * (settings.patch_px // 2)
    seen = he[top : top + settings.patch_px, left : left + settings.patch_px]
    if patch.blurred:
        sigma = settings.blur_um / settings.mpp
        seen = np.round(gaussian_filter(seen.astype(np.float64), (sigma, sigma, 0), mode="nearest")).astype(np.uint8)
    moved = {"exact": None, "jitter": patch.displacement}
    return {"he": seen} | {
        name: reduced(settings, ihc.patch(patch.row, patch.column, by)) for name, by in moved.items()
    }


def write_jpeg(path: Path, image: Image, *, quality: int, subsampling: str) -> None:
    import imagecodecs

    image = np.ascontiguousarray(image)
    data = imagecodecs.jpeg8_encode(image, level=quality, subsampling=subsampling, optimize=True)
    with written_whole(path) as part:
        part.write_bytes(data)


Drawn = list[tuple[Cells, list[Patch]]]
"""Every region's cells and patches, in the order of ``regions_of``."""


def generate_ihc(
    out: Path,
    settings: IhcSettings,
    seed: int,
    progress: Callable[[str], None] | None = None,
    only: Sequence[str] | None = None,
) -> None:
    """Write the phantom below ``out``; ``only`` limits the images (not labels and truth) to some patients.

    ``phantom.json`` is removed first and written last, so a folder that has it is whole.
    """
    (out / MARKER).unlink(missing_ok=True)
    regions, drawn = regions_of(settings, seed), []
    for number, region in enumerate(regions, start=1):
        cells = region_cells(settings, seed, region)
        patches = patches_of(settings, seed, cells)
        drawn.append((cells, patches))
        if only is None or region.patient in only:
            write_images(out, settings, seed, cells, patches)
            if progress is not None:
                progress(f"IHC: region {number}/{len(regions)}")
    write_labels(out, settings, drawn)
    write_truth(out / "truth", settings, seed, drawn)
    write_text_whole(out / MARKER, json.dumps(describe(settings, seed), indent=1) + "\n")


def write_images(out: Path, settings: IhcSettings, seed: int, cells: Cells, patches: Sequence[Patch]) -> None:
    """A region's patches in both sets."""
    he, ihc = region_images(settings, seed, cells)
    quality, kinds = settings.jpeg_quality, {"HandE": settings.he_subsampling, "IHC": settings.ihc_subsampling}
    for patch in patches:
        images, file = patch_images(settings, he, ihc, patch), f"{cells.region.folder}/{patch.name}.jpg"
        for name in SETS:
            for kind, subsampling in kinds.items():
                image = images["he" if kind == "HandE" else name]
                write_jpeg(out / name / "Images" / kind / file, image, quality=quality, subsampling=subsampling)


def write_labels(out: Path, settings: IhcSettings, drawn: Drawn) -> None:
    """Labels of nuclear markers, both sets; a moved section's patch holds some other nuclei than the H&E's."""
    for name in SETS:
        for marker in (marker for marker, _ in settings.markers if not MARKER_LAWS[marker].membrane):
            lines = []
            for cells, patches in drawn:
                for patch in patches if cells.region.law.name == marker else ():
                    values = "".join(f",{value:.4f}" for value in cells.od[patch.ihc_cells[name]])
                    flag = flag_of(settings, cells, patch)
                    lines.append(f"{patch.name}.png,{flag},{len(patch.he_cells)}{values}\n")
            write_text_whole(out / name / "Labels" / f"{marker}.csv", "".join(lines))


def write_truth(folder: Path, settings: IhcSettings, seed: int, drawn: Drawn) -> None:
    """All files of ``truth/``."""
    rows = [(cells, patch) for cells, patches in drawn for patch in patches]
    regions = [cells.region for cells, _ in rows]
    grids = np.stack([displacement_grid(settings, patch.displacement, patch.row, patch.column) for _, patch in rows])
    above = [cells.above[patch.he_cells] for cells, patch in rows]
    write_parquet(
        folder / "patches.parquet",
        {
            "marker": [region.law.name for region in regions],
            "patient": [region.patient for region in regions],
            "subregion": np.array([region.subregion for region in regions], np.int16),
            "row": np.array([patch.row for _, patch in rows], np.int16),
            "column": np.array([patch.column for _, patch in rows], np.int16),
            "name": [patch.name for _, patch in rows],
            "path": [f"{region.folder}/{patch.name}.jpg" for region, (_, patch) in zip(regions, rows, strict=True)],
            "flag": [flag_of(settings, cells, patch) for cells, patch in rows],
            "glass_share": np.array([patch.glass for _, patch in rows], np.float32),
            "out_of_focus": np.array([patch.blurred for _, patch in rows], np.int8),
            "cells": np.array([len(patch.he_cells) for _, patch in rows], np.int32),
            "h_score": np.array([h_score(cells.od[patch.he_cells]) for cells, patch in rows]),
            "positive_share": np.array([_mean(cells.od[p.he_cells] >= THRESHOLDS[0]) for cells, p in rows]),
            "h_score_reachable": np.array([100 * _mean(part.sum(axis=1)) for part in above]),
            "positive_share_reachable": np.array([_mean(part[:, 0]) for part in above]),
            "displacement_rms_um": np.sqrt((grids.astype(np.float64) ** 2).sum(axis=1).mean(axis=(1, 2))),
        },
    )
    with written_whole(folder / "displacement.npy") as part, part.open("wb") as file:
        np.save(file, grids, allow_pickle=False)
    _write_cells(folder / "cells.parquet", settings, drawn)
    _write_sections(folder / "sections.parquet", settings, seed, drawn)
    reachable = {marker: reachable_correlation(settings, seed, drawn, marker) for marker, _ in settings.markers}
    write_text_whole(folder / "reachable.json", json.dumps(reachable, indent=1, sort_keys=True) + "\n")


def _mean(values: NDArray[Any]) -> float:
    """NaN without cells, as the H-score."""
    return float(values.mean()) if len(values) else float("nan")


def _write_cells(path: Path, settings: IhcSettings, drawn: Drawn) -> None:
    """Cells in a patch of either section; places to 1/64 µm, which keeps the file small."""
    kept = [
        np.unique(np.concatenate([np.concatenate([p.he_cells, p.ihc_cells["jitter"]]) for p in patches]))
        for _, patches in drawn
    ]
    pairs = list(zip(drawn, kept, strict=True))
    xy = np.concatenate([cells.tissue.xy[rows] for (cells, _), rows in pairs]) - settings.origin_um
    places = (np.round(xy * 64) / 64).astype(np.float32)
    write_parquet(
        path,
        {
            "marker": [cells.region.law.name for (cells, _), rows in pairs for _ in rows],
            "patient": [cells.region.patient for (cells, _), rows in pairs for _ in rows],
            "subregion": np.concatenate(
                [np.full(len(rows), cells.region.subregion, np.int8) for (cells, _), rows in pairs]
            ),
            "x_um": places[:, 0],
            "y_um": places[:, 1],
            "radius_um": half(np.concatenate([cells.tissue.radius[rows] for (cells, _), rows in pairs])),
            "kind": [TYPE_NAMES[kind] for (cells, _), rows in pairs for kind in cells.tissue.kind[rows]],
            "dab_od": half(np.concatenate([cells.od[rows] for (cells, _), rows in pairs])),
            "positive_probability": half(np.concatenate([cells.above[rows, 0] for (cells, _), rows in pairs])),
        },
    )


def _write_sections(path: Path, settings: IhcSettings, seed: int, drawn: Drawn) -> None:
    regions = [cells.region for cells, _ in drawn]
    sections = [draw_section(settings, seed, region.name, region.law.name) for region in regions]
    columns: dict[str, Any] = {
        "marker": [region.law.name for region in regions],
        "patient": [region.patient for region in regions],
        "subregion": np.array([region.subregion for region in regions], np.int16),
    }
    for stem, values in (
        ("haematoxylin", np.stack([section.scanner.haematoxylin for section in sections])),
        ("dab", np.stack([section.dab for section in sections])),
        ("white", np.stack([section.scanner.white for section in sections])),
    ):
        columns |= {f"{stem}_{channel}": values[:, k].astype(np.float32) for k, channel in enumerate("rgb")}
    write_parquet(path, columns)


def reachable_correlation(settings: IhcSettings, seed: int, drawn: Drawn, marker: str) -> dict[str, float | int]:
    """Pearson r over a marker's accepted patches of the expected H-score with the true one, and with imagined ones.

    Imagined outcomes keep all that the H&E shows and draw the rest again: their r says where the best model must land,
    whatever this cohort's luck.
    """
    chosen = [
        (cells, [patch for patch in patches if flag_of(settings, cells, patch) != "d"])
        for cells, patches in drawn
        if cells.region.law.name == marker
    ]
    expected = np.array([100 * c.above[p.he_cells].sum(axis=1).mean() for c, patches in chosen for p in patches])
    true = np.array([h_score(c.od[p.he_cells]) for c, patches in chosen for p in patches])
    imagined = []
    for draw in range(settings.reachable_draws):
        scores = []
        for cells, patches in chosen:
            hidden = hidden_latent(settings, seed, cells.region, len(cells.od), draw)
            od, _ = dab_of(settings, cells.region.law, cells.latent_visible, hidden)
            scores += [h_score(od[patch.he_cells]) for patch in patches]
        imagined.append(_pearson(expected, np.array(scores)))
    low, median, high = (float(np.round(value, 4)) for value in np.percentile(imagined, (5, 50, 95)))
    return {
        "patients": len({cells.region.patient for cells, _ in chosen}),
        "patches": len(true),
        "r": round(_pearson(expected, true), 4),
        "imagined_r_median": median,
        "imagined_r_p05": low,
        "imagined_r_p95": high,
    }


def _pearson(a: Float, b: Float) -> float:
    """0 where either is constant: nothing can be said about order."""
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum()) / scale if scale > 1e-9 else 0.0


def describe(settings: IhcSettings, seed: int) -> dict[str, Any]:
    """``phantom.json``: everything that made the patches."""
    return {
        "format": "slide2omics-phantom-ihc",
        "version": VERSION,
        "seed": seed,
        "settings": settings.to_dict(),
        "sets": list(SETS),
        "thresholds": list(THRESHOLDS),
        "model": {
            "latent": "level[type] + cell_weight (sqrt(v) z + sqrt(1-v) e) + patient_weight (sqrt(s) V + sqrt(1-s) H)",
            "visible": "type; z: nuclear size - chromatin; V: radius, haematoxylin of tumour nuclei; e, H: hidden",
            "dab_od": "od_maximum logistic(od_slope latent), log10 along the unit DAB vector, mean over the nucleus",
            "exact": "the IHC section as it lies; jitter: the same section moved by truth/displacement.npy",
        },
    }
