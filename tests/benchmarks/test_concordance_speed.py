"""Harrell's C of 100,000 patients against scikit-survival and lifelines, as ratios measured in one run.

scikit-survival compares each event with all patients, so its time grows with events times patients: it is timed on
``SAMPLE`` patients, where both are, and once at full size, where a minute must do. lifelines counts with a tree in
pure Python. The ratios stand in ``extra_info`` of the benchmark's JSON, and are printed.
"""

from __future__ import annotations

from collections.abc import Callable
from time import process_time

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from sksurv.metrics import concordance_index_censored

from protocols.metrics.concordance import harrell
from protocols.survival.score import ScoredFold, score_folds

PATIENTS, SAMPLE, FOLDS = 100_000, 10_000, 5
Cohort = tuple[np.ndarray, np.ndarray, np.ndarray]


def seconds(work: Callable[[], object]) -> float:
    """Processor seconds: a busy machine must not decide the ratio."""
    start = process_time()
    work()
    return process_time() - start


def cohort(n: int) -> Cohort:
    """Months to the hundredth, so that some are tied; about a third have the event, as in TCGA."""
    rng = np.random.default_rng(0)
    risk = rng.normal(size=n)
    death, end = rng.exponential(90 * np.exp(-0.5 * risk)), rng.exponential(40, n)
    return np.minimum(death, end).round(2) + 0.01, death <= end, risk


def best(work: Callable[[], object], rounds: int = 3) -> float:
    return min(seconds(work) for _ in range(rounds))


def report(benchmark: BenchmarkFixture, **figures: float) -> None:
    benchmark.extra_info.update(figures)
    print(", ".join(f"{name} {value:.3g}" for name, value in figures.items()))


def test_against_scikit_survival_on_a_tenth(benchmark: BenchmarkFixture) -> None:
    time, event, risk = cohort(SAMPLE)
    found = benchmark.pedantic(harrell, (time, event, risk), rounds=3, warmup_rounds=1)
    mine = best(lambda: harrell(time, event, risk))
    theirs = seconds(lambda: concordance_index_censored(event, time, risk))
    assert found.value == pytest.approx(concordance_index_censored(event, time, risk)[0], abs=1e-12)
    ratio = theirs / mine
    report(benchmark, patients=SAMPLE, seconds=mine, scikit_survival_seconds=theirs, ratio=ratio)
    assert ratio > 10


@pytest.mark.slow
def test_against_scikit_survival_at_full_size(benchmark: BenchmarkFixture) -> None:
    time, event, risk = cohort(PATIENTS)
    found = benchmark.pedantic(harrell, (time, event, risk), rounds=3, warmup_rounds=1)
    mine = best(lambda: harrell(time, event, risk))
    start = process_time()
    expected = concordance_index_censored(event, time, risk)
    theirs = process_time() - start
    assert found.value == pytest.approx(expected[0], abs=1e-12)
    assert [found.concordant, found.discordant, found.tied_risk, found.tied_time] == list(expected[1:])
    report(benchmark, patients=PATIENTS, seconds=mine, scikit_survival_seconds=theirs, ratio=theirs / mine)
    assert theirs / mine > 50
    assert mine < 1


@pytest.mark.slow
def test_against_lifelines_at_full_size(benchmark: BenchmarkFixture) -> None:
    lifelines = pytest.importorskip("lifelines.utils", reason="lifelines is not installed")
    time, event, risk = cohort(PATIENTS)
    found = benchmark.pedantic(harrell, (time, event, risk), rounds=3, warmup_rounds=1)
    mine = best(lambda: harrell(time, event, risk))
    start = process_time()
    expected = lifelines.concordance_index(time, -risk, event)
    theirs = process_time() - start
    assert found.value == pytest.approx(expected, abs=1e-6)  # it ties equal risks only, here risks 1e-8 apart too
    report(benchmark, patients=PATIENTS, seconds=mine, lifelines_seconds=theirs, ratio=theirs / mine)
    assert theirs / mine > 5


@pytest.mark.slow
def test_a_whole_record_of_100_000_patients(benchmark: BenchmarkFixture) -> None:
    """Everything a record holds, with 1,000 resamples, in five folds."""
    time, event, risk = cohort(PATIENTS)
    patient = np.array([f"P{number:06d}" for number in range(PATIENTS)])
    of_fold = np.arange(PATIENTS) % FOLDS
    folds = [
        ScoredFold(
            str(name),
            *(part[of_fold == name] for part in (patient, time, event, risk)),
            *(part[of_fold != name] for part in (time, event)),
        )
        for name in range(FOLDS)
    ]
    start = process_time()
    scores = benchmark.pedantic(score_folds, (folds,), rounds=1)
    took = process_time() - start  # the fixture keeps no figures where benchmarks are off, as under xdist
    assert scores.counts["patients"] == PATIENTS
    assert scores.headline.high - scores.headline.low < 0.02
    report(benchmark, patients=PATIENTS, seconds=took)
    assert took < 60
