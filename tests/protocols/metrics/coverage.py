"""What coverage and family-wise error are simulated with: the laws of the cases, and the product's own intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.metrics.concordance import FoldOutcome
from protocols.metrics.concordance_influence import concordance_interval, mean_concordance
from protocols.metrics.correlation_influence import LEAST_IN_FOLD, mean_correlation
from protocols.metrics.intervals import FISHER, fold_interval, mean_interval
from protocols.metrics.patient_values import PatientValues, plain_mean
from protocols.records import Interval

Float = NDArray[np.float64]
Rng = np.random.Generator
FOLDS, GENES, FACTORS, MODELS = 5, 118, 12, 17


def names(n: int) -> list[str]:
    return [f"p{i:04d}" for i in range(n)]


def normal_scores(rng: Rng, n: int) -> Float:
    return rng.normal(0.3, 0.1, n)


def skewed_scores(rng: Rng, n: int) -> Float:
    """As PSNR of patients."""
    return 15 + rng.gamma(2, 1.5, n)


TRUE_MEAN: dict[Callable[[Rng, int], Float], float] = {normal_scores: 0.3, skewed_scores: 18.0}


def interval_of_mean(rng: Rng, draw: Callable[[Rng, int], Float], n: int) -> Interval:
    return mean_interval(dict(zip(names(n), draw(rng, n).tolist(), strict=True)))


def expression(rng: Rng, n: int, loadings: Float | None) -> Float:
    """Patients x genes: of twelve factors, or independent where there are no loadings."""
    if loadings is None:
        return rng.normal(size=(n, 100))
    shared = rng.normal(size=(n, FACTORS)) @ loadings / np.sqrt(FACTORS)
    return np.asarray(0.75 * shared + 0.66 * rng.normal(size=(n, loadings.shape[1])))


def predicted(rng: Rng, truth: Float, r: Float | float, loadings: Float | None) -> Float:
    """``r`` times the truth and another draw of its law; ``r``: one, or one a gene."""
    scale = 1.0 if loadings is None else np.sqrt(0.75**2 * (loadings**2).sum(axis=0) / FACTORS + 0.66**2)
    other = expression(rng, len(truth), loadings)
    return np.asarray(r * truth / scale + np.sqrt(1 - np.square(r)) * other / scale)


def bulk_values(rng: Rng, n: int, answers: list[Float | float], loadings: Float | None) -> list[PatientValues]:
    """Models of one cohort of ``n`` patients in five folds."""
    truths = [expression(rng, n // FOLDS, loadings) for _ in range(FOLDS)]
    return [
        mean_correlation(
            [
                (str(fold), [f"{fold}/{one}" for one in names(len(t))], t, predicted(rng, t, r, loadings))
                for fold, t in enumerate(truths)
            ]
        ).values
        for r in answers
    ]


def interval_of_bulk(rng: Rng, n: int, r: float, loadings: Float | None) -> Interval:
    return fold_interval(bulk_values(rng, n, [r], loadings)[0], FISHER, least=0, least_in_fold=LEAST_IN_FOLD)


def follow_up(rng: Rng, n: int, censoring: float) -> tuple[Float, NDArray[np.bool_], Float]:
    """Exponential follow-up with a log hazard of standard deviation 1; time, event and the log hazard."""
    hazard = rng.normal(size=n)
    time, censored = rng.exponential(np.exp(-hazard)), rng.exponential(censoring, n)
    return np.minimum(time, censored), time <= censored, hazard


def survival_models(
    rng: Rng, n: int, folds: int, r: float, censoring: float, models: int
) -> tuple[list[PatientValues], int]:
    """Models whose risks correlate with the log hazard by ``r``, and with each other beyond it; and the events."""
    parts = [follow_up(rng, n // folds, censoring) for _ in range(folds)]
    shared = [rng.normal(size=n // folds) for _ in range(folds)]
    found = []
    for _ in range(models):
        told: dict[str, tuple[list[str], FoldOutcome]] = {}
        for number, (time, event, hazard) in enumerate(parts):
            noise = np.sqrt(0.5) * shared[number] + np.sqrt(0.5) * rng.normal(size=len(time))
            risk = r * hazard + np.sqrt(1 - r * r) * noise
            patients = [f"{number}/{one}" for one in names(len(time))]
            told[str(number)] = (patients, FoldOutcome(str(number), time, event, risk))
        values = mean_concordance(told)
        if values is not None:
            found.append(values)
    return found, sum(int(event.sum()) for _, event, _ in parts)


def true_concordance(rng: Rng, r: float, censoring: float) -> float:
    """Of a hundred thousand patients, in folds of two thousand."""
    return survival_models(rng, 100_000, 50, r, censoring, 1)[0][0].mean


def interval_of_survival(rng: Rng, n: int, folds: int, r: float, censoring: float) -> Interval:
    values, events = survival_models(rng, n, folds, r, censoring, 1)
    return concordance_interval(values[0] if values else None, events)


def equal_scores(rng: Rng, n: int, models: int = MODELS) -> dict[str, PatientValues]:
    """Models that differ by noise alone: a shared effect of each patient, and each model's own."""
    values = rng.normal(0.3, 0.1, n)[:, None] + rng.normal(0, 0.05, (n, models))
    return as_models([plain_mean(dict(zip(names(n), one.tolist(), strict=True))) for one in values.T])


def as_models(values: list[PatientValues]) -> dict[str, PatientValues]:
    return {f"m{number:02d}": one for number, one in enumerate(values)}


def covered(intervals: Iterator[Interval], true: float) -> float | None:
    """Share of the printed intervals that hold ``true``; None if fewer than half were printed."""
    ends = [(one.low, one.high) for one in intervals]
    printed = [(low, high) for low, high in ends if low is not None and high is not None]
    return float(np.mean([low <= true <= high for low, high in printed])) if len(printed) > len(ends) / 2 else None


def repeated(times: int, draw: Callable[..., Any], *given: Any) -> Iterator[Any]:
    return (draw(*given) for _ in range(times))
