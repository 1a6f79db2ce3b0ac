"""What an evaluation says: splits, ratios, strata by fold, notes; and what it calls undefined."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from lifelines.statistics import logrank_test

from protocols.errors import UserError
from protocols.metrics.cox import cox_hazard_ratios
from protocols.metrics.prognostic_signature import fit_signature, out_of_fold_risks
from protocols.metrics.signature_evaluation import (
    FITTED_HERE,
    evaluate_out_of_fold,
    evaluate_risks,
    evaluate_signature,
)
from tests.protocols.metrics.test_prognostic_signature import PLANTED, cohort


def test_every_number_of_one_cohort() -> None:
    x, time, event = cohort(effects=PLANTED)
    found = fit_signature(x, time, event, seed=0)
    other, time, event = cohort(200, effects=PLANTED, seed=7)
    one = evaluate_signature(found, other + 1.0, time, event, name="external")
    risk = found.risk(other + 1.0)
    assert (one.n, one.events, one.fitted_here) == (200, int(event.sum()), False)
    assert one.per_sd is not None
    assert one.per_unit is not None
    plain = cox_hazard_ratios(time, event, pd.DataFrame({"risk": risk}))[0]
    assert one.per_unit.hazard_ratio == pytest.approx(plain.hazard_ratio, rel=1e-8)
    assert one.per_sd.hazard_ratio == pytest.approx(plain.hazard_ratio ** risk.std(), rel=1e-8)
    assert one.per_sd.p == pytest.approx(plain.p, rel=1e-6)
    assert one.c_index is not None
    assert one.c_index == one.c_pooled
    assert (one.c_low or 1) < one.c_index < (one.c_high or 0)
    own, discovery = one.splits
    assert (own.threshold, own.high.n, own.low.n) == ("own_median", 100, 100)
    assert discovery.high.n == int((risk > found.median_risk).sum())
    assert discovery.high.n != 100
    above = risk > np.median(risk)
    expected = logrank_test(time[above], time[~above], event[above], event[~above]).p_value
    assert own.logrank_p == pytest.approx(expected, rel=1e-6)
    assert own.high_vs_low is not None
    assert own.high_vs_low.hazard_ratio > 1.5
    assert own.high.survival[-1] < own.low.survival[-1]
    assert own.at_risk[1:, 0].tolist() == [100, 100]
    assert one.notes == ()


def test_the_fitted_cohort_is_named_so_and_beats_the_honest_one() -> None:
    x, time, event = cohort(150, 60, {"g0": 0.5}, seed=2)
    found = fit_signature(x, time, event, seed=0)
    nested = out_of_fold_risks(x, time, event, seed=0)
    inside = evaluate_signature(found, x, time, event, name=FITTED_HERE, fitted_here=True)
    honest = evaluate_out_of_fold(nested, "measured", time, event, name="out of fold")
    assert inside.fitted_here
    assert "fitted on these patients" in inside.name
    assert inside.c_index is not None
    assert honest.c_index is not None
    assert inside.c_index > honest.c_index + 0.03
    assert inside.splits[0].high.n == inside.splits[1].high.n  # here the two medians are one


def test_out_of_fold_risks_are_compared_inside_their_fold() -> None:
    """An offset for each fold changes no ratio, no split and no mean C; pooled, it drowns the signal."""
    x, time, event = cohort(effects=PLANTED)
    nested = out_of_fold_risks(x, time, event, seed=0)
    risk, fold = nested.risks["measured"], nested.fold
    first = evaluate_risks("a", risk, time, event, fold=fold)
    moved = evaluate_risks("a", risk + 50.0 * fold, time, event, fold=fold)
    assert first.c_index == moved.c_index
    assert first.splits[0].high_vs_low == moved.splits[0].high_vs_low
    assert first.per_unit is not None
    assert moved.per_unit is not None
    assert moved.per_unit.hazard_ratio == pytest.approx(first.per_unit.hazard_ratio, rel=1e-6)
    assert abs((moved.c_pooled or 0) - 0.5) < 0.1 < (first.c_pooled or 0) - 0.5
    counts = [int((risk[fold == f] > np.median(risk[fold == f])).sum()) for f in range(5)]
    assert first.splits[0].high.n == sum(counts)


def test_adjustment_uses_complete_cases_and_says_so() -> None:
    x, time, event = cohort(effects=PLANTED)
    found = fit_signature(x, time, event, seed=0)
    rng = np.random.default_rng(0)
    adjust = pd.DataFrame(
        {"age": rng.normal(60, 10, 300), "subtype": rng.choice(["LumA", "Basal", "Her2"], 300), "site": "one"},
        index=x.index,
    )
    adjust.iloc[:10, 0] = np.nan
    one = evaluate_signature(found, x, time, event, adjust, name="discovery")
    assert one.adjusted[0].name == "risk per SD"
    assert len(one.adjusted) == 4
    assert {ratio.n for ratio in one.adjusted} == {290}
    assert one.notes[0] == "adjusted: 10 patients without all covariates left out"
    assert one.notes[1] == "adjusted: covariate site left out: it is constant"
    confounded = evaluate_signature(found, x, time, event, pd.DataFrame({"g": found.risk(x)}), name="d")
    assert confounded.adjusted == ()
    assert "adjusted Cox is undefined" in confounded.notes[0]
    many = pd.DataFrame(rng.normal(size=(300, 30)), index=x.index).rename(columns=str)
    assert "events a covariate" in evaluate_signature(found, x, time, event, many, name="d").notes[0]


def test_no_gene_is_undefined_not_one_half() -> None:
    x, time, event = cohort(60, 5, seed=0)
    found = fit_signature(x, time, event, seed=0, rule="one_standard_error")
    one = evaluate_signature(found, x, time, event, name="null")
    assert one.c_index is None
    assert one.per_sd is None
    assert one.splits == ()
    assert one.notes == ("no gene was chosen: the risk is constant, so nothing is compared",)


def test_folds_without_a_gene_are_counted_and_tied() -> None:
    some = 0
    for seed in range(10, 14):
        x, time, event = cohort(100, 20, seed=seed)
        nested = out_of_fold_risks(x, time, event, seed=0)
        empty = sum(not one.genes for one in nested.signatures)
        one = evaluate_out_of_fold(nested, "measured", time, event, name="null")
        assert (one.c_index is None) == (empty == 5)
        if empty:
            assert one.notes[0] == f"no gene was chosen in {empty} of 5 folds; their patients are tied"
        some += 0 < empty < 5
    assert some


def test_a_discovery_median_that_splits_nobody_leaves_the_test_undefined() -> None:
    x, time, event = cohort(effects=PLANTED)
    found = fit_signature(x, time, event, seed=0)
    far = x.assign(g0=x["g0"] + 100)
    split = evaluate_signature(found, far, time, event, name="far").splits[1]
    assert (split.low.n, split.high.n) == (0, 300)
    assert split.logrank_p is None
    assert split.high_vs_low is None


def test_wrong_names_and_lengths() -> None:
    x, time, event = cohort(60)
    risk = x["g0"].to_numpy()
    with pytest.raises(UserError, match="own_median"):
        evaluate_risks("a", risk, time, event, thresholds=["own_medain"])
    with pytest.raises(UserError, match="no discovery median"):
        evaluate_risks("a", risk, time, event, thresholds=["discovery_median"])
    with pytest.raises(UserError, match="59 risks"):
        evaluate_risks("a", risk[1:], time, event)
