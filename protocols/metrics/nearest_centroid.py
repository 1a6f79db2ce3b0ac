"""Cell types from proteins: a nearest-centroid classifier, and the macro F1 of what it says.

The classifier is fitted on true proteins of annotated training units and then asked twice about test units: with their
predicted proteins, and with their true ones, which is what the classifier itself can do. Markers are brought to the
training units' mean and standard deviation, so none counts more for its scale. The same as scikit-learn's
``StandardScaler`` and ``NearestCentroid``, with sums in chunks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
_AT_ONCE = 50_000


@dataclass(frozen=True, eq=False)
class NearestCentroid:
    """``labels`` sorted ``(k,)``; ``centre (k, G)`` in standard units; ``mean`` and ``spread`` ``(G,)`` (1 where a
    marker is constant). A marker that some annotated training unit lacks is NaN and counts nowhere."""

    labels: NDArray[np.str_]
    centre: Float
    mean: Float
    spread: Float

    def assign(self, values: NDArray[np.floating]) -> NDArray[np.str_]:
        """The label of the nearest centre of each row of ``(n, G)``; of equally near ones the first by name.

        Markers that a row's block lacks (NaN) count nowhere.
        """
        found = np.empty(len(values), dtype=self.labels.dtype)
        for start in range(0, len(values), _AT_ONCE):
            rows = slice(start, start + _AT_ONCE)
            standard = (values[rows].astype(np.float64) - self.mean) / self.spread
            usable = np.isfinite(standard).all(axis=0) & np.isfinite(self.centre).all(axis=0)
            gap = [((standard[:, usable] - one[usable]) ** 2).sum(axis=1) for one in self.centre]
            found[rows] = self.labels[np.argmin(np.stack(gap, axis=1), axis=1)]
        return found


def fit_nearest_centroid(
    chunks: Iterable[tuple[NDArray[np.floating], NDArray[np.str_]]],
) -> NearestCentroid | None:
    """Fit on chunks of ``(values (n, G), labels (n,))``, one in memory at a time; None with fewer than two labels."""
    sums: dict[str, tuple[float, Float]] = {}
    squares: Float | float = 0.0
    origin: Float | None = None
    for values, labels in chunks:
        known = np.asarray(values[labels != ""], dtype=np.float64)
        names = labels[labels != ""]
        if not len(known):
            continue
        origin = known[0] if origin is None else origin  # squares are summed around a value and not around nothing
        squares = squares + ((known - origin) ** 2).sum(axis=0)
        for name in np.unique(names):
            count, total = sums.get(str(name), (0.0, np.zeros(known.shape[1])))
            own = known[names == name] - origin
            sums[str(name)] = (count + len(own), total + own.sum(axis=0))
    if len(sums) < 2 or origin is None:
        return None
    order = sorted(sums)
    n = sum(count for count, _ in sums.values())
    mean = np.sum([total for _, total in sums.values()], axis=0) / n
    variance = squares / n - mean**2
    spread = np.sqrt(np.where(variance > 1e-12 * (squares / n), variance, 0.0))
    spread = np.where(spread > 0, spread, np.where(np.isnan(mean), np.nan, 1.0))
    centre = np.stack([(sums[name][1] / sums[name][0] - mean) / spread for name in order])
    return NearestCentroid(np.array(order), centre, mean + origin, spread)


def macro_f1(truth: NDArray[np.str_], said: NDArray[np.str_]) -> float | None:
    """Mean over labels of F1 = 2 TP / (2 TP + FP + FN), labels that occur on either side; None of nothing.

    scikit-learn's ``f1_score(average="macro", zero_division=0)``: a label that is said and never true counts as 0.
    """
    if not len(truth):
        return None
    scores = []
    for label in np.union1d(truth, said):
        true, told = truth == label, said == label
        scores.append(2.0 * np.sum(true & told) / (true.sum() + told.sum()))
    return float(np.mean(scores))
