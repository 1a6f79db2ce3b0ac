"""The classic survival models against their formulas and against scikit-survival written out, and at their edges."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from baselines.survival.cox_clinical import RIDGE, CoxClinical
from baselines.survival.cox_elastic_net import (
    INNER_FOLDS,
    L1_RATIO,
    CoxElasticNet,
    choose_penalty,
    partial_log_likelihood,
)
from baselines.survival.kaplan_meier import KaplanMeier
from baselines.survival.parts.answer import CURVE_POINTS, curve_times, event_times, surv, with_curves
from baselines.survival.parts.features import Standardiser, fitted_standardiser, with_missing_flags
from baselines.survival.random_survival_forest import SMALLEST_LEAF, TIME_POINTS, TREES, RandomSurvivalForest, on_grid
from baselines.survival.shuffled_survival import ShuffledSurvival
from baselines.survival.survival_oracle import SurvivalOracle
from baselines.survival.survival_oracle_genome import SurvivalOracleGenome
from baselines.survival.survival_oracle_image import SurvivalOracleImage
from protocols.contract import Settings
from protocols.errors import UserError
from protocols.metrics.concordance import harrell
from protocols.seeds import derive_seed
from protocols.survival.answers import checked
from protocols.survival.contract import SurvivalPrediction
from protocols.survival.read import read_patients
from protocols.survival.splits import make_split
from protocols.survival.store import write_patient_store
from protocols.survival.toy import inputs_of, take, toy_survival
from protocols.survival.view_makers import PatientViews
from protocols.survival.views import SurvivalTrainingView
from tests.cohorts import real_data

MODELS: tuple[Callable[[], Any], ...] = (
    KaplanMeier, CoxClinical, CoxElasticNet, RandomSurvivalForest, ShuffledSurvival,
)  # fmt: skip
FITTED = MODELS[1:]
TOY = toy_survival()
TRAIN, TEST = np.arange(90), np.arange(90, 120)
Float = NDArray[np.float64]


def answer(model: Any, data: SurvivalTrainingView = TOY, train: NDArray[np.int64] = TRAIN) -> SurvivalPrediction:
    model.fit(take(data, train))
    return checked(model.predict(take(inputs_of(data), TEST)), len(TEST), model.card.name, "of the test")


def curves_of(found: SurvivalPrediction) -> Float:
    assert found.survival is not None
    return found.survival


def concordance(found: SurvivalPrediction) -> float:
    value = harrell(TOY.time[TEST], TOY.event[TEST], found.risk).value
    assert value is not None
    return value


def prepared(table: NDArray[np.float32], flags: bool = False) -> tuple[Float, Float]:
    """Training and test rows, scaled by what was measured in training; a hole is the training mean."""
    values = table.astype(np.float64)
    if flags:
        values = np.hstack([values, np.isnan(values[:, np.isnan(values[TRAIN]).any(axis=0)])])
    scaled = (values - np.nanmean(values[TRAIN], axis=0)) / np.nanstd(values[TRAIN], axis=0)
    filled = np.nan_to_num(scaled, nan=0.0)
    return filled[TRAIN], filled[TEST]


def test_kaplan_meier_is_the_product_limit_and_says_the_same_of_everyone() -> None:
    found = answer(KaplanMeier())
    assert found.times is not None
    time, event = TOY.time[TRAIN], TOY.event[TRAIN]
    left = 1.0
    expected = []
    for month in np.sort(time[event]):
        left *= 1 - 1 / (time >= month).sum()
        expected.append((month, left))
    curve = [min(value for at, value in expected if at <= month) for month in found.times]
    np.testing.assert_allclose(curves_of(found), np.tile(curve, (len(TEST), 1)), atol=1e-12)
    assert concordance(found) == 0.5


def test_clinical_cox_is_scikit_survivals_on_filled_and_flagged_columns() -> None:
    from sksurv.linear_model import CoxPHSurvivalAnalysis

    found = answer(CoxClinical())
    x, x_test = prepared(TOY.clinical, flags=True)
    assert x.shape[1] == 2 * TOY.clinical.shape[1]  # every column has a hole
    cox = CoxPHSurvivalAnalysis(alpha=RIDGE, ties="efron", n_iter=200)
    cox.fit(x, surv(TOY.event[TRAIN], TOY.time[TRAIN]))
    np.testing.assert_allclose(found.risk, cox.predict(x_test), atol=1e-6)
    curves = np.array([step(found.times) for step in cox.predict_survival_function(x_test)])
    np.testing.assert_allclose(curves_of(found), curves, atol=1e-6)


def test_elastic_net_is_coxnet_at_the_penalty_of_the_best_cross_validated_likelihood() -> None:
    """The whole of it once more: path, folds, criterion by double loop, refit."""
    model = CoxElasticNet()
    found = answer(model)
    x, x_test = prepared(TOY.genomic)
    time, event = TOY.time[TRAIN], TOY.event[TRAIN]
    np.testing.assert_allclose(model._table.transform(TOY.genomic[TRAIN]), x, atol=1e-9)

    path = coxnet(x, time, event, n_alphas=25, alpha_min_ratio=0.05).alphas_
    total = cross_validated(x, time, event, path, derive_seed(0, "coxnet folds", len(TRAIN)))
    best = path[int(np.argmax(total))]
    assert model._alpha == pytest.approx(best, rel=1e-9)
    assert path[0] > best > path[-1]  # the toy's optimum lies inside the path, so that the choice is one
    np.testing.assert_allclose(found.risk, coxnet(x, time, event, alphas=path).predict(x_test, alpha=best), atol=1e-5)


def coxnet(x: Float, time: Float, event: NDArray[np.bool_], **changes: Any) -> Any:
    from sksurv.linear_model import CoxnetSurvivalAnalysis

    return CoxnetSurvivalAnalysis(l1_ratio=L1_RATIO, **changes).fit(x, surv(event, time))


def cross_validated(
    x: Float, time: Float, event: NDArray[np.bool_], path: Float, seed: int, held_out_alone: bool = False
) -> Float:
    """Verweij and van Houwelingen's criterion of every penalty; or the held-out patients' own likelihood."""
    rng = np.random.default_rng(seed)
    fold = np.zeros(len(time), dtype=int)
    for kind in (True, False):
        members = rng.permutation(np.flatnonzero(event == kind))
        fold[members] = np.arange(len(members)) % INNER_FOLDS
    total = np.zeros(len(path))
    for number in range(INNER_FOLDS):
        inside = fold != number
        scores = x @ coxnet(x[inside], time[inside], event[inside], alphas=path).coef_
        for place in range(len(path)):
            every = written_out(scores[:, place], time, event)
            fitted = written_out(scores[inside, place], time[inside], event[inside])
            alone = written_out(scores[~inside, place], time[~inside], event[~inside])
            total[place] += alone if held_out_alone else every - fitted
    return total


def written_out(scores: Float, time: Float, event: NDArray[np.bool_]) -> float:
    """Breslow's log partial likelihood, patient by patient."""
    return float(sum(scores[i] - np.log(np.exp(scores[time >= time[i]]).sum()) for i in np.flatnonzero(event)))


