"""Do the intervals of AUC and average precision cover, at the numbers of patients that trials of response have?

The default run takes a few cells; ``pytest -m simulation`` all of the table in docs/response.md, 2,000 times each.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from protocols.metrics.auc_influence import (
    LEAST_FOR_PRECISION,
    Fold,
    auc_values,
    interval_over_folds,
    over_folds,
    precision_values,
)
from protocols.metrics.binary import average_precision
from tests.protocols.metrics.coverage import covered
from tests.protocols.metrics.test_coverage import FEW, TIMES, whole, within

FOLDS = 5


def folds_of(rng: np.random.Generator, n: int, share: float, strength: float) -> dict[str, Fold]:
    """Five stratified folds; two normal laws, a standard deviation each, so far apart that the AUC is ``strength``."""
    response = np.arange(n) < round(n * share)
    found: dict[str, Fold] = {}
    for k in range(FOLDS):
        own = response[k::FOLDS]
        score = rng.normal(size=len(own)) + np.sqrt(2) * norm.ppf(strength) * own
        found[str(k)] = ([f"{k}/{row}" for row in range(len(own))], own, norm.cdf(score))
    return found


def cover_of_auc(n: int, share: float, strength: float, times: int) -> float | None:
    rng = np.random.default_rng(n)
    drawn = (folds_of(rng, n, share, strength) for _ in range(times))
    return covered((interval_over_folds(over_folds(one, auc_values), one) for one in drawn), strength)


def cover_of_precision(n: int, share: float, strength: float, times: int) -> float | None:
    rng = np.random.default_rng(n)
    true = np.mean(
        [average_precision(r, p) for _ in range(3000) for _, r, p in folds_of(rng, n, share, strength).values()]
    )
    drawn = (folds_of(rng, n, share, strength) for _ in range(times))
    found = (interval_over_folds(over_folds(one, precision_values), one, LEAST_FOR_PRECISION) for one in drawn)
    return covered(found, float(true))


@pytest.mark.parametrize(("n", "share", "strength"), [(60, 0.25, 0.5), (80, 0.3, 0.93), (148, 0.3, 0.82)])
def test_auc(n: int, share: float, strength: float) -> None:
    assert within(cover_of_auc(n, share, strength, FEW), FEW)


def test_average_precision() -> None:
    assert within(cover_of_precision(148, 0.3, 0.7, FEW), FEW)


@whole
@pytest.mark.parametrize(("n", "share"), [(40, 0.3), (60, 0.25), (80, 0.3), (148, 0.3), (148, 0.15)])
@pytest.mark.parametrize("strength", [0.5, 0.7, 0.82, 0.93])
def test_auc_wholly(n: int, share: float, strength: float) -> None:
    share_covered = cover_of_auc(n, share, strength, TIMES)
    print(f"AUC {n} {share} {strength}: {share_covered}")
    assert share_covered is not None
    assert 0.93 <= share_covered <= 0.985


@whole
@pytest.mark.parametrize(("n", "share"), [(148, 0.3), (300, 0.2)])
@pytest.mark.parametrize("strength", [0.5, 0.7, 0.82])
def test_average_precision_wholly(n: int, share: float, strength: float) -> None:
    assert within(cover_of_precision(n, share, strength, TIMES), TIMES)
