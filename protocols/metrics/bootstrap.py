"""Uncertainty over patients, and ranks that respect it.

Cells of one patient are not independent, so the unit that is drawn is the patient: resamples of patients with
replacement, percentile interval at 95 %.

With few patients this interval is too narrow: resampling n patients never leaves their range, and n differences of one
sign always exclude zero, which happens by chance with probability 2·2⁻ⁿ (a quarter at three patients). Read nothing
into an interval of fewer than five patients; :func:`minimum_detectable_difference` says what n patients could show.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from protocols.records import Interval
from protocols.seeds import generator

RESAMPLES = 2000
PERCENTILES = (2.5, 97.5)
UNRELIABLE_BELOW = 5


class Ranked(NamedTuple):
    """One line of a ranking; ``low`` and ``high`` are None with fewer than two patients."""

    model: str
    rank: int
    mean: float
    low: float | None
    high: float | None


def patient_bootstrap(values: Mapping[str, float], seed: int, resamples: int = RESAMPLES) -> Interval:
    """Mean over patients with its 95 % percentile interval (no bounds below two patients, no mean without any)."""
    if not values:
        return Interval(None, None, None, 0)
    array = np.array([values[patient] for patient in sorted(values)], dtype=np.float64)
    mean = float(array.mean())
    if len(array) < 2:
        return Interval(mean, None, None, len(array))
    low, high = np.percentile(_shares(len(array), seed, resamples) @ array, PERCENTILES)
    return Interval(mean, float(low), float(high), len(array))


def paired_difference(
    a: Mapping[str, float], b: Mapping[str, float], seed: int, resamples: int = RESAMPLES
) -> Interval:
    """Mean of ``a - b`` over the patients that both have, with its interval; each patient is its own control."""
    return patient_bootstrap({patient: a[patient] - b[patient] for patient in a.keys() & b.keys()}, seed, resamples)


def ranks_with_ties(
    per_model: Mapping[str, Mapping[str, float]], seed: int, resamples: int = RESAMPLES
) -> list[Ranked]:
    """Rank = 1 + the number of models that are better with a paired interval that excludes zero.

    So models which the patients cannot tell apart share a rank. Sorted by rank, then mean (best first), then name.
    A model without any patient is left out. Not corrected for the number of pairs. With fewer than two common
    patients nothing excludes zero and all share rank 1; see the module on fewer than five.
    """
    models = sorted(model for model, values in per_model.items() if values)
    better = dict.fromkeys(models, 0)
    for patients, group in _by_common_patients(models, per_model).items():
        if len(patients) < 2:
            continue
        differences = np.array([[per_model[a][p] - per_model[b][p] for a, b in group] for p in patients])
        low, high = np.percentile(_shares(len(patients), seed, resamples) @ differences, PERCENTILES, axis=0)
        for (a, b), least, most in zip(group, low, high, strict=True):
            better[b] += int(least > 0)
            better[a] += int(most < 0)
    rows = []
    for model in models:
        interval = patient_bootstrap(per_model[model], seed, resamples)
        mean = float(np.mean([per_model[model][p] for p in sorted(per_model[model])]))
        rows.append(Ranked(model, 1 + better[model], mean, interval.low, interval.high))
    return sorted(rows, key=lambda row: (row.rank, -row.mean, row.model))


def minimum_detectable_difference(
    a: Mapping[str, float], b: Mapping[str, float], *, power: float = 0.8, level: float = 0.05
) -> float | None:
    """The true mean difference that a paired t-test on these patients would find with ``power``.

    (t at 1 - level/2 plus t at power, n - 1 degrees of freedom) · SD of the differences / √n; None below two common
    patients. A difference smaller than this that "is not significant" has not been shown to be absent.
    """
    from scipy.special import stdtrit

    differences = np.array([a[patient] - b[patient] for patient in sorted(a.keys() & b.keys())])
    n = len(differences)
    if n < 2:
        return None
    quantiles = stdtrit(n - 1, 1 - level / 2) + stdtrit(n - 1, power)
    return float(quantiles * differences.std(ddof=1) / np.sqrt(n))


def _by_common_patients(
    models: list[str], per_model: Mapping[str, Mapping[str, float]]
) -> dict[tuple[str, ...], list[tuple[str, str]]]:
    """Pairs of models by the patients they share, so that each set of patients is resampled once."""
    pairs: dict[tuple[str, ...], list[tuple[str, str]]] = {}
    for i, a in enumerate(models):
        for b in models[i + 1 :]:
            common = tuple(sorted(per_model[a].keys() & per_model[b].keys()))
            pairs.setdefault(common, []).append((a, b))
    return pairs


def _shares(n: int, seed: int, resamples: int) -> NDArray[np.float64]:
    """Weight of each patient in each resample, ``(resamples, n)``; rows sum to one. The same for every model."""
    drawn = generator(seed, "patient bootstrap", n).integers(n, size=(resamples, n))
    flat = drawn + n * np.arange(resamples)[:, None]
    return np.bincount(flat.ravel(), minlength=resamples * n).reshape(resamples, n) / n
