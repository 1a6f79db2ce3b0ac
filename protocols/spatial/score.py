"""From maps of sections to everything that a record of ``gbm_spatial`` holds.

The headline is Pearson r between percentile maps, mean over genes and then over patients. SEQUOIA ranks nothing and
prints the median Earth Mover's Distance of each section; it stands beside, with controls on the same axis, because a
constant map reaches small distances, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from protocols.errors import UserError
from protocols.metrics.earth_movers import earth_movers_of_genes, normalised
from protocols.metrics.intervals import mean_interval
from protocols.metrics.map_nulls import beyond_trend
from protocols.metrics.morans_i import morans_i
from protocols.metrics.spatial_maps import (
    TileGrid,
    pearson_of_maps,
    percentile_scores,
    spearman_of_maps,
    ssim_of_maps,
)
from protocols.metrics.subtypes import kappa, subtypes
from protocols.records import Interval

if TYPE_CHECKING:
    import pandas as pd

Float = NDArray[np.float64]
KEYS = (
    "pearson", "spearman", "ssim", "emd", "emd_by_width",
    "pearson_detrended", "beyond_trend_p", "morans_i_truth", "morans_i_predicted",
)  # fmt: skip
SIGNIFICANT = 0.05


@dataclass(frozen=True, eq=False)
class ScoredSection:
    """One section's covered tiles. ``truth``, ``predicted`` ``(t, g)``: any scale, both become percentile scores.

    ``common``: genes that every model is scored on; ``own``: the model's own best genes on slides (may overlap).
    """

    name: str
    patient: str
    grid: TileGrid
    genes: tuple[str, ...]
    common: NDArray[np.bool_]
    own: NDArray[np.bool_]
    truth: Float
    predicted: Float


@dataclass(frozen=True, eq=False)
class SpatialScores:
    """JSON-safe but for ``units`` (section, gene, scores) and ``maps`` (section -> percentile scores)."""

    headline: Interval
    summary: dict[str, float | None]
    counts: dict[str, int]
    per_patient: dict[str, float]
    per_gene: list[dict[str, Any]]
    units: pd.DataFrame
    maps: dict[str, tuple[Float, Float]]
    bulk: dict[str, Any] = field(default_factory=dict)


def score_sections(
    sections: Sequence[ScoredSection], *, seed: int, modules: Mapping[str, Sequence[str]] | None = None
) -> SpatialScores:
    """Score one model's maps; ``modules``: a gene to its meta-modules."""
    import pandas as pd

    if not sections:
        raise UserError("no section", where="gbm_spatial", expected="at least one", remedy="add sections")
    tables, maps = [], {}
    for section in sections:
        truth, predicted = percentile_scores(section.truth), percentile_scores(section.predicted)
        maps[section.name] = (truth, predicted)
        tables.append(_scores(section, truth, predicted, seed))
    units = pd.concat(tables, ignore_index=True)
    common = units[units["common"]]
    by_patient = common.groupby("patient")["pearson"].mean()
    per_patient = {str(patient): float(value) for patient, value in by_patient.items() if np.isfinite(value)}
    headline = mean_interval(per_patient)
    medians = common.groupby("section")["emd"].median()
    own = units[units["own"]]
    agreements = _agreements(sections, maps, modules or {})
    return SpatialScores(
        headline=headline,
        summary={
            "pearson_of_maps": headline.mean,
            "spearman_of_maps": _number(common["spearman"].mean()),
            "ssim_of_maps": _number(common["ssim"].mean()),
            "emd_median": _number(medians.mean()),
            "emd_by_width": _number(common.groupby("section")["emd_by_width"].median().mean()),
            "emd_own_genes": _number(own.groupby("section")["emd"].median().mean()) if len(own) else None,
            **{
                key: _number(common[key].mean())
                for key in ("pearson_detrended", "morans_i_truth", "morans_i_predicted")
            },
            "beyond_trend": _number((common["beyond_trend_p"] < SIGNIFICANT).mean()),
            "subtype_kappa": None if not agreements else float(np.mean(agreements)),
        },
        counts={
            "sections": len(sections),
            "tiles": sum(len(section.grid.row) for section in sections),
            "genes": int(common["gene"].nunique()),
            "constant_maps": int(sum((np.ptp(predicted, axis=0) == 0).sum() for _, predicted in maps.values())),
        },
        per_patient=per_patient,
        per_gene=[
            {"gene": str(gene), **{key: _number(rows[key].mean()) for key in KEYS}}
            for gene, rows in common.groupby("gene")
        ],
        units=units,
        maps=maps,
        bulk={
            "sections": {str(name): float(value) for name, value in medians.items() if np.isfinite(value)},
            "co_expression": co_expression(sections, maps, modules or {}),
        },
    )


