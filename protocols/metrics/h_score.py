"""H-score of a nuclear marker: 100 · weak + 200 · moderate + 300 · strong, as fractions of nuclei, 0 to 300.

A nucleus' class is its mean DAB optical density against the marker's lower bounds (IHC4BC's, on the log10 scale of
:mod:`protocols.metrics.stain`). What the fractions are of is where the sources part (:data:`VARIANTS`):

* ``ihc_nuclei`` (default, the clinical definition): of the nuclei measured in the IHC itself. Numerator and denominator
  are the same nuclei, so 300 cannot be exceeded.
* ``he_nuclei`` (PAST and IHC4BC): of the nuclei counted in the H&E. A neighbouring section holds other nuclei, so more
  than 100 % may be positive; such a score is clipped at 300, and says so.
* ``printed_formula`` (PAST, Methods, as printed): the same with percents in place of fractions, 0 to 30,000, unclipped.

A score without nuclei to divide by is undefined: None, with the reason. :func:`tally` counts both that and clipping.
Where such a score is an *answer* that is held against a label, it counts with :func:`farther_end`: leaving the patch
out would reward a model for drawing nothing where it is unsure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols.errors import UserError, look_up
from protocols.metrics.nuclei import (
    Image,
    Labels,
    WatershedSettings,
    count,
    mean_per_nucleus,
    segment_watershed,
)
from protocols.metrics.stain import H_DAB, WHITE_LEVEL, StainPair, White, dab_od

Float = NDArray[np.float64]
Classes = NDArray[np.int8]

MAXIMUM = 300.0
CLASS_NAMES = ("negative", "weak", "moderate", "strong")


@dataclass(frozen=True)
class Thresholds:
    """Lower bounds (inclusive) of a nucleus' mean DAB, log10 OD."""

    weak: float
    moderate: float
    strong: float


THRESHOLDS: Mapping[str, Thresholds] = {
    "ER": Thresholds(0.06, 0.26, 0.46),
    "PR": Thresholds(0.06, 0.26, 0.46),
    "Ki67": Thresholds(0.12, 0.35, 0.55),
}


@dataclass(frozen=True)
class Variant:
    """What the classes are divided by, what 1.0 of it counts, and whether 300 is the most."""

    by_he_nuclei: bool
    whole: float
    clipped: bool


VARIANTS: Mapping[str, Variant] = {
    "ihc_nuclei": Variant(False, 1.0, True),
    "he_nuclei": Variant(True, 1.0, True),
    "printed_formula": Variant(True, 100.0, False),
}
DEFAULT = "ihc_nuclei"
FLAGS = {"a": "accepted", "0": "forced zero", "d": "discarded"}
"""Flags of IHC4BC's label tables."""


@dataclass(frozen=True)
class HScore:
    """One patch: the score (None with a ``reason``), nuclei by class, the denominator, the score before clipping."""

    value: float | None
    counts: tuple[int, int, int, int]
    """Negative, weak, moderate, strong nuclei of the IHC."""
    denominator: int
    unclipped: float | None
    reason: str = ""

    @property
    def clipped(self) -> bool:
        return self.value != self.unclipped


@dataclass(frozen=True, eq=False)
class ImageHScore:
    """A score with what it was made of: nuclei of the IHC int32 ``(h, w)``, mean DAB and class of each ``(m,)``."""

    score: HScore
    labels: Labels
    nuclear_dab: Float
    classes: Classes


@dataclass(frozen=True)
class Tally:
    """What became of many patches: scored, of these clipped, and undefined ones by reason."""

    scored: int
    clipped: int
    undefined: Mapping[str, int]

    def __str__(self) -> str:
        without = "; ".join(f"{number} without a score: {why}" for why, number in sorted(self.undefined.items()))
        return f"{self.scored} scored, {self.clipped} clipped at {MAXIMUM:g}" + (f"; {without}" if without else "")


def thresholds_of(marker: str) -> Thresholds:
    """Bounds of a nuclear marker; HER2 stains membranes and is graded 0 to 3+, not by H-score."""
    if marker.upper() == "HER2":
        raise UserError(
            "HER2 is a membrane marker",
            where="the H-score",
            expected="a nuclear marker",
            remedy=f"score one of {', '.join(sorted(THRESHOLDS))}",
        )
    return look_up(marker, THRESHOLDS, kind="marker", where="the H-score")


def classify(nuclear_dab: Float | Sequence[float], marker: str) -> Classes:
    """0 negative, 1 weak, 2 moderate, 3 strong for each nucleus' mean DAB ``(m,)``; a bound belongs to its class."""
    bounds, dab = thresholds_of(marker), np.asarray(nuclear_dab, dtype=np.float64)
    if dab.ndim != 1 or not np.isfinite(dab).all():
        raise UserError(
            f"nuclear DAB {dab.shape}, finite: {bool(np.isfinite(dab).all())}",
            where="the H-score",
            expected="one finite optical density a nucleus",
            remedy="check the nuclei and the image",
        )
    return np.digitize(dab, (bounds.weak, bounds.moderate, bounds.strong)).astype(np.int8)


