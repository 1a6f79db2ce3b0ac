"""From blocks to scores: the hierarchy, what is counted, and where controls must land."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from protocols.errors import UserError
from protocols.expression.score import MAP_CELLS, ScoredBlock, Scores, score_blocks

GENES = ("A", "B", "C", "D", "FOXA1")


def block(
    truth: np.ndarray, predicted: np.ndarray, fold: str = "f", slide: str = "s", patient: str = "p", **changes: object
) -> ScoredBlock:
    n, genes = truth.shape
    made = ScoredBlock(
        fold=fold,
        slide=slide,
        patient=patient,
        genes=GENES[:genes],
        cell_id=np.array([f"{fold}-{i}" for i in range(n)]),
        xy_um=np.arange(2 * n, dtype=np.float32).reshape(n, 2),
        truth=truth.astype(np.float32),
        predicted=predicted.astype(np.float32),
        scored=~np.isnan(truth).all(axis=0),
    )
    return replace(made, **changes)


def cohort(seed: int = 0, signal: float = 1.0, n: int = 60, folds: int = 2, patients: int = 6) -> list[ScoredBlock]:
    """Two slides a patient, ``folds`` blocks a slide."""
    rng = np.random.default_rng(seed)
    blocks = []
    for slide in range(2 * patients):
        for fold in range(folds):
            truth = rng.normal(size=(n, 5))
            predicted = signal * truth + rng.normal(size=truth.shape)
            blocks.append(block(truth, predicted, f"f{fold}", f"s{slide}", f"p{slide // 2}"))
    return blocks


def score(blocks: list[ScoredBlock], **options: object) -> Scores:
    return score_blocks(iter(blocks), **{"seed": 0, "biology": False, **options})


def with_r(r: float, n: int = 50, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """One gene whose sample correlation is exactly ``r``."""
    rng = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(np.column_stack([np.ones(n), rng.normal(size=(n, 2))]))
    return basis[:, [1]], r * basis[:, [1]] + np.sqrt(1 - r * r) * basis[:, [2]]


def test_the_hierarchy_by_hand() -> None:
    """p: slide s1 with folds 0.2 and 0.4, slide s2 with 0.9; q: slide s3 with 0.5."""
    blocks = [
        block(*with_r(0.2), "f0", "s1", "p"),
        block(*with_r(0.4), "f1", "s1", "p"),
        block(*with_r(0.9), "f0", "s2", "p"),
        block(*with_r(0.5), "f0", "s3", "q"),
    ]
    scores = score(blocks)
    assert scores.per_patient == pytest.approx({"p": (0.3 + 0.9) / 2, "q": 0.5}, abs=1e-6)
    assert scores.headline.mean == pytest.approx(0.55, abs=1e-6)
    assert scores.headline.n_patients == 2
    assert scores.summary["pearson_per_slide"] == scores.headline.mean
    assert scores.per_gene[0]["pearson"] == pytest.approx((0.2 + 0.4 + 0.9 + 0.5) / 4, abs=1e-6)
    assert scores.per_gene[0]["n_units"] == 4
    assert {name: scores.counts[name] for name in ("blocks", "cells", "slides", "patients", "genes")} == {
        "blocks": 4,
        "cells": 200,
        "slides": 3,
        "patients": 2,
        "genes": 1,
    }


def test_every_unit_agrees_with_scipy() -> None:
    blocks = cohort()
    units = score(blocks).units.set_index(["fold", "slide", "gene"])
    assert len(units) == len(blocks) * len(GENES)
    for one in blocks:
        for i, gene in enumerate(GENES):
            row, t, p = units.loc[(one.fold, one.slide, gene)], one.truth[:, i], one.predicted[:, i]
            assert row["pearson"] == pytest.approx(stats.pearsonr(t, p).statistic, abs=1e-6)
            assert row["spearman"] == pytest.approx(stats.spearmanr(t, p).statistic, abs=1e-12)
            assert row["mse"] == pytest.approx(np.mean((t - p) ** 2), rel=1e-5)
            assert (row["n"], row["state"], row["patient"]) == (60, "scored", one.patient)


def test_a_training_mean_must_not_look_worse_than_nothing() -> None:
    """Each fold's training mean is low where the held-out block is high: joined folds show r < 0 out of nothing."""
    rng = np.random.default_rng(0)
    level = np.array([0.0, 1.0, 2.0, 3.0])  # four spatial blocks of one slide differ in expression
    truths = [level[k] + rng.normal(size=(50, 5)) for k in range(4)]
    folds = []
    for k, truth in enumerate(truths):
        training = np.concatenate([t for j, t in enumerate(truths) if j != k])
        folds.append(block(truth, np.tile(training.mean(axis=0), (50, 1)), f"f{k}"))
    joined = stats.pearsonr(np.concatenate(truths)[:, 0], np.concatenate([b.predicted for b in folds])[:, 0])
    assert joined.statistic < -0.5
    scores = score(folds)
    assert scores.headline.mean == 0.0
    assert scores.counts["constant_prediction"] == 20
    assert scores.summary["pearson_pooled"] == pytest.approx(joined.statistic, abs=0.1)  # pooled is secondary for this


