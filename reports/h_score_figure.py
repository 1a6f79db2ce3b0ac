"""Figures of the H-score: generated against real IHC over patches, and what the pipeline sees in one image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from protocols.files import written_whole
from protocols.metrics.agreement import Estimate, PatientAgreement, agreement_by_patient
from protocols.metrics.h_score import CLASS_NAMES, MAXIMUM, ImageHScore, thresholds_of
from reports.figures import COLOURS, STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CLASS_COLOURS = ("#2563eb", "#16a34a", "#f59e0b", "#dc1f5b")
"""Negative, weak, moderate, strong."""
DPI = 100
OD_SHOWN = 1.2
"""End of the colour scale of DAB, log10 OD."""


def agreement_figure(
    measured: Sequence[float], reference: Sequence[float], patients: Sequence[str], *, title: str
) -> Figure:
    """Scatter with the identity and r (left), Bland-Altman with bias and limits of agreement (right), over patches.

    ``measured`` and ``reference`` are H-scores ``(n,)`` of the same patches, undefined ones left out, of
    ``patients`` ``(n,)``; n may be small. Intervals are over patients.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    x, y = np.asarray(reference, dtype=np.float64), np.asarray(measured, dtype=np.float64)
    with rc_context(STYLE):
        figure = Figure(figsize=(8, 3.9), layout="constrained")
        left, right = figure.subplots(1, 2)
        found = agreement_by_patient(y, x, patients)
        _scatter(left, x, y, found)
        _differences(right, x, y, found)
        figure.suptitle(f"{title} (n = {len(x)} patches)", x=0.02, ha="left")
    return figure


def pipeline_figure(rgb: NDArray[np.uint8], dab: NDArray[np.float64], found: ImageHScore, marker: str) -> Figure:
    """Four panels: the IHC, its DAB, nuclei outlined in the colour of their class, and the nuclei's mean DAB.

    ``rgb (h, w, 3)``, ``dab (h, w)`` on the scale of the thresholds, ``found`` of the same image.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(10, 9.3), layout="constrained")
        (image, stain), (outlined, histogram) = figure.subplots(2, 2)
        image.imshow(rgb)
        image.set_title("IHC")
        shown = stain.imshow(dab, cmap="YlOrBr", vmin=0, vmax=OD_SHOWN)
        stain.set_title("DAB, log10 optical density")
        figure.colorbar(shown, ax=stain, shrink=0.8, extend="both")
        outlined.imshow(_outlined(rgb, found))
        outlined.set_title(f"{len(found.classes)} nuclei by class")
        for axes in (image, stain, outlined):
            axes.set_axis_off()
        _histogram(histogram, found, marker)
    return figure


def save(figure: Figure, path: Path, *, colours: int | None = None) -> Path:
    """Write a PNG, the same bytes each time; with ``colours``, reduced to a palette, which shrinks photographs."""
    from matplotlib import rc_context

    with rc_context(STYLE), written_whole(path) as part:
        figure.savefig(part, format="png", dpi=DPI, metadata={"Software": None})
        if colours is not None:
            _to_palette(part, colours)
    return path


def _to_palette(path: Path, colours: int) -> None:
    from PIL import Image

    with Image.open(path) as opened:
        reduced = opened.convert("RGB").quantize(colours, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    reduced.save(path, format="PNG", optimize=True)


def _scatter(axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64], found: PatientAgreement) -> None:
    axes.axline((0, 0), slope=1, color="#999999", linewidth=0.8, linestyle="--")
    axes.scatter(x, y, s=12, color=COLOURS["model"], alpha=0.6, linewidths=0)
    axes.set(xlim=(-5, MAXIMUM + 5), ylim=(-5, MAXIMUM + 5), aspect="equal")
    axes.set(xlabel="H-score of the real IHC", ylabel="H-score of the generated IHC")
    axes.set_title("r: " + (found.reason if found.r.value is None else _interval(found.r, 2)))


def _differences(axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64], found: PatientAgreement) -> None:
    axes.scatter((x + y) / 2, y - x, s=12, color=COLOURS["model"], alpha=0.6, linewidths=0)
    axes.axhline(0, color="#cccccc", linewidth=0.8, zorder=0)
    for value, style in ((found.bias.value, "-"), (found.lower, "--"), (found.upper, "--")):
        if value is not None:
            axes.axhline(value, color=COLOURS["oracle"], linewidth=1, linestyle=style)
    if found.bias.low is not None and found.bias.high is not None:
        axes.axhspan(found.bias.low, found.bias.high, color=COLOURS["oracle"], alpha=0.12, linewidth=0)
    axes.set(xlim=(-5, MAXIMUM + 5), xlabel="mean of both", ylabel="generated - real")
    axes.set_title(f"bias {_interval(found.bias, 1)}")


def _outlined(rgb: NDArray[np.uint8], found: ImageHScore) -> NDArray[np.uint8]:
    from importlib import import_module

    segmentation: Any = import_module("skimage.segmentation")
    edge = segmentation.find_boundaries(found.labels, mode="thick") & (found.labels > 0)
    levels = [[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in CLASS_COLOURS]
    grey = (128 + rgb.mean(axis=2) / 2).astype(np.uint8)  # brown would hide the colours of the classes
    painted = np.stack([grey] * 3, axis=-1)
    painted[edge] = np.array(levels, dtype=np.uint8)[found.classes[found.labels[edge] - 1]]
    return painted


def _histogram(axes: Axes, found: ImageHScore, marker: str) -> None:
    bounds = thresholds_of(marker)
    bins = np.linspace(
        min(0.0, found.nuclear_dab.min(initial=0.0)), max(OD_SHOWN, found.nuclear_dab.max(initial=0.0)), 40
    )
    per_class = [found.nuclear_dab[found.classes == number] for number in range(4)]
    names = [f"{name} ({len(values)})" for name, values in zip(CLASS_NAMES, per_class, strict=True)]
    axes.hist(per_class, bins=list(bins), stacked=True, color=list(CLASS_COLOURS), label=names)
    for bound in (bounds.weak, bounds.moderate, bounds.strong):
        axes.axvline(bound, color="#444444", linewidth=0.8, linestyle="--")
    axes.legend(frameon=False)
    axes.set(xlabel="mean DAB of a nucleus, log10 optical density", ylabel="nuclei")
    score = found.score
    axes.set_title(
        f"H-score ({marker} thresholds): {score.reason if score.value is None else format(score.value, '.0f')}"
        + (", clipped" if score.clipped else "")
    )


def _interval(estimate: Estimate, digits: int) -> str:
    if estimate.value is None:
        return "undefined"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.{digits}f}"
    return f"{estimate.value:.{digits}f} ({estimate.low:.{digits}f} to {estimate.high:.{digits}f})"
