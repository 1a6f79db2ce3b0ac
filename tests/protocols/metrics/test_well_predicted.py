"""Well-predicted genes: against one scipy call a gene and statsmodels, on null data, and what must not matter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from protocols.errors import UserError
from protocols.metrics.well_predicted import (
    CRITERIA,
    PAPER,
    RELEASED,
    STANDARD,
    Criteria,
    WellPredicted,
    agree,
    benjamini_hochberg,
    holds,
    judge,
    well_predicted,
)

SEEDS = st.integers(0, 2**32 - 1)
SHORT = settings(max_examples=20, deadline=None)
PRESETS = pytest.mark.parametrize("name", list(CRITERIA))
COLUMNS = ["r", "p", "r_untrained", "r_between", "dependent_p", "dependent_q", "rmse", "rmse_untrained", "significant"]


def cohort(seed: int = 0, n: int = 90, genes: int = 120) -> list[np.ndarray]:
    """Log expression; predictions from none to much of it, and an untrained model that answers about zero."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(4, 1.5, (n, genes))
    feature = rng.normal(size=(n, 3))
    skill = np.linspace(0, 0.6, genes)
    predicted = (
        4 + skill * (truth - 4) + 0.5 * rng.normal(size=truth.shape) + 0.3 * feature @ rng.normal(size=(3, genes))
    )
    untrained = 0.05 * feature @ rng.normal(size=(3, genes)) + 0.02 * rng.normal(size=truth.shape)
    return [truth, predicted, untrained]


def one_gene_at_a_time(truth: np.ndarray, predicted: np.ndarray, untrained: np.ndarray, criteria: Criteria) -> dict:
    """The definitions once more, with scipy, statsmodels and textbook forms of both tests."""
    rows = []
    for t, p, u in zip(truth.T, predicted.T, untrained.T, strict=True):
        (r1, p1), (r2, _), (r12, _) = stats.pearsonr(t, p), stats.pearsonr(t, u), stats.pearsonr(p, u)
        n, mean = len(t), (r1 + r2) / 2
        if criteria.test == "williams":
            determinant = np.linalg.det([[1, r1, r2], [r1, 1, r12], [r2, r12, 1]])
            cube = mean**2 * (1 - r12) ** 3 * (n - 3) / (n - 1)
            x = (r1 - r2) * np.sqrt((n - 3) * (1 + r12) / (2 * determinant + cube))
            tail = stats.t(n - 3).sf
        else:
            psi = r12 * (1 - 2 * mean**2) - mean**2 * (1 - 2 * mean**2 - r12**2) / 2
            x = (np.arctanh(r1) - np.arctanh(r2)) * np.sqrt((n - 3) / (2 - 2 * psi / (1 - mean**2) ** 2))
            tail = stats.norm.sf
        p_dependent = tail(abs(x) if criteria.alternative == "released_absolute" else x)
        errors = [np.sqrt(np.mean((t - other) ** 2)) for other in (p, u)]
        rows.append((r1, p1, r2, r12, p_dependent, *errors))
    r, p, r2, r12, dependent, rmse, rmse_untrained = np.array(rows).T
    q = multipletests(dependent, method="fdr_bh")[1]
    significant = (r > 0) & (p < 0.05) & (r > r2) & (dependent < 0.05) & (q < 0.2)
    if criteria.require_lower_rmse:
        significant &= rmse < rmse_untrained
    return dict(zip(COLUMNS, (r, p, r2, r12, dependent, q, rmse, rmse_untrained, significant), strict=True))


@PRESETS
def test_equals_scipy_and_statsmodels_gene_by_gene(name: str) -> None:
    data = cohort()
    found = well_predicted(*data, name)
    for key, expected in one_gene_at_a_time(*data, CRITERIA[name]).items():
        # scipy rounds r otherwise in the last digit, which the far tail of p multiplies by about n
        assert getattr(found, key) == pytest.approx(expected, rel=1e-11 if key == "p" else 1e-12, abs=1e-15), key
    assert 20 < found.count < 110


def test_presets_differ_as_published() -> None:
    assert (STANDARD.test, PAPER.test, RELEASED.test) == ("williams", "steiger", "williams")
    assert [c.units for c in CRITERIA.values()] == ["patients", "slides", "slides"]
    assert [c.require_lower_rmse for c in CRITERIA.values()] == [False, False, True]
    with pytest.raises(UserError, match="did you mean 'released'"):
        well_predicted(*cohort(), "release")


def test_lower_error_is_asked_for_by_the_released_criteria_alone() -> None:
    truth, predicted, untrained = cohort()
    far = predicted + 100  # same r, hopeless error
    assert well_predicted(truth, far, untrained).count == well_predicted(truth, predicted, untrained).count > 0
    assert well_predicted(truth, far, untrained, "released").count == 0