def test_states_are_counted_and_constant_truth_leaves_every_model_alike() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(40, 5))
    truth[:, 0] = 3.0
    truth[:, 1] = np.nan
    predicted = truth + rng.normal(size=truth.shape)
    predicted[:, 1] = np.nan  # nothing is asked there
    predicted[:, 2] = 0.5
    predicted[:, 3] = np.inf  # nor here: no training slide has the gene
    scored = np.array([True, False, True, False, True])
    scores = score([block(truth, predicted, scored=scored)])
    assert scores.units["state"].tolist() == [
        "constant_truth",
        "unmeasured",
        "constant_prediction",
        "untrained",
        "scored",
    ]
    assert {k: v for k, v in scores.counts.items() if k not in ("blocks", "cells", "slides", "patients")} == {
        "scored": 2,
        "constant_prediction": 1,
        "constant_truth": 1,
        "too_few": 0,
        "unmeasured": 1,
        "untrained": 1,
        "genes": 2,
    }
    r = stats.pearsonr(truth[:, 4], predicted[:, 4]).statistic
    assert scores.headline.mean == pytest.approx((0 + r) / 2, abs=1e-6)
    assert [row["pearson"] is None for row in scores.per_gene] == [True, True, False, True, False]


def test_the_order_of_blocks_does_not_show() -> None:
    blocks = cohort()
    one, other = score(blocks, biology=True), score(blocks[::-1], biology=True)
    for name in ("headline", "summary", "counts", "per_patient", "per_gene", "biology"):
        assert getattr(one, name) == getattr(other, name)
    assert one.units.equals(other.units)
    assert one.maps.equals(other.maps)


def test_releasing_a_slide_early_changes_nothing() -> None:
    blocks = cohort()
    said: list[str] = []
    early = score(blocks, biology=True, blocks_per_slide={b.slide: 2 for b in blocks}, progress=said.append)
    late = score(blocks, biology=True)
    assert early.biology == late.biology
    assert early.maps.equals(late.maps)
    assert said[:3] == ["f0 s0", "f1 s0", "slide s0"]
    assert len(said) == 24 + 12


def test_perfect_and_reversed() -> None:
    perfect = [replace(b, predicted=b.truth) for b in cohort()]
    scores = score(perfect)
    assert scores.headline.mean == pytest.approx(1.0)
    assert scores.summary["spearman_per_slide"] == pytest.approx(1.0)
    assert scores.summary["mse_per_slide"] == 0.0
    assert score([replace(b, predicted=-b.truth) for b in perfect]).headline.mean == pytest.approx(-1.0)


def test_shuffled_predictions_cover_zero_and_signal_does_not() -> None:
    covered = 0
    for seed in range(20):
        interval = score(cohort(seed, signal=0.0, patients=10)).headline
        covered += interval.low <= 0 <= interval.high
    assert covered >= 16
    assert score(cohort(signal=0.3)).headline.low > 0


def test_invisible_genes_and_the_reachable_mean() -> None:
    blocks = cohort(signal=2.0)
    for one in blocks:
        one.predicted[:, :2] = np.random.default_rng(int(one.slide[1:])).normal(size=(60, 2))
    reachable = {(b.slide, g): (0.0 if g in "AB" else 0.8, 0.0 if g in "AB" else 0.9) for b in blocks for g in GENES}
    scores = score(blocks, reachable=reachable)
    assert scores.summary["pearson_invisible_genes"] == pytest.approx(0, abs=0.1)
    low, high = (scores.summary[f"pearson_invisible_genes_{side}"] for side in ("low", "high"))
    assert low < scores.summary["pearson_invisible_genes"] < high
    assert scores.summary["reachable_mean"] == pytest.approx(0.9 * 3 / 5)
    assert [row["visible_share"] for row in scores.per_gene] == pytest.approx([0, 0, 0.8, 0.8, 0.8])
    unknown = score(blocks)
    assert unknown.summary["pearson_invisible_genes"] is None
    assert unknown.summary["reachable_mean"] is None
    assert unknown.per_gene[0]["reachable"] is None