def _scores(section: ScoredSection, truth: Float, predicted: Float, seed: int) -> pd.DataFrame:
    import pandas as pd

    grid, tissue = section.grid, section.grid.tissue
    distances = earth_movers_of_genes(predicted, truth, grid)
    beyond = beyond_trend(predicted, truth, grid, seed=seed)
    columns: dict[str, Any] = {
        "section": section.name,
        "patient": section.patient,
        "gene": list(section.genes),
        "common": section.common,
        "own": section.own,
        "pearson": pearson_of_maps(predicted, truth).listed(),
        "spearman": spearman_of_maps(predicted, truth).listed(),
        "ssim": ssim_of_maps(predicted, truth, grid).listed(),
        "emd": [normalised(distance, tissue) for distance in distances],
        "emd_by_width": [normalised(distance, tissue, "released_area") for distance in distances],
        "pearson_detrended": beyond.r.listed(),
        "beyond_trend_p": beyond.p,
        "morans_i_truth": morans_i(truth, grid).listed(),
        "morans_i_predicted": morans_i(predicted, grid).listed(),
    }
    table = pd.DataFrame(columns)
    return table.astype(dict.fromkeys(KEYS, np.float64))


def co_expression(
    sections: Sequence[ScoredSection], maps: Mapping[str, tuple[Float, Float]], modules: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """Pearson r among the maps of the modules' genes, averaged over sections: truth and model, two decimals.

    Genes that some section does not have, or whose map is constant there, are left out.
    """
    if not modules:
        return {}
    shared = [gene for gene in sections[0].genes if gene in modules and all(gene in one.genes for one in sections)]
    stacked = [
        [np.asarray(maps[one.name][side])[:, [one.genes.index(gene) for gene in shared]] for one in sections]
        for side in (0, 1)
    ]
    moving = np.all([np.ptp(part, axis=0) > 0 for part in stacked[0]], axis=0) if shared else np.zeros(0, bool)
    genes = [gene for gene, keep in zip(shared, moving, strict=True) if keep]
    if len(genes) < 2:
        return {}
    truth, model = (np.mean([_correlations(part[:, moving]) for part in side], axis=0) for side in stacked)
    return {
        "genes": genes,
        "modules": {gene: list(modules[gene]) for gene in genes},
        "truth": np.round(truth, 2).tolist(),
        "model": np.round(model, 2).tolist(),
    }


def _correlations(values: Float) -> Float:
    """Gene by gene r of maps ``(t, g)``; 0 with a constant map."""
    # Centring leaves rounding in a constant map, which would correlate with that of any other.
    centred = np.where(np.ptp(values, axis=0) > 0, values - values.mean(axis=0), 0.0)
    norm = np.sqrt((centred**2).sum(axis=0))
    unit = centred / np.where(norm > 0, norm, 1.0)
    return np.asarray(unit.T @ unit)


def _agreements(
    sections: Sequence[ScoredSection], maps: Mapping[str, tuple[Float, Float]], modules: Mapping[str, Sequence[str]]
) -> list[float]:
    """Cohen's kappa of subtype maps of each section whose truth has two subtypes or more; a constant map has 0."""
    found = []
    for section in sections if modules else ():
        truth, predicted = maps[section.name]
        agreed = kappa(subtypes(truth, section.genes, modules), subtypes(predicted, section.genes, modules))
        if agreed is not None and agreed[1] is not None:
            found.append(agreed[1])
    return found


def _number(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
