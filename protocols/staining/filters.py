"""Which patches are worth learning from: PAST's two filters as rules on pixels, and what each leaves out.

PAST removed IHC4BC images "with large white borders" and "poorly defined cellular boundaries" (Methods, virtual IHC)
and gives no rule, so 3,600 ER and 3,200 PR images cannot be chosen again. These rules are ours: white border = lines
of glass along an edge; unclear cells = low variance of the Laplacian (Pech-Pacheco et al. 2000) of the haematoxylin
optical density (Ruifrok & Johnston 2001).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.contract import CropArray
from protocols.images.patch_images import decode
from protocols.splits import Exclusion
from protocols.staining.cohort import IhcCohort, PatchPair

BLANK, WHITE_BORDER, UNCLEAR_CELLS = "blank patch", "white border", "unclear cells"
STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
"""Optical densities of haematoxylin, eosin and DAB in red, green, blue (Ruifrok & Johnston 2001)."""
STRIP = 512
"""Rows worked on at a time, so that floats of a 3,000 px patch are never held all at once."""


@dataclass(frozen=True)
class FilterRules:
    """Every number of the rules. A rule set to None is not applied.

    ``glass``: from this value of the darkest channel (0–255) on a pixel is glass. ``black``: up to this value of the
    brightest channel it is fill, which registration leaves where a slide ended; fill counts as glass.
    ``min_tissue``: below this share of other pixels a patch is blank; so it is where no channel varies by more than
    ``flat`` (standard deviation). ``line_glass``: share of glass from which a row or column of pixels is a line of
    glass. ``max_border``: widest run of such lines at any edge, as a share of the side. ``min_focus``: least variance
    of the Laplacian of haematoxylin (log10 optical density) over tissue. It is per pixel of the scan, so another
    resolution wants another number. On TCGA tiles, two HER2+ breast sections and an Aperio scan, sharp tissue lies
    above .0011, and blurred by a Gaussian of 3 px below .0006.
    """

    glass: int = 220
    black: int = 5
    min_tissue: float = 0.01
    flat: float = 1.0
    line_glass: float = 0.95
    max_border: float | None = 0.05
    min_focus: float | None = 8e-4


@dataclass(frozen=True)
class PatchMeasures:
    """``tissue``: least share of tissue of the two images; ``border``: widest border of the two, as a share of the
    side; ``focus``: variance of the Laplacian of haematoxylin of the H&E, 0 without tissue."""

    tissue: float
    border: float
    focus: float


def glass_mask(image: CropArray, rules: FilterRules) -> NDArray[np.bool_]:
    """Where nothing was stained, ``(height, width)``."""
    red, green, blue = image[..., 0], image[..., 1], image[..., 2]  # much faster than min over an axis
    darkest, brightest = np.minimum(np.minimum(red, green), blue), np.maximum(np.maximum(red, green), blue)
    glass: NDArray[np.bool_] = (darkest >= rules.glass) | (brightest <= rules.black)
    return glass


def tissue_share(image: CropArray, rules: FilterRules) -> float:
    """Share of pixels that are not glass, 0 for one flat colour whichever it is. Every fourth row and column."""
    few = image[::4, ::4]
    flat = bool((few.reshape(-1, 3).std(axis=0) <= rules.flat).all())
    return 0.0 if flat else float(1.0 - glass_mask(few, rules).mean())


def is_blank(image: CropArray, rules: FilterRules) -> bool:
    return tissue_share(image, rules) < rules.min_tissue


def border_share(mask: NDArray[np.bool_], line_glass: float) -> float:
    """Widest run of lines of glass from any of the four edges, as a share of that side; 1 if all lines are."""
    widest = 0.0
    for axis in (0, 1):
        lines = mask.mean(axis=1 - axis) >= line_glass
        for ordered in (lines, lines[::-1]):
            run = len(ordered) if ordered.all() else int(np.argmin(ordered))
            widest = max(widest, run / len(ordered))
    return widest


def haematoxylin(image: CropArray) -> NDArray[np.float32]:
    """Haematoxylin of an H&E image in log10 optical density on unit stain vectors, float32 ``(height, width)``."""
    unmix = np.linalg.inv(STAINS / np.linalg.norm(STAINS, axis=1, keepdims=True))[:, 0]
    density = -np.log10(np.maximum(np.arange(256), 1) / 255.0)
    # Each channel is one of 256 values: three look-ups instead of a logarithm per pixel.
    tables = [(density * weight).astype(np.float32) for weight in unmix]
    out: NDArray[np.float32] = tables[0][image[..., 0]] + tables[1][image[..., 1]] + tables[2][image[..., 2]]
    return out


def focus(image: CropArray, mask: NDArray[np.bool_]) -> float:
    """Variance of the 4-neighbour Laplacian of haematoxylin where ``mask`` is False on a pixel and its neighbours.

    0 where that is nowhere. The step from tissue to glass or fill is left out, since registration makes it sharp
    whatever the focus; so are the outermost pixels. Sums are taken strip by strip in float64.
    """
    number, total, squares = 0, 0.0, 0.0
    for top in range(1, image.shape[0] - 1, STRIP):
        bottom = min(top + STRIP, image.shape[0] - 1)
        h = haematoxylin(image[top - 1 : bottom + 1])
        laplacian = h[:-2, 1:-1] + h[2:, 1:-1] + h[1:-1, :-2] + h[1:-1, 2:] - 4.0 * h[1:-1, 1:-1]
        m = mask[top - 1 : bottom + 1]
        beside_glass = m[:-2, 1:-1] | m[2:, 1:-1] | m[1:-1, :-2] | m[1:-1, 2:] | m[1:-1, 1:-1]
        values = laplacian[~beside_glass].astype(np.float64)
        number += values.size
        total += float(values.sum())
        squares += float(np.square(values).sum())
    return max(squares / number - (total / number) ** 2, 0.0) if number else 0.0


def measure(he: CropArray, ihc: CropArray, rules: FilterRules) -> PatchMeasures:
    """What the rules look at, from both images of a pair (uint8 RGB)."""
    masks = glass_mask(he, rules), glass_mask(ihc, rules)
    return PatchMeasures(
        min(tissue_share(image, rules) for image in (he, ihc)),
        max(border_share(mask, rules.line_glass) for mask in masks),
        focus(he, masks[0]),
    )


def verdicts(measures: PatchMeasures, rules: FilterRules) -> tuple[str, ...]:
    """Every rule that would leave the patch out, by name."""
    found = []
    if measures.tissue < rules.min_tissue:
        found.append(BLANK)
    if rules.max_border is not None and measures.border > rules.max_border:
        found.append(WHITE_BORDER)
    if rules.min_focus is not None and measures.focus < rules.min_focus:
        found.append(UNCLEAR_CELLS)
    return tuple(found)


@dataclass(frozen=True)
class FilterEffect:
    """Of one marker's ``patches``, how many each rule would leave out by itself, and how many all rules keep."""

    marker: str
    patches: int
    left_out: dict[str, int]
    kept: int