def test_the_reachable_mean_is_taken_over_the_scored_units() -> None:
    truth, predicted = np.random.default_rng(0).normal(size=(2, 30, 2))
    truth[:, 0] = 1.0  # undefined: its reachable r must not enter either
    scores = score([block(truth, predicted)], reachable={("s", "A"): (0.5, 0.1), ("s", "B"): (0.5, 0.7)})
    assert scores.summary["reachable_mean"] == pytest.approx(0.7)


def test_panels_with_holes_pool_by_gene_name() -> None:
    first, second = np.random.default_rng(0).normal(size=(2, 40, 3))
    blocks = [
        block(first, first + second, slide="s1"),
        block(second, first, slide="s2", genes=("C", "FOXA1", "A")),
    ]
    r = []
    for gene in ("A", "B", "C", "FOXA1"):
        parts = [(b.truth[:, i], b.predicted[:, i]) for b in blocks for i, g in enumerate(b.genes) if g == gene]
        r.append(stats.pearsonr(*(np.concatenate(side) for side in zip(*parts, strict=True))).statistic)
    assert score(blocks).summary["pearson_pooled"] == pytest.approx(np.mean(r), abs=1e-6)


def test_the_mapped_marker_is_chosen_from_the_truth() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(80, 5)) * [1, 1, 9, 1, 0.1]
    blocks = [block(truth[:40], truth[:40] + 1, "f0"), block(truth[40:], truth[40:] + 1, "f1")]
    maps = score(blocks).maps
    assert set(maps["gene"]) == {"FOXA1"}
    assert len(maps) == 80  # every fold's cells
    assert np.allclose(maps["predicted"], maps["truth"] + 1)
    assert sorted(maps["truth"]) == sorted(truth[:, 4].astype(np.float32))
    assert set(score(blocks, marker_candidates=("none",)).maps["gene"]) == {"C"}
    flat = block(np.ones((40, 5)), truth[:40])
    assert len(score([flat]).maps) == 0


def test_large_slides_are_thinned_the_same_for_every_model() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(12_000, 5))
    parts = [block(truth[k::3], rng.normal(size=(4000, 5)), f"f{k}", cell_id=np.arange(k, 12_000, 3)) for k in range(3)]
    maps = score(parts).maps
    other = score([replace(p, predicted=p.truth) for p in parts[::-1]]).maps
    assert len(maps) == MAP_CELLS
    assert maps[["x_um", "y_um", "truth"]].equals(other[["x_um", "y_um", "truth"]])


def test_biology_rows_and_means() -> None:
    rng = np.random.default_rng(0)
    kind = np.repeat([0, 1, 2], [40, 55, 5])
    blocks = []
    for slide in range(2):
        truth = rng.normal(size=(3, 5))[kind] * 5 + rng.normal(size=(100, 5)) * 0.2
        blocks.append(block(truth, truth, slide=f"s{slide}", patient=f"p{slide}", rare_label=kind == 2))
    blocks.append(block(truth[:10], truth[:10], slide="tiny", patient="p1"))
    scores = score(blocks, biology=True)
    assert [row["slide"] for row in scores.biology] == ["s0", "s1", "tiny"]
    assert [row["ari"] for row in scores.biology] == [1.0, 1.0, None]
    assert "20 cells" in scores.biology[2]["reason"]
    assert (scores.summary["ari"], scores.summary["ari_after_transfer"], scores.summary["rare_f1"]) == (1.0, 1.0, 1.0)


def test_everything_but_the_frames_is_json() -> None:
    truth = np.full((5, 5), np.nan)
    for blocks in ([], [block(truth, truth)], cohort(patients=1)):
        scores = score(blocks, biology=True)
        text = json.dumps(
            [scores.summary, scores.counts, scores.per_patient, scores.per_gene, scores.biology], allow_nan=False
        )
        assert json.loads(text)[0].keys() == scores.summary.keys()
        assert list(scores.units.columns) == [
            "fold",
            "slide",
            "patient",
            "gene",
            "n",
            "pearson",
            "spearman",
            "mse",
            "state",
        ]
        assert list(scores.maps.columns) == ["slide", "gene", "x_um", "y_um", "truth", "predicted"]
    assert score([]).headline.mean is None


def test_bad_blocks_are_refused_in_one_line() -> None:
    one = cohort()[0]
    spoilt = one.predicted.copy()
    spoilt[3, 2] = np.nan
    with pytest.raises(UserError, match="fold f0, slide s0: a predicted value is NaN"):
        score([replace(one, predicted=spoilt)])
    with pytest.raises(UserError, match="do not match"):
        score([replace(one, predicted=one.predicted[:-1])])
    with pytest.raises(UserError, match="belongs to patients 'p0' and 'x'"):
        score([one, replace(one, fold="f9", patient="x")])
