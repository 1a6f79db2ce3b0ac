"""Violins of per-gene r by model, one row a cancer, with the count of well-predicted genes (as SEQUOIA's Figure 1d)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from protocols.errors import UserError
from reports.figures import COLOURS, STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Values = NDArray[np.floating[Any]]
BINS = 400
"""Bins over r in [-1, 1] in which a density is smoothed; 0.005 wide, finer than any bandwidth drawn."""
NARROWEST = 0.008
"""Least standard deviation of the smoothing kernel, so that a constant column is a visible line."""
HALF_WIDTH = 0.38
BESIDE = 0.36
"""How far right of its violin a square stands, so that it hides no median."""


@dataclass(frozen=True)
class ViolinEntry:
    """One model on one cohort.

    ``r`` float ``(g,)`` is Pearson r per gene in [-1, 1], NaN where undefined (left out of the violin, never of
    ``genes``); ``well_predicted`` of ``genes`` meet the protocol's criteria; ``kind`` is model, control or oracle.
    """

    cohort: str
    model: str
    r: Values
    well_predicted: int
    genes: int
    kind: str = "model"


def violin_figure(entries: Sequence[ViolinEntry]) -> Figure:
    """One row a cohort: a violin a model (median and quartiles inside), and black squares for the count, right axis.

    Cohorts keep their order of appearance. All rows share one order of models: by the mean over cohorts of the median
    r, best first; a model without any r comes last.

    :raises UserError: no entries; a model twice on one cohort; r outside [-1, 1]
    """
    import matplotlib
    from matplotlib.figure import Figure

    table = _table(entries)
    cohorts, models = list(dict.fromkeys(e.cohort for e in entries)), model_order(entries)
    kinds = {e.model: e.kind for e in entries}
    wide, high = 1.7 + 0.62 * len(models), 2.15 * len(cohorts)
    foot = 0.25 + 0.052 * min(max(map(len, models)), 40)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(max(wide, 4.2), high + foot + 0.5), layout="constrained")
        grid = figure.subplots(len(cohorts), 1, sharex=True, squeeze=False)[:, 0]
        low, top = _span(entries)
        for axes, cohort in zip(grid, cohorts, strict=True):
            own = [table.get((cohort, model)) for model in models]
            _row(axes, own)
            axes.set_ylim(low, top)
            axes.set_title(cohort, loc="left", fontsize=9, fontweight="bold")
        grid[-1].set_xticks(range(len(models)), models, rotation=40, ha="right", rotation_mode="anchor", fontsize=8)
        for label, model in zip(grid[-1].get_xticklabels(), models, strict=True):
            label.set_color("black" if kinds[model] == "model" else COLOURS.get(kinds[model], COLOURS["model"]))
        figure.suptitle("Per-gene Pearson r (violins) and well-predicted genes (■)", x=0.01, ha="left")
    return figure


def model_order(entries: Sequence[ViolinEntry]) -> list[str]:
    """Models by the mean over cohorts of their median r, best first; ties by name; without any r last."""
    medians: dict[str, list[float]] = {}
    for entry in entries:
        known = entry.r[np.isfinite(entry.r)]
        medians.setdefault(entry.model, []).extend([float(np.median(known))] if len(known) else [])
    return sorted(medians, key=lambda model: (-np.mean(medians[model]) if medians[model] else np.inf, model))


def density(r: Values) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bin centres within the data's range, and the Gaussian kernel density there with its maximum at 1.

    Scott's bandwidth (n^(-1/5) standard deviations), on binned data: linear in the number of genes. Cut at the
    extremes, so that no violin shows an r that no gene has.
    """
    from scipy.ndimage import gaussian_filter1d

    counts, edges = np.histogram(np.clip(r, -1, 1), bins=BINS, range=(-1.0, 1.0))
    step = edges[1] - edges[0]
    bandwidth = max(float(np.std(r)) * len(r) ** -0.2, NARROWEST)
    smooth = gaussian_filter1d(counts.astype(np.float64), bandwidth / step, mode="constant", truncate=5.0)
    filled = np.flatnonzero(counts)
    kept = slice(filled[0], filled[-1] + 1)
    centres = (edges[:-1] + step / 2)[kept]
    if len(centres) == 1:  # constant: one bin, drawn as high as it is
        return np.array([edges[filled[0]], edges[filled[0] + 1]]), np.ones(2)
    return centres, smooth[kept] / smooth[kept].max()


def _table(entries: Sequence[ViolinEntry]) -> dict[tuple[str, str], ViolinEntry]:
    where, table = "violins of r", {(e.cohort, e.model): e for e in entries}
    if not entries or len(table) < len(entries):
        raise UserError(
            "a model twice on one cohort" if entries else "no entries",
            where=where,
            expected="one entry a cohort and model",
            remedy="pass each scored model once",
        )
    for entry in entries:
        if entry.r.ndim != 1 or (np.abs(entry.r[np.isfinite(entry.r)]) > 1 + 1e-6).any():
            raise UserError(
                f"{entry.model} on {entry.cohort} has no Pearson r per gene",
                where=where,
                expected="one dimension and values in [-1, 1]",
                remedy="pass r per gene",
            )
    return table


def _span(entries: Sequence[ViolinEntry]) -> tuple[float, float]:
    known = np.concatenate([e.r[np.isfinite(e.r)] for e in entries] or [np.zeros(0)])
    low, top = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
    return max(-1.05, min(low, -0.1) - 0.05), min(1.05, max(top, 0.3) + 0.05)


def _row(axes: Axes, own: Sequence[ViolinEntry | None]) -> None:
    axes.axhline(0, color="#999999", linewidth=0.8, zorder=0)
    axes.set_xlim(-0.7, len(own) - 0.3)
    axes.set_ylabel("Pearson r")
    for x, entry in enumerate(own):
        if entry is not None:
            _violin(axes, x, entry)
    _counts(axes, [(x, entry) for x, entry in enumerate(own) if entry is not None])


def _violin(axes: Axes, x: int, entry: ViolinEntry) -> None:
    known = np.asarray(entry.r[np.isfinite(entry.r)], np.float64)
    if not len(known):
        axes.text(x, 0, "no r", ha="center", va="bottom", fontsize=7, color=COLOURS["control"])
        return
    centres, width = density(known)
    colour = COLOURS.get(entry.kind, COLOURS["model"])
    half = HALF_WIDTH * width
    axes.fill_betweenx(centres, x - half, x + half, facecolor=colour, alpha=0.35, edgecolor=colour, linewidth=0.7)
    lower, median, upper = np.quantile(known, (0.25, 0.5, 0.75))
    axes.plot([x, x], [lower, upper], color=colour, linewidth=3, solid_capstyle="butt")
    axes.plot([x], [median], marker="o", markersize=4, color="white", markeredgecolor=colour, markeredgewidth=1.1)


def _counts(axes: Axes, placed: Sequence[tuple[int, ViolinEntry]]) -> None:
    from matplotlib.ticker import MaxNLocator

    right = axes.twinx()
    right.plot(
        [x + BESIDE for x, _ in placed], [e.well_predicted for _, e in placed], "s", color="black", markersize=4.5
    )
    most = max(e.well_predicted for _, e in placed)
    right.set_ylim(-0.04 * max(most, 1), 1.12 * max(most, 1))
    right.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    right.spines["right"].set_visible(True)
    sizes = sorted({e.genes for _, e in placed})
    of = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"
    right.set_ylabel(f"well-predicted\n(of {of})")