def test_partial_likelihood_by_hand() -> None:
    """Events at 1 and 2 (tied with a second event at 2), one censored at 3; equal scores: log 1/4 + 2 log 1/3."""
    time, event = np.array([1.0, 2.0, 2.0, 3.0]), np.array([True, True, True, False])
    found = partial_log_likelihood(np.zeros((4, 2)), time, event)
    np.testing.assert_allclose(found, [-np.log(4) - 2 * np.log(3)] * 2)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 6), st.booleans(), st.floats(-5, 5)), min_size=2, max_size=25))
def test_partial_likelihood_is_the_double_loop(patients: list[tuple[int, bool, float]]) -> None:
    time, event, score = (np.array(column) for column in zip(*patients, strict=True))
    found = partial_log_likelihood(score[:, None], time.astype(float), event.astype(bool))
    np.testing.assert_allclose(found, [written_out(score, time.astype(float), event.astype(bool))], atol=1e-9)


def test_partial_likelihood_stands_large_scores() -> None:
    found = partial_log_likelihood(np.array([[900.0], [0.0]]), np.array([1.0, 2.0]), np.array([True, True]))
    np.testing.assert_allclose(found, [0.0], atol=1e-9)


def test_penalty_is_chosen_by_all_patients_likelihood_less_that_of_the_fitted() -> None:
    """Ten small cohorts, in some of which the held-out patients' own likelihood would choose another."""
    path, differs = np.geomspace(0.3, 0.02, 12), 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(60, 8))
        time, event = rng.exponential(size=60) * np.exp(-0.7 * x[:, 0]), rng.random(60) < 0.6
        best = int(np.argmax(cross_validated(x, time, event, path, seed)))
        assert choose_penalty(x, time, event, path, np.random.default_rng(seed)) == best
        differs += best != int(np.argmax(cross_validated(x, time, event, path, seed, held_out_alone=True)))
    assert differs