def test_the_released_absolute_value_eases_the_correction() -> None:
    """Genes on which the untrained model is better lend their small p-values to the others."""
    truth, predicted, untrained = cohort(3, n=40, genes=1000)
    better, worse = slice(0, 150), slice(150, 1000)
    predicted[:, better] = truth[:, better] + 2.5 * np.random.default_rng(0).normal(size=(40, 150))
    predicted[:, worse] = np.random.default_rng(1).normal(size=(40, 850))
    untrained[:, worse] = truth[:, worse]
    one_sided = judge(agree(truth, predicted, untrained), STANDARD)
    absolute = judge(agree(truth, predicted, untrained), replace(STANDARD, alternative="released_absolute"))
    assert (absolute.dependent_q[better] <= one_sided.dependent_q[better]).all()
    assert absolute.count > one_sided.count
    assert not (absolute.significant & (absolute.r <= absolute.r_untrained)).any()


@PRESETS
@pytest.mark.parametrize("seed", range(4))
def test_no_signal_no_genes(name: str, seed: int) -> None:
    """Independent truth, prediction and untrained prediction: the share found stays below the nominal 5 %."""
    truth, predicted, untrained = np.random.default_rng(seed).normal(size=(3, 80, 3000))
    agreement = agree(truth, predicted, untrained)
    assert judge(agreement, CRITERIA[name]).count / 3000 <= 0.05 / 10
    # Without the correction, too: r > 0 halves the two-sided level, being above the untrained model takes more
    uncorrected = judge(agreement, replace(CRITERIA[name], dependent_q_below=2.0))
    assert 0 < uncorrected.count / 3000 <= 0.05 / 2
    assert judge(agree(truth, predicted, None), CRITERIA[name]).count / 3000 <= 0.05 / 10


@PRESETS
def test_no_signal_no_genes_even_if_genes_are_co_expressed(name: str) -> None:
    """One factor behind all genes: a cohort gives many or none, and on average over cohorts below 5 %."""
    shares = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        factors = rng.normal(size=(3, 40, 1))
        shares.append(well_predicted(*(factors + 0.3 * rng.normal(size=(3, 40, 60))), name).count / 60)
    assert np.mean(shares) <= 0.05


def test_slides_as_patients_are_anti_conservative() -> None:
    """GBM's 236 slides of 101 patients: labels are shared, and predictions of one patient's slides are alike."""
    rng, genes = np.random.default_rng(0), 4000
    patient = np.concatenate([np.arange(101), rng.integers(101, size=135)])
    truth = rng.normal(size=(101, genes))[patient]
    predicted, untrained = (
        rng.normal(size=(101, genes))[patient] + 0.5 * rng.normal(size=(236, genes)) for _ in range(2)
    )
    by_slide = well_predicted(truth, predicted, untrained, "released", patient)
    by_patient = well_predicted(truth, predicted, untrained, "standard", patient)
    assert (by_slide.units, by_patient.units) == (236, 101)
    assert (by_slide.p < 0.05).mean() > 0.15
    assert (by_patient.p < 0.05).mean() == pytest.approx(0.05, abs=0.012)
    assert by_patient.count == 0
    assert by_slide.count > 0


@PRESETS
def test_constant_predictions_are_never_significant(name: str) -> None:
    truth, predicted, untrained = cohort()
    truth[:, 100], predicted[:, 110] = 3.0, 3.0
    found = well_predicted(truth, predicted, untrained, name)
    for gene in (100, 110):
        assert found.r[gene] == found.r_between[110] == 0
        assert found.p[gene] == found.dependent_p[gene] == found.dependent_q[gene] == 1
        assert not found.significant[gene]
    for array in vars(found).values():
        assert not isinstance(array, np.ndarray) or np.isfinite(array).all()


def test_constant_untrained_answers_count_as_zero_and_are_dropped_by_the_released_code() -> None:
    truth, predicted, untrained = cohort()
    untrained[:, 119] = 0.0
    standard, released = (well_predicted(truth, predicted, untrained, name) for name in ("standard", "released"))
    assert standard.r_untrained[119] == standard.r_between[119] == 0
    assert standard.significant[119]
    assert not released.significant[119]
    assert released.p[119] == 1


@PRESETS
def test_without_a_twin_zero_is_the_rival(name: str) -> None:
    truth, predicted, _ = cohort()
    alone = well_predicted(truth, predicted, None, name)
    zeros = judge(
        agree(truth, predicted, np.zeros_like(truth)), replace(CRITERIA[name], refuse_constant_untrained=False)
    )
    assert np.array_equal(alone.significant, zeros.significant)
    assert alone.rmse_untrained == pytest.approx(zeros.rmse_untrained, rel=1e-13)
    assert not alone.r_untrained.any()
    assert alone.count > 0


@PRESETS
def test_a_wrong_sign_is_not_well_predicted_however_wrong_the_untrained(name: str) -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(200, 50))
    predicted = -0.4 * truth + rng.normal(size=truth.shape)
    found = well_predicted(truth, predicted, -3 * truth + rng.normal(size=truth.shape), name)
    assert (found.p < 0.05).mean() > 0.9
    assert (found.dependent_q < 0.01).all()
    assert found.count == 0


