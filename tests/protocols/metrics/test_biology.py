"""PAST's biology checks: by hand, against scikit-learn and scanpy, and on tissues whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from protocols.metrics.biology import (
    UNASSIGNED,
    adjusted_rand_index,
    compare_biology,
    f1_score,
    top_markers,
    transfer_labels,
    welch_t,
)

SHARES = (0.4, 0.3, 0.25, 0.05)
GENES = (*(f"G{i}" for i in range(29)), "ACTA2")


def tissue(n: int = 400, noise: float = 0.4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """``(truth, type)``: four types, a baseline that differs between genes, ACTA2 high in the rare one alone."""
    rng = np.random.default_rng(seed)
    kind = np.repeat(np.arange(4), (np.array(SHARES) * n).astype(int))
    programs = rng.normal(0, 1, (4, len(GENES)))
    programs[:, -1] = [0, 0, 0, 4]
    values = rng.uniform(0, 8, len(GENES)) + programs[kind] + noise * rng.normal(size=(len(kind), len(GENES)))
    return values.astype(np.float32), kind


def test_a_perfect_prediction_keeps_everything() -> None:
    truth, kind = tissue()
    result = compare_biology(truth, truth, GENES, seed=0)
    assert (result.truth_clusters, result.predicted_clusters) == (4, 4)
    assert (result.ari, result.ari_after_transfer, result.rare_f1) == (1.0, 1.0, 1.0)
    assert result.rare_cells == np.sum(kind == 3)
    assert (result.reason, result.rare_reason, result.rare_source) == ("", "", "truth cluster highest in ACTA2")


def test_a_shrunken_and_shifted_prediction_keeps_everything() -> None:
    """What every ridge does. Without centring, all clusters look like the truth cluster nearest to the mean."""
    truth, _ = tissue()
    shrunken = (0.05 * truth + 0.95 * truth.mean(axis=0)).astype(np.float32)
    assert compare_biology(truth, shrunken, GENES, seed=0).ari_after_transfer == 1.0
    raw = compare_biology(truth, shrunken, GENES, seed=0, profile="raw")
    assert raw.ari == 1.0
    assert raw.ari_after_transfer < 0.9


def test_a_constant_prediction_recovers_nothing() -> None:
    truth, _ = tissue()
    constant = np.tile(truth.mean(axis=0), (len(truth), 1))
    result = compare_biology(truth, constant, GENES, seed=0)
    assert result.predicted_clusters == 1
    assert (result.ari, result.ari_after_transfer, result.rare_f1) == (0.0, 0.0, 0.0)


def test_shuffled_cells_land_at_chance() -> None:
    truth, _ = tissue()
    shuffled = truth[np.random.default_rng(0).permutation(len(truth))]
    result = compare_biology(truth, shuffled, GENES, seed=0)
    assert result.ari == pytest.approx(0, abs=0.03)
    assert result.ari_after_transfer == pytest.approx(0, abs=0.03)
    assert result.rare_f1 < 0.25


def test_offsets_between_folds_are_not_clusters() -> None:
    """A training mean per fold is four constant models: joined without care it would be four clusters."""
    truth, _ = tissue()
    folds = np.array([f"block{i // 100}" for i in range(len(truth))])
    means = np.tile(truth.mean(axis=0), (len(truth), 1)) + np.repeat(np.arange(4.0), 100)[:, None]
    careless = compare_biology(truth, means, GENES, seed=0)
    assert careless.ari > 0.1
    result = compare_biology(truth, means, GENES, seed=0, folds=folds)
    assert (result.ari, result.ari_after_transfer, result.predicted_clusters) == (0.0, 0.0, 1.0)
    pure = np.array([f"type{k}" for k in tissue()[1]])  # no fold holds two types: nothing to recover within one
    within = compare_biology(truth, means, GENES, seed=0, folds=pure)
    assert within.predicted_clusters > 1
    assert within.ari is None
    assert within.ari_after_transfer is None
    assert "within every fold" in within.reason


def test_folds_of_differing_composition_give_a_blind_prediction_nothing() -> None:
    """Labels that change from fold to fold agree with a truth that changes over space, if folds are joined first."""
    found = []
    for seed in range(12):
        truth, _ = tissue(n=200, seed=seed)
        other, _ = tissue(n=200, seed=100 + seed)  # another tissue's populations, cells shuffled
        folds = np.array([f"block{i // 50}" for i in range(len(truth))])
        blind = other[np.random.default_rng(seed).permutation(len(truth))]
        found.append(compare_biology(truth, blind, GENES, seed=0, folds=folds).ari_after_transfer)
    assert np.mean(found) == pytest.approx(0, abs=0.02)


def test_each_fold_may_have_its_own_offset() -> None:
    truth, _kind = tissue()
    folds = np.array([f"f{i % 3}" for i in range(len(truth))])
    offset = (truth + (np.arange(len(truth)) % 3)[:, None]).astype(np.float32)  # each fold's model has its own
    result = compare_biology(truth, offset, GENES, seed=0, folds=folds)
    assert result.ari_after_transfer == pytest.approx(1.0, abs=0.02)
    assert result.rare_f1 > 0.9
    assert result.ari == pytest.approx(1.0, abs=0.02)


def test_annotated_cells_define_the_rare_type() -> None:
    truth, kind = tissue()
    result = compare_biology(truth, truth, (*GENES[:-1], "OTHER"), seed=0, rare_label=kind == 3)
    assert (result.rare_f1, result.rare_source, result.rare_cells) == (1.0, "annotation", np.sum(kind == 3))
    half = (kind == 3) & (np.arange(len(kind)) % 2 == 0)
    result = compare_biology(truth, truth, GENES, seed=0, rare_label=half)
    assert result.rare_f1 == pytest.approx(2 * 10 / (10 + 20))  # the other ten cells of its cluster are marked too
    none = compare_biology(truth, truth, GENES, seed=0, rare_label=np.zeros(len(kind), bool))
    assert none.rare_f1 is None
    assert "0 of 400 cells annotated" in none.rare_reason


def test_no_rare_type_has_a_reason() -> None:
    truth, kind = tissue()
    unmeasured = compare_biology(truth, truth, (*GENES[:-1], "OTHER"), seed=0)
    assert unmeasured.rare_f1 is None
    assert "ACTA2 is not measured" in unmeasured.rare_reason
    common = truth.copy()
    common[:, -1] = np.where(kind == 0, 9, 0)
    result = compare_biology(common, common, GENES, seed=0)
    assert result.rare_f1 is None
    assert "holds 40%" in result.rare_reason


def test_what_cannot_be_compared_has_a_reason() -> None:
    truth, _ = tissue()
    small = compare_biology(truth[:19], truth[:19], GENES, seed=0)
    assert small.ari is None
    assert small.rare_f1 is None
    assert "20 cells" in small.reason
    folds = np.array(["a"] * 390 + ["b"] * 10)
    assert "20 cells" in compare_biology(truth, truth, GENES, seed=0, folds=folds).reason
    holes = truth.copy()
    holes[0, 1:] = np.nan
    assert "2 genes" in compare_biology(holes, truth, GENES, seed=0).reason
    flat = np.ones_like(truth)
    assert "one cluster" in compare_biology(flat, truth, GENES, seed=0).reason
    assert compare_biology(truth[:0], truth[:0], GENES, seed=0).ari is None


def test_genes_with_holes_are_dropped() -> None:
    truth, _ = tissue()
    holes = truth.copy()
    holes[:, :3] = np.nan
    result = compare_biology(holes, truth, GENES, seed=0)
    assert result.n_genes == 27
    assert result.ari == 1.0


def test_welch_t_by_hand_and_markers() -> None:
    values = np.array([[1.0, 0], [3, 0], [0, 5], [0, 5], [3, 5]])
    labels = np.array([0, 0, 1, 1, 1])
    # gene 0: means 2 and 1, variances 2 and 3: t = 1 / sqrt(2/2 + 3/3)
    assert welch_t(values, labels)[:, 0] == pytest.approx([1 / np.sqrt(2), -1 / np.sqrt(2)])
    assert list(welch_t(values, labels)[:, 1]) == [0, 0]  # both sides constant
    assert top_markers(values, labels, 1).tolist() == [[0], [1]]


def test_welch_t_agrees_with_scipy() -> None:
    from scipy import stats

    truth, kind = tissue()
    values = truth.astype(np.float64)
    for cluster in range(4):
        expected = stats.ttest_ind(values[kind == cluster], values[kind != cluster], equal_var=False).statistic
        assert welch_t(values, kind)[cluster] == pytest.approx(expected, rel=1e-9)


def test_a_cluster_without_direction_stays_unassigned() -> None:
    truth, kind = tissue()
    moved = transfer_labels(truth, np.zeros_like(truth), kind, [np.arange(400)], [kind * 0])
    assert np.all(moved == UNASSIGNED)


def test_several_predicted_clusters_may_take_one_label() -> None:
    truth, kind = tissue()
    split = np.where((kind == 0) & (np.arange(400) % 2 == 0), 4, kind)
    assert np.array_equal(transfer_labels(truth, truth, kind, [np.arange(400)], [split]), kind)


@settings(max_examples=40, deadline=None)
@given(pairs=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=2, max_size=60))
def test_rand_index_and_f1_agree_with_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    a, b = np.array(pairs).T
    assert adjusted_rand_index(a, b) == pytest.approx(metrics.adjusted_rand_score(a, b), abs=1e-12)
    assert adjusted_rand_index(b + 7, a) == pytest.approx(adjusted_rand_index(a, b), abs=1e-12)
    assert f1_score(a == 1, b == 1) == pytest.approx(metrics.f1_score(a == 1, b == 1, zero_division=0))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_markers_agree_with_scanpy() -> None:
    import anndata
    import pandas as pd
    import scanpy

    truth, kind = tissue()
    data = anndata.AnnData(truth.astype(np.float64), obs=pd.DataFrame({"kind": pd.Categorical(kind.astype(str))}))
    data.obs_names = data.obs_names.astype(str)
    data.var_names = list(GENES)
    scanpy.tl.rank_genes_groups(data, "kind", method="t-test")
    names = data.uns["rank_genes_groups"]["names"]
    for cluster, markers in enumerate(top_markers(truth.astype(np.float64), kind)):
        assert [GENES[i] for i in markers] == list(names[str(cluster)][:5])
