"""Do intervals cover, and are equal models told apart no more often than stated? By simulation, fast here.

``pytest -m simulation`` takes every cell of the table in docs/metrics.md with 2,000 repetitions; the default run takes
some of them with a few hundred, at bounds that many repetitions can hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from protocols.metrics.pairwise import LEVEL, compare_all
from protocols.metrics.patient_values import PatientValues
from tests.protocols.metrics.coverage import (
    FACTORS,
    GENES,
    TRUE_MEAN,
    as_models,
    bulk_values,
    covered,
    equal_scores,
    interval_of_bulk,
    interval_of_mean,
    interval_of_survival,
    normal_scores,
    repeated,
    skewed_scores,
    survival_models,
    true_concordance,
)

LOW, HIGH = 0.93, 0.97
TIMES, FEW = 2000, 300
SIZES = (2, 3, 5, 8, 12, 30, 150)
STRENGTHS = (0.3, 0.6, 0.9)
whole = pytest.mark.simulation


def within(share: float | None, times: int) -> bool:
    """Between the bounds, give or take two Monte Carlo errors; nothing printed is nothing wrong."""
    if share is None:
        return True
    slack = 2 * np.sqrt(share * (1 - share) / times)
    return bool(LOW - slack <= share <= HIGH + slack)


def loadings(rng: np.random.Generator, genes: int = GENES) -> np.ndarray[Any, Any]:
    return rng.normal(size=(FACTORS, genes))


@pytest.mark.parametrize("draw", [normal_scores, skewed_scores])
@pytest.mark.parametrize("n", SIZES)
def test_means_over_patients(draw: Callable[..., Any], n: int) -> None:
    share = covered(repeated(TIMES, interval_of_mean, np.random.default_rng(n), draw, n), TRUE_MEAN[draw])
    assert (share is None) == (n < 3)
    assert within(share, TIMES)


@pytest.mark.parametrize(("n", "r"), [(30, 0.9), (80, 0.3), (150, 0.6)])
def test_correlations_over_folds(n: int, r: float) -> None:
    rng = np.random.default_rng(n)
    assert within(covered(repeated(FEW, interval_of_bulk, rng, n, r, loadings(rng)), r), FEW)


@whole
@pytest.mark.parametrize("n", [30, 50, 80, 150, 180])
@pytest.mark.parametrize("r", STRENGTHS)
def test_correlations_over_folds_wholly(n: int, r: float) -> None:
    rng = np.random.default_rng(n)
    assert within(covered(repeated(TIMES, interval_of_bulk, rng, n, r, loadings(rng)), r), TIMES)
    assert within(covered(repeated(TIMES, interval_of_bulk, rng, n, 0.8, None), 0.8), TIMES)


def test_correlations_in_folds_of_four_have_no_interval() -> None:
    found = interval_of_bulk(np.random.default_rng(0), 20, 0.6, None)
    assert (found.low, found.reason) == (None, "a fold of 4 patients; an interval needs 5")


@pytest.mark.parametrize(("n", "folds", "r", "censoring"), [(30, 1, 0.6, 1.0), (60, 5, 0.9, 0.25), (150, 5, 0.3, 1.0)])
def test_concordance_over_folds(n: int, folds: int, r: float, censoring: float) -> None:
    rng = np.random.default_rng(n)
    true = true_concordance(rng, r, censoring)
    assert within(covered(repeated(FEW, interval_of_survival, rng, n, folds, r, censoring), true), FEW)


@whole
@pytest.mark.parametrize("n", [30, 60, 150])
@pytest.mark.parametrize("folds", [1, 5])
@pytest.mark.parametrize("r", STRENGTHS)
@pytest.mark.parametrize("censoring", [1.0, 0.25])
def test_concordance_over_folds_wholly(n: int, folds: int, r: float, censoring: float) -> None:
    rng = np.random.default_rng(n)
    true = true_concordance(rng, r, censoring)
    assert within(covered(repeated(TIMES, interval_of_survival, rng, n, folds, r, censoring), true), TIMES)


def wrongly_apart(draw: Callable[[], Mapping[str, PatientValues]], times: int) -> float:
    return float(np.mean([any(pair.apart for pair in compare_all(draw(), seed=0).pairs) for _ in range(times)]))


def controlled(share: float, times: int) -> bool:
    return bool(share <= LEVEL + 2 * np.sqrt(LEVEL * (1 - LEVEL) / times))


@whole
@pytest.mark.parametrize("n", SIZES)
def test_seventeen_equal_means(n: int) -> None:
    rng = np.random.default_rng(n)
    assert controlled(wrongly_apart(lambda: equal_scores(rng, n), TIMES), TIMES)


@whole
@pytest.mark.parametrize("n", [30, 60, 150])
def test_seventeen_equal_survival_models(n: int) -> None:
    rng = np.random.default_rng(n)
    share = wrongly_apart(lambda: as_models(survival_models(rng, n, 5, 0.6, 0.5, 17)[0]), TIMES // 4)
    assert controlled(share, TIMES // 4)


@whole
@pytest.mark.parametrize("n", [30, 60, 150])
def test_seventeen_equal_models_of_expression(n: int) -> None:
    rng = np.random.default_rng(n)
    genes = loadings(rng, 40)
    share = wrongly_apart(lambda: as_models(bulk_values(rng, n, [0.45] * 17, genes)), TIMES // 4)
    assert controlled(share, TIMES // 4)


@pytest.mark.parametrize("n", [50, 100])
def test_equal_mean_r_by_other_genes_is_equal(n: int) -> None:
    """Half of the genes at .9 and half at 0 against .45 throughout: resamples told them apart in 67 and 40 %."""
    rng = np.random.default_rng(n)
    genes = loadings(rng, 200)
    uneven = np.where(np.arange(200) < 100, 0.9, 0.0)
    share = wrongly_apart(lambda: as_models(bulk_values(rng, n, [uneven, 0.45], genes)), 100)
    assert controlled(share, 100)
