"""Refusing pays nowhere: an answer that is blank, constant or not given never scores above the same answer given."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from protocols.metrics.correlation import pearson_per_gene, spearman_per_gene
from protocols.metrics.gene_correlation import per_fold_mean
from protocols.metrics.h_score import farther_end
from protocols.metrics.subtypes import NO_SUBTYPE, kappa
from protocols.metrics.survival_curves import integrated_brier
from protocols.staining.score import read_out
from protocols.survival.score import ScoredFold, score_folds


def h_score_case() -> pd.DataFrame:
    """40 patches of 10 patients: labels uniform on the scale, answers half as wide and noisy."""
    rng = np.random.default_rng(0)
    reference = rng.uniform(0, 300, 40)
    predicted = 150 + 0.5 * (reference - 150) + rng.normal(0, 60, 40)
    columns = {"patient": np.repeat(np.arange(10), 4).astype(str), "h_reference": reference, "h_truth": reference}
    return pd.DataFrame(columns | {"h_predicted": predicted})


def test_blank_images_do_not_better_the_h_score() -> None:
    """Published as a case: r .639, MAE 60.9; with its worst 24 blank, dropped, it was r .974, MAE 17.9."""
    case = h_score_case()
    whole = read_out(case)
    assert (round(whole["h_score_r"] or 0, 3), round(whole["h_score_mae"] or 0, 1)) == (0.639, 60.9)
    assert whole["h_score_answered"] == 1.0
    error = (case["h_predicted"] - case["h_reference"]).abs()
    blank = read_out(case.assign(h_predicted=case["h_predicted"].where(error <= 40)))
    assert blank["h_score_answered"] == 0.40
    # By hand: the 24 count as 0 where the label is 150 or more, and as 300 below.
    worst = np.where(error <= 40, case["h_predicted"], np.where(case["h_reference"] >= 150, 0.0, 300.0))
    assert blank["h_score_r"] == pytest.approx(np.corrcoef(worst, case["h_reference"])[0, 1])
    assert blank["h_score_mae"] == pytest.approx(np.abs(worst - case["h_reference"]).mean())
    assert (round(blank["h_score_r"] or 0, 3), round(blank["h_score_mae"] or 0, 1)) == (-0.277, 143.0)


def test_no_blank_patch_betters_r_or_error_whichever_it_is() -> None:
    case = h_score_case()
    whole = read_out(case)
    for row in range(0, len(case), 3):
        found = read_out(case.assign(h_predicted=case["h_predicted"].mask(case.index == row)))
        assert (found["h_score_r"] or 0) < (whole["h_score_r"] or 0)
        assert (found["h_score_mae"] or 0) > (whole["h_score_mae"] or 0)


def test_a_patch_without_a_label_says_nothing_of_a_model() -> None:
    case = h_score_case()
    case.loc[:3, "h_reference"] = np.nan
    assert read_out(case.assign(h_predicted=case["h_predicted"].mask(case.index < 4))) == read_out(case)
    assert farther_end([0.0, 149.9, 150.0, 300.0]).tolist() == [300.0, 300.0, 0.0, 0.0]


def test_a_map_without_subtypes_is_not_left_out_of_kappa() -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 4, 300).astype(np.uint8)
    predicted = np.where(rng.random(300) < 0.5, truth, rng.integers(0, 4, 300)).astype(np.uint8)
    whole = kappa(truth, predicted)
    hidden = kappa(truth, np.where(predicted == truth, predicted, NO_SUBTYPE).astype(np.uint8))
    assert whole
    assert hidden
    assert whole[0] == hidden[0] < 0.7  # dropped, the share would be 1
    assert kappa(truth, np.full(300, NO_SUBTYPE, np.uint8)) == (0.0, 0.0)
    # By hand: same .5; chance .5 * .5 of the first subtype and .5 * 0 of the second.
    by_hand = kappa(np.array([0, 0, 1, 1], np.uint8), np.array([0, 0, NO_SUBTYPE, NO_SUBTYPE], np.uint8))
    assert by_hand == (0.5, pytest.approx((0.5 - 0.25) / 0.75))
    assert kappa(np.zeros(4, np.uint8), truth[:4]) == ((truth[:4] == 0).mean(), None)  # undefined truth: for all alike


def survival_fold(name: str, seed: int, patients: int = 60) -> ScoredFold:
    rng = np.random.default_rng(seed)
    time, event = rng.exponential(30, patients) + 1, rng.random(patients) < 0.6
    times = np.array([5.0, 15.0, 30.0, 45.0])
    rates = 1 / (10 + time)
    train = rng.exponential(30, 200) + 1, rng.random(200) < 0.6
    names = np.array([f"{name}-{at}" for at in range(patients)])
    return ScoredFold(name, names, time, event, -time, *train, times, np.exp(-rates[:, None] * times))


def test_curves_refused_in_one_fold_count_as_the_worst_there() -> None:
    folds = [survival_fold("0", 0), survival_fold("1", 1)]
    bare = [folds[0], replace(folds[1], times=None, survival=None)]
    whole, part = (score_folds(one).summary["brier_integrated"] for one in (folds, bare))
    assert whole
    assert part
    assert part > whole + 0.3  # left out, it would be the first fold's alone
    none = [replace(one, times=None, survival=None) for one in folds]
    assert score_folds(none).summary["brier_integrated"] is None  # it never gives curves


def test_the_worst_brier_score_is_that_of_an_answer_always_wrong() -> None:
    fold = survival_fold("0", 3)
    train, test = (fold.train_time, fold.train_event), (fold.time, fold.event)
    worst = integrated_brier(*train, *test, None, None)
    grid = np.linspace(0.5, 200, 4000)
    wrong = (fold.event[:, None] & (fold.time[:, None] <= grid)).astype(float)
    assert worst == pytest.approx(integrated_brier(*train, *test, grid, wrong), rel=0.02)
    assert fold.times is not None
    assert fold.survival is not None
    one_missing = fold.survival.copy()
    one_missing[7] = np.nan
    given = integrated_brier(*train, *test, fold.times, fold.survival)
    assert given < integrated_brier(*train, *test, fold.times, one_missing) < worst  # type: ignore[operator]


def test_constant_answers_are_zero_where_r_is_averaged_and_undefined_truth_is_left_out_for_all() -> None:
    rng = np.random.default_rng(5)
    truth = rng.normal(size=(30, 4))
    predicted = np.column_stack([truth[:, 0], np.full(30, 2.0), -truth[:, 2], truth[:, 3]])
    for score in (pearson_per_gene, spearman_per_gene):
        np.testing.assert_allclose(score(truth, predicted), [1, 0, -1, 1])
    fold = np.repeat([0, 1], 15)
    hidden = predicted.copy()
    hidden[fold == 1, 0] = 7.0  # right in one fold, constant in the other
    assert per_fold_mean(truth, hidden, fold).r[0] == pytest.approx(0.5)
    flat = truth.copy()
    flat[:, 3] = 1.0
    assert np.isnan(pearson_per_gene(flat, predicted)[3])


def test_no_risk_is_as_bad_as_a_patient_without_one() -> None:
    """Whatever risk the patient had been given, no score of the board is lower than with none."""
    fold = survival_fold("0", 4)
    rng = np.random.default_rng(0)
    noisy = fold.risk + rng.normal(0, 20, len(fold.risk))
    event_early = int(np.flatnonzero(fold.event)[np.argsort(fold.time[fold.event])[5]])
    censored_late = int(np.flatnonzero(~fold.event)[np.argsort(fold.time[~fold.event])[-3]])
    for patient in (event_early, censored_late):

        def scores(risk: float, patient: int = patient) -> list[float]:
            given = np.where(np.arange(len(noisy)) == patient, risk, noisy)
            summary = score_folds([replace(fold, risk=given, times=None, survival=None)]).summary
            return [summary[key] or 0.0 for key in ("harrell_mean", "uno_mean", "auc_mean", "harrell_pooled")]

        without = scores(np.nan)
        for risk in (noisy.min() - 1, np.median(noisy), noisy.max() + 1):
            assert all(a <= b + 1e-12 for a, b in zip(without, scores(risk), strict=True))


def test_a_patient_without_an_answer_is_worst_in_every_number_of_a_record() -> None:
    fold = survival_fold("0", 5)
    assert fold.survival is not None
    gone = np.arange(len(fold.risk)) % 6 == 0
    whole = score_folds([fold])
    part = score_folds(
        [replace(fold, risk=np.where(gone, np.nan, fold.risk), survival=np.where(gone[:, None], np.nan, fold.survival))]
    )
    for key in ("harrell_mean", "uno_mean", "auc_mean", "harrell_pooled", "uno_pooled"):
        assert (part.summary[key] or 0) < (whole.summary[key] or 0) - 0.05, key
    for key in ("brier_integrated", "logrank_p", "past_printed_c1"):
        assert (part.summary[key] or 0) > (whole.summary[key] or 0), key
    assert (part.counts["patients"], part.counts["constant_risk_folds"]) == (len(gone), 0)