def measured(patches: Iterable[PatchPair], cohort: IhcCohort, rules: FilterRules) -> list[PatchMeasures]:
    """:func:`measure` of each patch, one pair decoded at a time."""
    return [measure(decode(cohort.root / one.he), decode(cohort.root / one.ihc), rules) for one in patches]


def effect(
    cohort: IhcCohort, rules: FilterRules | None = None, measures: Sequence[PatchMeasures] | None = None
) -> list[FilterEffect]:
    """What the rules would do to each marker's patches; ``measures`` of :func:`measured`, if at hand, save decoding."""
    rules = rules or FilterRules()
    measures = measured(cohort.patches, cohort, rules) if measures is None else measures
    found = []
    for marker in cohort.markers:
        names = [
            verdicts(one, rules)
            for patch, one in zip(cohort.patches, measures, strict=True)
            if patch.marker == marker
        ]  # fmt: skip
        left_out = {rule: sum(rule in one for one in names) for rule in (BLANK, WHITE_BORDER, UNCLEAR_CELLS)}
        found.append(FilterEffect(marker, len(names), left_out, sum(not one for one in names)))
    return found


def filtered(
    cohort: IhcCohort, rules: FilterRules | None = None, measures: Sequence[PatchMeasures] | None = None
) -> IhcCohort:
    """The cohort without the patches that a rule leaves out, each named with the first such rule."""
    rules = rules or FilterRules()
    measures = measured(cohort.patches, cohort, rules) if measures is None else measures
    kept: list[PatchPair] = []
    excluded: list[Exclusion] = []
    for patch, one in zip(cohort.patches, measures, strict=True):
        names = verdicts(one, rules)
        if names:
            excluded.append(Exclusion(f"{patch.marker} patch {patch.name}", names[0]))
        else:
            kept.append(patch)
    return replace(cohort, patches=tuple(kept), excluded=(*cohort.excluded, *excluded))


def effect_rows(effects: Sequence[FilterEffect]) -> list[dict[str, Any]]:
    """One row a marker for a table."""
    return [{"marker": one.marker, "patches": one.patches, **one.left_out, "kept": one.kept} for one in effects]