def test_penalty_is_the_largest_where_nothing_can_be_learnt() -> None:
    rng = np.random.default_rng(0)
    x, time, event = rng.normal(size=(80, 5)), rng.exponential(size=80), rng.random(80) < 0.7
    assert choose_penalty(x, time, event, np.array([10.0, 1e-3]), np.random.default_rng(0)) == 0
    informed = np.column_stack([x, -np.log(time)])
    assert choose_penalty(informed, time, event, np.array([10.0, 1e-2]), np.random.default_rng(0)) == 1


def test_forest_is_scikit_survivals_on_the_filled_table() -> None:
    from sksurv.ensemble import RandomSurvivalForest as Forest

    found = answer(RandomSurvivalForest())
    x, x_test = prepared(TOY.genomic)
    seed = derive_seed(0, "random survival forest") % 2**32
    forest = Forest(TREES, min_samples_leaf=SMALLEST_LEAF, max_features="sqrt", random_state=seed)
    forest.fit(x, surv(TOY.event[TRAIN], TOY.time[TRAIN]))
    # Fewer than 150 events: putting follow-up on the grid changes nothing that a tree can see.
    np.testing.assert_allclose(found.risk, forest.predict(x_test), rtol=1e-9)
    curves = np.array([step(found.times) for step in forest.predict_survival_function(x_test)])
    np.testing.assert_allclose(curves_of(found), curves, atol=1e-9)


def test_grid_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("baselines.survival.random_survival_forest.TIME_POINTS", 3)
    time = np.array([1, 2, 3, 4, 5, 0.5, 1.5, 3, 4.5, 9])
    event = np.array([True] * 5 + [False] * 5)
    assert on_grid(time, event).tolist() == [1, 3, 3, 5, 5, 0.5, 1, 3, 3, 5]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 60), st.integers(1, 12))
def test_grid_keeps_the_life_table(seed: int, n: int, points: int) -> None:
    """Of every interval between grid times: the same events, and at risk all but those censored in it."""
    rng = np.random.default_rng(seed)
    time, event = rng.integers(1, 40, n).astype(float), rng.random(n) < 0.6
    event[0] = True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("baselines.survival.random_survival_forest.TIME_POINTS", points)
        moved = on_grid(time, event)
    assert (moved > 0).all()
    grid = event_times(time, event, points)
    assert len(grid) <= points
    previous = 0.0
    for place in grid if points > 1 else ():
        inside = event & (time > previous) & (time <= place)
        assert (event & (moved == place)).sum() == inside.sum()
        at_risk = (event & (time > previous)) | (~event & (time >= place))
        np.testing.assert_array_equal(moved >= place, at_risk)
        previous = place


def test_forest_of_many_patients_tells_at_most_150_times_apart() -> None:
    toy = toy_survival(n=400)
    model = RandomSurvivalForest()
    assert toy.event.sum() > 1.3 * TIME_POINTS
    model.fit(take(toy, np.arange(360)))
    assert len(model._forest.unique_times_) <= TIME_POINTS + 1
    found = checked(model.predict(take(inputs_of(toy), np.arange(360, 400))), 40, "forest", "0")
    assert (harrell(toy.time[360:], toy.event[360:], found.risk).value or 0) > 0.6


def wide(signal: float) -> SurvivalTrainingView:
    """6,000 features more than the toy has, one of them the genome's hazard."""
    noise = np.random.default_rng(5).normal(size=(len(TOY), 6000)).astype(np.float32)
    noise[:, 4321] = signal * TOY.oracle("genome")
    names = tuple(f"Z{k:04d}_cnv" for k in range(6000))
    return replace(
        TOY, genomic=np.hstack([TOY.genomic, noise]), genomic_features=TOY.genomic_features + names
    )  # fmt: skip