def test_not_even_criteria_that_let_everything_pass_take_a_constant_gene() -> None:
    truth, predicted, untrained = cohort()
    untrained -= truth  # its r is below 0
    predicted[:, 7], untrained[:, 119] = 1.0, 1.0
    everything = Criteria(p_below=2, dependent_p_below=2, dependent_q_below=2, refuse_constant_untrained=True)
    found = judge(agree(truth, predicted, untrained), everything)
    assert not found.significant[[7, 119]].any()
    assert found.significant[50:119].all()


@PRESETS
def test_predictions_equal_to_the_untrained_are_not_better(name: str) -> None:
    truth, predicted, _ = cohort()
    assert (well_predicted(truth, predicted, predicted.astype(np.float32), name).dependent_p == 1).all()


@PRESETS
def test_perfect_predictions_are_all_found(name: str) -> None:
    assert well_predicted(cohort()[0], cohort()[0], cohort()[2], name).count == 120


@SHORT
@given(SEEDS, st.floats(0.01, 100), st.floats(-50, 50), st.sampled_from(["standard", "paper"]))
def test_scale_and_offset_of_predictions_do_not_matter(seed: int, scale: float, offset: float, name: str) -> None:
    truth, predicted, untrained = cohort(seed, n=30, genes=8)
    a = well_predicted(truth, predicted, untrained, name)
    b = well_predicted(truth, scale * predicted + offset, 3 * untrained - offset, name)
    for key in ("r", "p", "r_untrained", "r_between", "dependent_p", "dependent_q"):
        assert getattr(a, key) == pytest.approx(getattr(b, key), rel=1e-6, abs=1e-9)


@SHORT
@given(SEEDS, st.sampled_from(list(CRITERIA)))
def test_order_of_units_and_genes_does_not_matter(seed: int, name: str) -> None:
    data = cohort(seed, n=30, genes=8)
    rng = np.random.default_rng(seed)
    units, genes = rng.permutation(30), rng.permutation(8)
    a, b = well_predicted(*data, name), well_predicted(*(m[units][:, genes] for m in data), name)
    for key in ("r", "p", "dependent_p", "dependent_q", "rmse"):
        assert getattr(a, key)[genes] == pytest.approx(getattr(b, key), rel=1e-9, abs=1e-12)


@PRESETS
def test_ties_and_single_precision(name: str) -> None:
    truth, predicted, untrained = (np.round(m, 1).astype(np.float32) for m in cohort())
    untrained = cohort()[2].astype(np.float32)
    found = well_predicted(truth, predicted, untrained, name)
    expected = one_gene_at_a_time(*(m.astype(np.float64) for m in (truth, predicted, untrained)), CRITERIA[name])
    assert found.dependent_p == pytest.approx(expected["dependent_p"], rel=1e-10)
    assert np.array_equal(found.significant, expected["significant"])


@pytest.mark.parametrize("side", range(3))
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(side: int, bad: float) -> None:
    data = cohort()
    data[side][3, 4] = bad
    with pytest.raises(UserError, match="NaN, infinite"):
        well_predicted(*data)


def test_shapes_must_match_and_units_must_be_enough() -> None:
    truth, predicted, untrained = cohort()
    assert [well_predicted(truth[:n], predicted[:n], untrained[:n]).count for n in range(4)] == [0] * 4
    with pytest.raises(UserError, match="do not match"):
        well_predicted(truth, predicted, untrained[:, :-1])
    with pytest.raises(UserError, match="have a patient"):
        well_predicted(truth, predicted, untrained, patient=np.arange(5))


@SHORT
@given(st.lists(st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.01, 0.5, 1.0])), min_size=1, max_size=60))
def test_benjamini_hochberg_equals_statsmodels(p: list[float]) -> None:
    expected = multipletests(p, method="fdr_bh")[1]
    assert benjamini_hochberg(np.array(p)) == pytest.approx(expected, rel=1e-13, abs=1e-300)


def test_benjamini_hochberg_by_hand() -> None:
    assert benjamini_hochberg(np.array([0.01, 0.04, 0.03, 0.9])) == pytest.approx(
        [0.04, 4 * 0.04 / 3, 4 * 0.04 / 3, 0.9]
    )
    assert benjamini_hochberg(np.array([])).size == 0
    for bad in ([np.nan], [1.1], [-0.1], [[0.1]]):
        with pytest.raises(UserError, match="p-value"):
            benjamini_hochberg(np.array(bad))


def with_significant(*genes: bool) -> WellPredicted:
    nothing = np.zeros(len(genes))
    return WellPredicted(STANDARD, 9, *[nothing] * 8, significant=np.array(genes))


def test_genes_that_hold() -> None:
    discovery = with_significant(True, True, True, False, False)
    assert holds(discovery, with_significant(True, False, True, True, False)) == (2, pytest.approx(2 / 3))
    assert holds(discovery, discovery) == (3, 1.0)
    assert holds(with_significant(False), with_significant(True)) == (0, 0.0)  # refusing pays nothing
    with pytest.raises(UserError, match="5 genes against 1"):
        holds(discovery, with_significant(True))
