"""Which cells are positive for a marker: by a gate that was given, by two Gaussians on log1p, or by a percentile.

A gate is a choice, and what follows (who lies beside whom) moves with it. So every answer says which rule was used,
what the gate came to and how many cells are above it; a marker on which the rule has no answer is undefined, with the
reason, and never silently negative.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols.errors import UserError, look_up
from protocols.seeds import derive_seed

Float = NDArray[np.floating]
Bool = NDArray[np.bool_]

MIXTURE, PERCENTILE, GATES = "gmm", "percentile", "gates"
CLEARLY_TWO = 2.0
"""Ashman's D above which two Gaussians are apart (Ashman, Bird and Zepf, Astron. J. 1994)."""


@dataclass(frozen=True)
class Rule:
    """How cells become positive. ``gates``: intensity above which a marker is positive, by marker; ``percentile``:
    of a marker's own cells, in (0, 100)."""

    kind: str = MIXTURE
    percentile: float = 90.0
    gates: Mapping[str, float] | None = None

    def said(self) -> str:
        if self.kind == PERCENTILE:
            return f"above the marker's {self.percentile:g}th percentile"
        return "above the gate given" if self.kind == GATES else "upper of two Gaussians on log1p"


@dataclass(frozen=True)
class Gate:
    """One marker: the intensity ``above`` which a cell is positive (NaN: undefined, ``reason`` says why), the share
    of cells above, and Ashman's D between the two Gaussians (None under another rule)."""

    marker: str
    rule: str
    above: float
    share: float
    separation: float | None = None
    reason: str = ""
    not_fitted: int = 0

    @property
    def note(self) -> str:
        """What a user should know before believing the gate."""
        said = []
        if self.separation is not None and self.separation < CLEARLY_TWO:
            said.append(f"two Gaussians hardly apart (D {self.separation:.2f} < {CLEARLY_TWO:g}): a weak gate")
        if self.not_fitted:
            said.append(f"{self.not_fitted} cells at or below 0: negative, not fitted")
        return "; ".join(said)


def read_rule(text: str) -> Rule:
    """``gmm``, ``percentile:90`` or ``CD8=1200,CD4=300`` (raw intensities, as the table has them)."""
    kind, _, rest = text.strip().partition(":")
    if "=" in text:
        return Rule(GATES, gates=_gates(text))
    look_up(kind, dict.fromkeys((MIXTURE, PERCENTILE)), kind="rule of positive cells", where="positive")
    if kind == MIXTURE:
        return Rule()
    value = _number(rest or "90", text)
    if not 0 < value < 100:
        raise UserError(f"percentile {value:g}", where="positive", expected="between 0 and 100", remedy="such as 90")
    return Rule(PERCENTILE, value)


def gate(marker: str, values: Float, rule: Rule, *, seed: int) -> Gate:
    """The gate of one marker from its finite intensities ``(n,)``; ``seed`` starts the mixture.

    The mixture: scikit-learn's GaussianMixture, two components, on log1p of the values above zero; the gate is the
    observed value above which the upper component is the likelier one, beyond the lower one's mean (a wide upper
    component is also likelier far below, where no cell is positive). Cells at or below zero are negative and not
    fitted: they are places that a cycle's image did not cover, and a spike of them, however small, is taken for the
    lower population (of 11,201 cells of a CyCIF section 66 to 81 are exactly 0, and 99 % were then "positive").
    """
    values = np.asarray(values, dtype=np.float64)
    if not len(values) or not np.isfinite(values).all():
        raise UserError(
            f"{marker} has no value, or one that is not finite", where="positive cells",
            expected="finite intensities", remedy="drop those cells, or the marker",
        )  # fmt: skip
    said = rule.said()
    if rule.kind == GATES:
        given = rule.gates or {}
        if marker not in given:
            return Gate(marker, said, math.nan, math.nan, reason="no gate given")
        return _gate(marker, said, values, given[marker])
    if np.ptp(values) == 0:
        return Gate(marker, said, math.nan, math.nan, reason="constant")
    if rule.kind == PERCENTILE:
        return _gate(marker, said, values, float(np.percentile(values, rule.percentile)))
    return _mixture(marker, said, values, seed)


def positives(values: Float, gates: list[Gate]) -> Bool:
    """Cells × markers, bool: strictly above the gate; a column without a gate is all False."""
    above = np.array([one.above for one in gates])
    return np.asarray(np.asarray(values, dtype=np.float64) > above)  # NaN compares False


def _gate(marker: str, said: str, values: Float, above: float) -> Gate:
    return Gate(marker, said, above, float((values > above).mean()))


def _mixture(marker: str, said: str, values: Float, seed: int) -> Gate:
    from sklearn.mixture import GaussianMixture

    fitted = np.sort(values[values > 0], kind="stable")
    ordered, left = np.log1p(fitted), len(values) - len(fitted)
    if len(np.unique(ordered)) < 3:
        reason = "fewer than three different values above 0"
        return Gate(marker, said, math.nan, math.nan, reason=reason, not_fitted=left)
    state = derive_seed(seed, "gate", marker) % 2**32
    model = GaussianMixture(2, random_state=state, n_init=1, max_iter=500).fit(ordered[:, None])
    means, sds = model.means_[:, 0], np.sqrt(model.covariances_[:, 0, 0])
    high = int(np.argmax(means))
    separation = float(math.sqrt(2) * abs(means[1] - means[0]) / math.hypot(*sds))
    upper = (model.predict_proba(ordered[:, None])[:, high] > 0.5) & (ordered > means[1 - high])
    if not upper.any() or upper.all():
        reason = "the two Gaussians do not cross between their means"
        return Gate(marker, said, math.nan, math.nan, separation, reason, left)
    # The gate lies on the last value below, so that "strictly above" is the rule everywhere.
    above = float(fitted[int(np.argmax(upper)) - 1])
    return Gate(marker, said, above, float((values > above).mean()), separation, not_fitted=left)


def _gates(text: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for part in (one for one in text.split(",") if one.strip()):
        marker, _, value = part.rpartition("=")
        if not marker.strip():
            raise UserError(f"{part!r}", where="positive", expected="MARKER=VALUE", remedy="such as CD8=1200")
        found[marker.strip()] = _number(value, part)
    return found


def _number(text: str, whole: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(
            f"{whole!r} holds no number", where="positive", expected="gmm, percentile:90 or CD8=1200,CD4=300",
            remedy="mend it",
        )  # fmt: skip
    return value