@pytest.mark.parametrize("model", [CoxElasticNet, RandomSurvivalForest])
def test_fifty_times_as_many_features_as_patients(model: Any) -> None:
    """The feature of largest variance is among those kept."""
    fitted = model()
    found = answer(fitted, wide(signal=3.0))
    assert 36 + 4321 in fitted._table.columns
    assert len(fitted._table.columns) < 6036
    if model is CoxElasticNet:
        assert concordance(found) > 0.6


@pytest.mark.parametrize("model", MODELS)
def test_all_patients_with_an_event(model: Any) -> None:
    assert np.isfinite(answer(model(), replace(TOY, event=np.ones(len(TOY), dtype=bool))).risk).all()


@pytest.mark.parametrize("model", MODELS)
def test_no_event_at_all_is_one_clear_line(model: Any) -> None:
    with pytest.raises(UserError, match="none of 90 training patients has an event"):
        answer(model(), replace(TOY, event=np.zeros(len(TOY), dtype=bool)))


@pytest.mark.parametrize("filler", [np.nan, 7.0], ids=["missing", "constant"])
@pytest.mark.parametrize("model", MODELS)
def test_a_column_without_content_changes_nothing(model: Any, filler: float) -> None:
    column = np.full((len(TOY), 1), filler, dtype=np.float32)
    column[TEST[::2]] = 1e3  # and what test patients have there does not count
    padded = replace(
        TOY,
        clinical=np.hstack([TOY.clinical, column]),
        clinical_features=(*TOY.clinical_features, "weight"),
        genomic=np.hstack([TOY.genomic, column]),
        genomic_features=(*TOY.genomic_features, "ZZZ_rnaseq"),
    )
    np.testing.assert_array_equal(answer(model(), padded).risk, answer(model()).risk)


@pytest.mark.parametrize("filler", [np.nan, 7.0], ids=["missing", "constant"])
@pytest.mark.parametrize("model", FITTED)
def test_a_table_without_content_is_one_clear_line(model: Any, filler: float) -> None:
    empty = replace(TOY, clinical=np.full_like(TOY.clinical, filler), genomic=np.full_like(TOY.genomic, filler))
    with pytest.raises(UserError, match="columns varies among 90 training patients"):
        answer(model(), empty)


@pytest.mark.parametrize("model", MODELS)
def test_six_patients_are_enough_to_answer(model: Any) -> None:
    answer(model(), train=TRAIN[:6])


@pytest.mark.parametrize("model", MODELS)
def test_units_of_the_tables_do_not_matter(model: Any) -> None:
    other = replace(TOY, clinical=4 * TOY.clinical - 2, genomic=8 * TOY.genomic + 1)
    np.testing.assert_allclose(answer(model(), other).risk, answer(model()).risk, atol=1e-4)


@pytest.mark.parametrize("model", MODELS)
def test_months_or_days_order_patients_alike(model: Any) -> None:
    other = replace(TOY, time=TOY.time * 32)
    np.testing.assert_allclose(answer(model(), other).risk, answer(model()).risk, atol=1e-6)


def test_elastic_net_and_forest_find_the_planted_gene_and_shuffling_loses_it() -> None:
    assert concordance(answer(CoxElasticNet())) > 0.65
    assert concordance(answer(RandomSurvivalForest())) > 0.65
    shuffled, toy = ShuffledSurvival(), toy_survival(n=400)
    shuffled.fit(take(toy, np.arange(200)))
    rest = np.arange(200, 400)
    risk = shuffled.predict(take(inputs_of(toy), rest)).risk
    assert 0.42 < (harrell(toy.time[rest], toy.event[rest], risk).value or 0) < 0.58


def test_shuffling_leaves_the_training_view_as_it_was_and_follows_the_seed() -> None:
    view = take(TOY, TRAIN)
    time, seen = view.time.copy(), []

    class Watched(ShuffledSurvival):
        def predict(self, test: Any) -> Any:
            raise NotImplementedError

    def watch(self: Any, train: Any) -> None:
        seen.append((train.time.copy(), train.event.copy()))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CoxElasticNet, "fit", watch)
        for seed in (0, 0, 1):
            Watched().fit(replace(view, settings=Settings(seed=seed)))
    np.testing.assert_array_equal(view.time, time)
    pairs = sorted(zip(view.time, view.event, strict=True))
    assert all(sorted(zip(*made, strict=True)) == pairs for made in seen)  # times stay with their events
    assert (seen[0][0] == seen[1][0]).all()
    assert (seen[0][0] != seen[2][0]).any()
    assert (seen[0][0] != time).mean() > 0.9


