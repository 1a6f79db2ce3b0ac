"""Who is in the IHC phantom, which of their cells stain and how strongly, and what of that the H&E shows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit, ndtr

from protocols.phantom.cell_types import STATES, TYPE_NAMES
from protocols.phantom.ihc_render import Displacement, logistic, patch_corner, patch_displacement, region_elastic
from protocols.phantom.ihc_settings import MARKER_LAWS, THRESHOLDS, IhcSettings, MarkerLaw
from protocols.phantom.tissue import Float, SlideName, Tissue, make_tissue, standardised
from protocols.seeds import generator

TUMOUR = tuple(TYPE_NAMES.index(name) for name in ("luminal_tumour", "basal_tumour", "cycling_tumour"))
EDGE_AT = 0.70
"""Where the edge crosses a region that has one, as a share of the patches' width."""


@dataclass(frozen=True)
class Region:
    """One sub-region of one patient, stained for one marker; ``number`` counts the marker's regions."""

    law: MarkerLaw
    patient: str
    subregion: int
    number: int

    @property
    def name(self) -> SlideName:
        return SlideName("breast", self.patient, f"{self.patient} {self.law.name} {self.subregion}")

    @property
    def folder(self) -> str:
        return f"{self.law.name}/Patient_{self.patient}/Subregion_{self.subregion}"


@dataclass(frozen=True)
class Cells:
    """A region's cells (those on glass left out), what is stained, and what of it the H&E shows.

    ``od``: DAB per cell. ``latent_visible``: mean of the latent level given type, nucleus and the patient's visible
    factor. ``above``: ``(n, 3)`` probability, given the same, that the cell reaches each threshold.
    """

    region: Region
    tissue: Tissue
    od: Float
    latent_visible: Float
    above: Float


@dataclass(frozen=True)
class Patch:
    row: int
    column: int
    name: str
    he_cells: NDArray[np.int64]
    ihc_cells: dict[str, NDArray[np.int64]]
    displacement: Displacement
    glass: float
    blurred: bool


def patients_of(settings: IhcSettings, seed: int) -> list[str]:
    """``<prefix>_<case>``, as in IHC4BC's names."""
    n = max(count for _, count in settings.markers)
    cases = generator(seed, "ihc cases").choice(90_000, size=n, replace=False) + 100_000
    return [f"{101 + k}_{case}" for k, case in enumerate(cases)]


def regions_of(settings: IhcSettings, seed: int) -> list[Region]:
    patients, regions = patients_of(settings, seed), []
    for marker, count in settings.markers:
        places = [(patient, k) for patient in patients[:count] for k in range(settings.subregions)]
        regions += [Region(MARKER_LAWS[marker], patient, k, number) for number, (patient, k) in enumerate(places)]
    return regions


def on_glass(settings: IhcSettings, seed: int, region: Region, xy: Float) -> NDArray[np.bool_]:
    """Whether points ``(..., 2)`` lie beyond the tissue's edge; most regions have none."""
    if region.number % settings.edge_every != settings.edge_every // 2:
        return np.zeros(xy.shape[:-1], dtype=bool)
    rng = generator(seed, "ihc edge", region.name.slide)
    width = (settings.columns + 1) * settings.patch_um / 2
    y = xy[..., 1] / settings.patch_um
    wave = sum(0.05 / k * np.sin(2 * np.pi * (k * y / 1.5 + rng.random())) for k in (1, 2, 3))
    return np.asarray(xy[..., 0] - settings.origin_um > width * EDGE_AT + settings.patch_um * wave)


def visible_factor(seed: int, patient: str) -> float:
    """The patient's factor that the H&E shows, standard normal, the same for all markers."""
    return float(generator(seed, "ihc visible", patient).standard_normal())


def latent_threshold(settings: IhcSettings) -> Float:
    """Latent levels at which DAB reaches the thresholds."""
    return np.asarray(logit(np.array(THRESHOLDS) / settings.od_maximum) / settings.od_slope)


def region_tissue(settings: IhcSettings, seed: int, region: Region) -> Tissue:
    """Of several pieces of the patient's tissue the one with the largest share of tumour cells."""
    name = region.name
    pieces = (
        make_tissue(settings.section, seed, replace(name, slide=f"{name.slide} {k}"), immune_bias=settings.immune_bias)
        for k in range(settings.candidates)
    )
    return replace(max(pieces, key=lambda tissue: float(np.isin(tissue.kind, TUMOUR).mean())), name=name)