def h_score(
    nuclear_dab: Float | Sequence[float], marker: str, *, he_nuclei: int | None = None, variant: str = DEFAULT
) -> HScore:
    """Score of one patch from the mean DAB of its IHC nuclei; ``he_nuclei`` is the count in the H&E, where used."""
    numbers = np.bincount(classify(nuclear_dab, marker), minlength=4)
    return _score((int(numbers[0]), int(numbers[1]), int(numbers[2]), int(numbers[3])), he_nuclei, variant)


def h_score_of_label(
    flag: str, he_nuclei: int, nuclear_dab: Float | Sequence[float], marker: str, *, variant: str = DEFAULT
) -> HScore:
    """Score of one row of IHC4BC's label tables: a discarded patch has none, a forced zero is 0 whatever its values."""
    look_up(flag, FLAGS, kind="flag", where="a row of the labels")
    if flag == "d":
        return HScore(None, (0, 0, 0, 0), 0, None, "discarded in the labels")
    scored = h_score(nuclear_dab, marker, he_nuclei=he_nuclei, variant=variant)
    return scored if flag == "a" else HScore(0.0, (sum(scored.counts), 0, 0, 0), scored.denominator, 0.0)


def h_score_of_image(
    ihc: NDArray[np.uint8],
    he: NDArray[np.uint8] | None,
    marker: str,
    mpp: float,
    *,
    variant: str = DEFAULT,
    ihc_nuclei: Labels | None = None,
    he_nuclei: int | None = None,
    image: Image = "ihc",
    settings: WatershedSettings | None = None,
    stains: StainPair = H_DAB,
    white: White = WHITE_LEVEL,
    he_white: White = WHITE_LEVEL,
    scale: float = 1.0,
) -> ImageHScore:
    """Score of one patch from its images, uint8 RGB ``(h, w, 3)`` at ``mpp`` µm per pixel.

    Nuclei are found by watershed unless given: ``ihc_nuclei`` as labels in the frame of the IHC (for a generated IHC,
    which lies on its H&E, those of the H&E are the surer ones), ``he_nuclei`` as a count. The H&E (or its count) is
    needed only by variants that divide by it. ``white`` and ``he_white`` are the images' white levels; ``scale`` is
    :func:`protocols.metrics.stain.calibrate`'s.
    """
    thresholds_of(marker)
    labels = (
        segment_watershed(ihc, mpp, image=image, settings=settings, white=white) if ihc_nuclei is None else ihc_nuclei
    )
    dab = mean_per_nucleus(labels, dab_od(ihc, stains=stains, white=white, scale=scale))
    needed = look_up(variant, VARIANTS, kind="variant", where="the H-score").by_he_nuclei
    if he_nuclei is None and needed and he is not None:
        he_nuclei = count(segment_watershed(he, mpp, image="he", settings=settings, white=he_white))
    return ImageHScore(h_score(dab, marker, he_nuclei=he_nuclei, variant=variant), labels, dab, classify(dab, marker))


def farther_end(reference: Float | Sequence[float]) -> Float:
    """The end of the scale (0 or 300) that is farther from each label ``(n,)``: what an answer without a nucleus counts
    as. Half way both are as far; it is then 0, no stain."""
    return np.where(np.asarray(reference, dtype=np.float64) < MAXIMUM / 2, MAXIMUM, 0.0)


def tally(scores: Iterable[HScore]) -> Tally:
    """Count of scored, clipped and undefined patches."""
    known = list(scores)
    scored = [score for score in known if score.value is not None]
    undefined = Counter(score.reason for score in known if score.value is None)
    return Tally(len(scored), sum(score.clipped for score in scored), dict(undefined))


def _score(counts: tuple[int, int, int, int], he_nuclei: int | None, variant: str) -> HScore:
    rule = look_up(variant, VARIANTS, kind="variant", where="the H-score")
    if rule.by_he_nuclei and (he_nuclei is None or he_nuclei < 0):
        raise UserError(
            f"{he_nuclei} nuclei in the H&E",
            where=f"the H-score, variant {variant!r}",
            expected="a count",
            remedy="give the H&E image or its count of nuclei, or take the variant 'ihc_nuclei'",
        )
    divisor = he_nuclei if rule.by_he_nuclei and he_nuclei is not None else sum(counts)
    if not divisor:
        where = "H&E" if rule.by_he_nuclei else "IHC"
        return HScore(None, counts, 0, None, f"no nuclei in the {where}")
    _, weak, moderate, strong = counts
    raw = rule.whole * (100 * weak + 200 * moderate + 300 * strong) / divisor
    return HScore(min(raw, MAXIMUM) if rule.clipped else raw, counts, divisor, raw)