def test_oracles_say_what_their_part_knows() -> None:
    for model, which in (
        (SurvivalOracle(), "all"),
        (SurvivalOracleImage(), "image"),
        (SurvivalOracleGenome(), "genome"),
    ):
        np.testing.assert_array_equal(answer(model).risk, TOY.oracle(which)[TEST])
        assert (model.card.kind, model.card.needs) == ("oracle", ("oracle",))


def test_standardiser_by_hand() -> None:
    train = np.array([[1, 5, np.nan, 0], [3, 5, np.nan, np.nan], [5, 5, np.nan, 4]], dtype=np.float32)
    table = Standardiser().fit(train)
    assert table.columns.tolist() == [0, 3]
    made = table.transform(np.array([[3, 9, 9, np.nan], [7, 9, 9, 4]], dtype=np.float32))
    np.testing.assert_allclose(made, [[0, 0], [4 / np.sqrt(8 / 3), 1]])
    assert fitted_standardiser(train, keep=1).columns.tolist() == [3]  # variance 4 against 8/3
    assert Standardiser().fit(train[:, 1:3]).columns.tolist() == []


def test_flags_are_of_columns_with_holes_in_training() -> None:
    train = np.array([[1, np.nan], [2, 3]], dtype=np.float32)
    test = np.array([[np.nan, 4], [5, np.nan]], dtype=np.float32)
    np.testing.assert_array_equal(with_missing_flags(test, train)[:, 2:], [[0], [1]])


def test_curves_are_levelled_and_kept_between_zero_and_one() -> None:
    steps = [lambda times: np.array([1.1, 0.5, 0.6]), lambda times: np.array([0.9, 0.4, -0.1])]
    found = with_curves(np.zeros(2), np.array([1.0, 2.0, 3.0]), steps)
    np.testing.assert_allclose(curves_of(found), np.array([[1, 0.5, 0.5], [0.9, 0.4, 0]]))


def test_curve_times_are_event_times_from_the_first_to_the_last() -> None:
    time, event = np.arange(1.0, 201.0), np.arange(200) % 2 == 0
    times = curve_times(time, event)
    assert (len(times), times[0], times[-1]) == (CURVE_POINTS, 1.0, 199.0)
    assert set(times) <= set(time[event])
    assert curve_times(np.array([2.0, 2.0, 5.0]), np.array([True, True, False])).tolist() == [2.0]


def test_cards_are_read_without_the_libraries_that_fit() -> None:
    modules = ", ".join(sorted({model.__module__ for model in (*MODELS, SurvivalOracle)}))
    code = f"import sys, {modules}; print([m for m in ('torch', 'sklearn', 'sksurv', 'lifelines') if m in sys.modules])"
    root = Path(__file__).resolve().parents[2]
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.slow
@pytest.mark.realdata
def test_lung_adenocarcinoma_on_its_published_folds(tmp_path: Path) -> None:
    """453 patients, 3,096 features: the elastic net reaches 0.64 and the forest 0.61, a shuffled one chance."""
    root = real_data("mcat")
    table, splits = "tcga_luad_all_clean.csv.zip", "splits/tcga_luad"
    cohort = read_patients("luad", "mcat", root, table=table, signatures="signatures.csv", splits=splits)
    store = write_patient_store(tmp_path / "luad", cohort, phantom=False, root=root)
    views, folds = PatientViews(store, Settings(), None, None), make_split(store, folds=5, seed=0).folds
    for model, low, high in (
        (CoxElasticNet, 0.60, 0.68), (RandomSurvivalForest, 0.57, 0.65), (ShuffledSurvival, 0.42, 0.58),
    ):  # fmt: skip
        reached = []
        for fold in folds:
            fitted: Any = model()
            fitted.fit(views.training(fold.train))
            risk = fitted.predict(views.inputs(fold.test)).risk
            reached.append(harrell(store.time[fold.test], store.event[fold.test], risk).value)
        assert low < float(np.mean(np.array(reached, dtype=float))) < high, model.card.name