def region_cells(settings: IhcSettings, seed: int, region: Region) -> Cells:
    """Tissue of a region as both sections show it, and the marker of each cell (:class:`MarkerLaw`)."""
    law, seen = region.law, visible_factor(seed, region.patient)
    tissue = region_tissue(settings, seed, region)
    score = standardised(tissue.states[:, STATES.index("nuclear_size")] - tissue.states[:, STATES.index("chromatin")])
    grade = np.isin(tissue.kind, TUMOUR) * seen
    tissue = replace(
        tissue,
        radius=tissue.radius * np.exp(settings.nuclear_size * grade),
        density=tissue.density * np.exp(settings.nuclear_density * grade),
    )
    visible = (
        np.array(law.level_of_type)[tissue.kind]
        + law.cell_weight * np.sqrt(settings.cell_visible_share) * score
        + law.patient_weight * np.sqrt(settings.patient_visible_share) * seen
    )
    od, above = dab_of(settings, law, visible, hidden_latent(settings, seed, region, len(tissue)))
    kept = ~on_glass(settings, seed, region, tissue.xy)
    arrays: dict[str, Any] = {key: value[kept] for key, value in vars(tissue).items() if isinstance(value, np.ndarray)}
    return Cells(region, replace(tissue, **arrays), od[kept], visible[kept], above[kept])


def hidden_latent(settings: IhcSettings, seed: int, region: Region, n: int, draw: int | None = None) -> Float:
    """What the H&E does not show of the latent level of ``n`` cells; ``draw`` numbers other, imagined outcomes."""
    law, again = region.law, () if draw is None else (draw,)
    patient = generator(seed, "ihc hidden", region.patient, law.name, *again).standard_normal()
    own = generator(seed, "ihc cell", region.name.slide, *again).standard_normal(n)
    return np.asarray(
        law.patient_weight * np.sqrt(1 - settings.patient_visible_share) * patient
        + law.cell_weight * np.sqrt(1 - settings.cell_visible_share) * own
    )


def dab_of(settings: IhcSettings, law: MarkerLaw, visible: Float, hidden: Float) -> tuple[Float, Float]:
    """DAB of each cell, and its probability ``(n, 3)`` of reaching each threshold given the visible part."""
    od = settings.od_maximum * logistic(settings.od_slope * (visible + hidden))
    spread = np.sqrt(
        law.patient_weight**2 * (1 - settings.patient_visible_share)
        + law.cell_weight**2 * (1 - settings.cell_visible_share)
    )
    margin = visible[:, None] - latent_threshold(settings)
    # With nothing hidden the probability is a step.
    return od, np.asarray(ndtr(margin / max(spread, 1e-12)))


def h_score(od: Float) -> float:
    """100 (share weak + 2 share moderate + 3 share strong), 0 to 300; NaN without cells (such patches are flagged)."""
    return float(100 * (od[:, None] >= np.array(THRESHOLDS)).sum(axis=1).mean()) if len(od) else float("nan")


def within(settings: IhcSettings, xy: Float, row: int, column: int) -> NDArray[np.int64]:
    """Which points lie in a patch; its area is that of its pixels, half a pixel around their centres."""
    low = patch_corner(settings, row, column) - settings.mpp / 2
    return np.flatnonzero(((xy >= low) & (xy < low + settings.patch_um)).all(axis=1))


def patches_of(settings: IhcSettings, seed: int, cells: Cells) -> list[Patch]:
    """All patches of a region, row by row."""
    region, xy = cells.region, cells.tissue.xy
    elastic = region_elastic(settings, seed, region.name)
    axis = (np.arange(settings.patch_px)) * settings.mpp
    pixels = np.stack(np.meshgrid(axis, axis), axis=-1)
    patches: list[Patch] = []
    for row, column in np.ndindex(settings.rows, settings.columns):
        movement = patch_displacement(settings, seed, region.name, row, column, elastic)
        moved = within(settings, xy + movement.at(xy), row, column) if len(xy) else np.zeros(0, np.int64)
        here = within(settings, xy, row, column)
        glass = float(on_glass(settings, seed, region, pixels + patch_corner(settings, row, column)).mean())
        count = region.number * settings.rows * settings.columns + len(patches)
        blurred = count % settings.blurred_every == settings.blurred_every - 1
        name = f"{region.patient}_{region.subregion}_{row}_{column}"
        patches.append(Patch(row, column, name, here, {"jitter": moved, "exact": here}, movement, glass, blurred))
    return patches


def flag_of(settings: IhcSettings, cells: Cells, patch: Patch) -> str:
    """``d`` for glass, no cell, or an H&E out of focus; ``0`` for hardly any positive cell; else ``a``."""
    if patch.blurred or patch.glass > settings.discarded_glass or not len(patch.he_cells):
        return "d"
    return "0" if h_score(cells.od[patch.he_cells]) < settings.forced_zero_below else "a"
