"""Scores of bulk expression: a case by hand, patients and not slides, what joining folds does, and null data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from protocols.bulk.score import BulkScores, ScoredSlides, score_bulk
from protocols.bulk.splits import published_folds
from protocols.errors import UserError
from protocols.metrics.well_predicted import CRITERIA


def slides(name: str, patient: list[str], truth: object, predicted: object, **more: object) -> ScoredSlides:
    return ScoredSlides(
        name=name,
        slide=np.array([f"{one}-{place}" for place, one in enumerate(patient)]),
        patient=np.array(patient),
        truth=np.asarray(truth, np.float32),
        predicted=np.asarray(predicted, np.float32),
        **more,  # type: ignore[arg-type]
    )


def by_hand() -> list[ScoredSlides]:
    """Two folds of three patients, two genes; patient b has two slides whose predictions average to 2."""
    truth = [[1, 1], [2, 2], [2, 2], [3, 4]]
    predicted = [[1, 4], [1, 1], [3, 3], [3, 1]]
    return [
        slides("0", ["a", "b", "b", "c"], truth, predicted),
        slides("1", ["d", "e", "f"], [[1, 1], [2, 2], [3, 3]], [[3, 2], [2, 2], [1, 2]]),
    ]


def test_a_case_by_hand() -> None:
    found = score_bulk(by_hand(), ("A", "B"))
    # Gene A: r = 1 in fold 0 (predictions 1, 2, 3), -1 in fold 1. Gene B: truth 1, 2, 4 against 4, 2, 1 in fold 0,
    # r = -4.3333 / (2 * 7/3) over centred values (-4/3, -1/3, 5/3) and (5/3, -1/3, -4/3); constant, hence 0, in fold 1.
    fold_b = (-4 / 3 * 5 / 3 + 1 / 9 - 5 / 3 * 4 / 3) / (16 / 9 + 1 / 9 + 25 / 9)
    assert found.headline.mean == pytest.approx((0.0 + fold_b / 2) / 2)
    assert [row["pearson"] for row in found.per_gene] == pytest.approx([0.0, fold_b / 2])
    pooled_a = np.corrcoef([1, 2, 3, 1, 2, 3], [1, 2, 3, 3, 2, 1])[0, 1]
    assert found.per_gene[0]["pearson_pooled"] == pytest.approx(pooled_a, abs=1e-9)
    pooled_b = np.corrcoef([1, 2, 4, 1, 2, 3], [4, 2, 1, 2, 2, 2])[0, 1]
    assert found.summary["pearson_pooled"] == pytest.approx((pooled_a + pooled_b) / 2)
    slides_a = np.corrcoef([1, 2, 2, 3, 1, 2, 3], [1, 1, 3, 3, 3, 2, 1])[0, 1]
    slides_b = np.corrcoef([1, 2, 2, 4, 1, 2, 3], [4, 1, 3, 1, 2, 2, 2])[0, 1]
    assert found.summary["pearson_pooled_slides"] == pytest.approx((slides_a + slides_b) / 2)
    rmse_a = np.sqrt((0 + 0 + 0 + 4 + 0 + 4) / 6)
    rmse_b = np.sqrt((9 + 0 + 9 + 1 + 0 + 1) / 6)
    assert found.summary["rmse"] == pytest.approx((rmse_a + rmse_b) / 2)
    assert found.summary["rmse_by_mean"] == pytest.approx((rmse_a / 2 + rmse_b / (13 / 6)) / 2)
    assert found.counts == {"patients": 6, "slides": 7, "genes": 2, "folds": 2, "constant_predictions": 1}
    assert found.units.columns.tolist() == ["gene", "r_fold_0", "r_fold_1", "r_pooled"]
    assert found.bulk["top_genes"] == 1
    assert found.summary["top_median_as_published"] == pytest.approx(max(pooled_a, pooled_b), abs=1e-9)
    assert found.summary["external_pearson"] is None
    assert found.summary["pearson_invisible_genes"] is None


def drawn(n: int = 60, genes: int = 40, *, noise: float = 1.0, seed: int = 0, twice: int = 0) -> list[ScoredSlides]:
    """Predictions that see half of the genes through noise; the first ``twice`` patients have a second slide."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(5, 1, (n, genes))
    seen = np.where(np.arange(genes) < genes // 2, truth, 5.0)
    patients, folds = [f"p{k:03d}" for k in range(n)], []
    for fold in published_folds(patients):
        rows = np.concatenate([fold.test, [row for row in fold.test if row < twice]]).astype(int)
        predicted = seen[rows] + noise * rng.normal(size=(len(rows), genes))
        folds.append(slides(fold.name, [patients[row] for row in rows], truth[rows], predicted))
    return folds


def names(genes: int) -> tuple[str, ...]:
    return tuple(f"G{k}" for k in range(genes))


def test_patients_are_the_units_and_a_copied_slide_changes_nothing() -> None:
    folds = drawn()
    copied = [
        ScoredSlides(
            fold.name,
            np.concatenate([fold.slide, [f"{one} again" for one in fold.slide[:5]]]),
            *(np.concatenate([part, part[:5]]) for part in (fold.patient, fold.truth, fold.predicted)),
        )
        for fold in folds
    ]
    one, two = (score_bulk(parts, names(40)) for parts in (folds, copied))
    by_slides = {"pearson_pooled_slides", "well_predicted_paper", "well_predicted_released"}
    for key, value in one.summary.items():
        if key not in by_slides:
            assert two.summary[key] == pytest.approx(value, abs=1e-6), key
    assert two.summary["pearson_pooled_slides"] != pytest.approx(one.summary["pearson_pooled_slides"], abs=1e-6)
    np.testing.assert_allclose(one.values.value, two.values.value, atol=1e-5)
    assert (one.counts["patients"], two.counts["slides"]) == (60, 85)


def test_slides_that_share_a_label_make_the_slide_level_test_too_sure() -> None:
    """No signal; every patient has eight slides that look alike: over slides, false discoveries come by the dozen."""
    rng = np.random.default_rng(0)
    truth, looks = rng.normal(5, 1, (60, 200)), rng.normal(size=(60, 200))
    patients, folds = [f"p{k:02d}" for k in range(60)], []
    for fold in published_folds(patients):
        rows = np.repeat(fold.test, 8)
        folds.append(slides(fold.name, [patients[row] for row in rows], truth[rows], looks[rows]))
    found = score_bulk(folds, names(200))
    assert found.summary["well_predicted"] <= 6
    assert CRITERIA["paper"].units == "slides"
    assert (found.summary["well_predicted_paper"] or 0) > 30


def test_order_of_slides_and_scale_of_predictions_do_not_matter() -> None:
    folds, rng = drawn(twice=20), np.random.default_rng(1)
    shuffled = []
    for fold in folds:
        order = rng.permutation(len(fold.slide))
        parts = {key: getattr(fold, key)[order] for key in ("slide", "patient", "truth", "predicted")}
        shuffled.append(replace(fold, **parts))
    scaled = [replace(fold, predicted=np.float32(2) * fold.predicted + np.float32(1)) for fold in folds]
    one = score_bulk(folds, names(40))
    for other in (score_bulk(shuffled, names(40)), score_bulk(scaled, names(40))):
        for key in (
            "pearson_mean",
            "pearson_pooled",
            "pearson_pooled_slides",
            "top_median_as_published",
            "well_predicted",
        ):
            assert other.summary[key] == pytest.approx(one.summary[key], abs=1e-5), key


def test_the_training_mean_is_negative_over_joined_folds_and_nothing_within_them() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(5, 1, (60, 100)).astype(np.float32)
    patients, folds = [f"p{k:02d}" for k in range(60)], []
    for fold in published_folds(patients):
        mean = truth[np.concatenate([fold.train, fold.validation])].mean(axis=0)
        folds.append(
            slides(fold.name, [patients[k] for k in fold.test], truth[fold.test], np.tile(mean, (len(fold.test), 1)))
        )
    found = score_bulk(folds, names(100))
    assert found.headline.mean == 0.0
    assert found.headline.low == found.headline.high == 0.0
    assert (found.summary["pearson_pooled"] or 0) < -0.15
    assert found.summary["well_predicted"] == 0
    assert found.counts["constant_predictions"] == 500


def fitted_on_noise(seed: int, n: int = 100, width: int = 30, genes: int = 300) -> BulkScores:
    """Ridge from features that say nothing of any gene, refitted in every fold as models are."""
    rng = np.random.default_rng(seed)
    looks, truth = rng.normal(size=(n, width)), rng.normal(5, 1, (n, genes))
    patients, folds = [f"p{k:03d}" for k in range(n)], []
    for fold in published_folds(patients):
        rows = np.concatenate([fold.train, fold.validation])
        x, mean = looks[rows] - looks[rows].mean(axis=0), truth[rows].mean(axis=0)
        weights = np.linalg.solve(x.T @ x + 50 * np.eye(width), x.T @ (truth[rows] - mean))
        predicted = (looks[fold.test] - looks[rows].mean(axis=0)) @ weights + mean
        known = (looks[fold.validation] - looks[rows].mean(axis=0)) @ weights + mean
        kept = slides(fold.name, [patients[k] for k in fold.validation], truth[fold.validation], known)
        made = slides(fold.name, [patients[k] for k in fold.test], truth[fold.test], predicted)
        folds.append(replace(made, validation=kept))
    return score_bulk(folds, names(genes))


def test_on_null_data_the_published_top_is_optimistic() -> None:
    """Predictions drawn without a look at anything."""
    published = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        folds = [replace(f, predicted=rng.normal(size=f.truth.shape).astype(np.float32)) for f in drawn(100, 300)]
        found = score_bulk(folds, names(300))
        published.append(found.summary["top_median_as_published"])
        assert found.summary["top_median"] is None  # no answer for validation patients to choose on
        assert found.headline.mean == pytest.approx(0.0, abs=0.03)
        assert (found.summary["well_predicted_share"] or 0) <= 0.05
    assert np.mean(published) > 0.1


def test_models_fitted_on_noise_predict_nothing() -> None:
    found = [fitted_on_noise(seed) for seed in range(3)]
    assert np.mean([one.headline.mean for one in found]) == pytest.approx(0.0, abs=0.02)
    assert max(one.summary["well_predicted_share"] or 0 for one in found) <= 0.05


def test_the_honest_top_of_models_fitted_on_noise_is_nothing() -> None:
    """Genes are chosen on training patients, who say nothing of chance among the tested ones.

    Chosen in the other folds' tests, as seems natural, it would be 0.12 against 0.15 as published: those folds' models
    have learned from this fold's patients.
    """
    found = [fitted_on_noise(seed).summary for seed in range(3)]
    assert np.mean([one["top_median"] for one in found]) == pytest.approx(0, abs=0.03)
    assert np.mean([one["top_median_as_published"] for one in found]) > 0.1


def test_an_external_cohort_and_the_share_that_holds() -> None:
    genes = names(40)
    folds = drawn(100, noise=0.5)
    rng = np.random.default_rng(5)
    own = (*genes[5:], *genes[:3])  # another order, two genes fewer
    columns = [genes.index(gene) for gene in own]
    truth = rng.normal(5, 1, (50, 40))
    seen = np.where(np.arange(40) < 10, truth, 5.0) + 0.5 * rng.normal(size=(50, 40))  # only ten genes hold there
    other = slides("abroad", [f"q{k}" for k in range(50)], truth[:, columns], seen[:, columns])
    found = score_bulk(folds, genes, external=[other], external_genes=[own])
    (there,) = found.bulk["external"]
    discovered = {row["gene"] for row in found.per_gene if row["well_predicted"]}
    assert set(genes[:20]) <= discovered
    held = discovered & set(own) & set(genes[:10])
    assert there["cohort"] == "abroad"
    assert (there["patients"], there["genes"]) == (50, 38)
    assert held <= set(own)
    assert len(held) <= there["held"] <= len(held) + 1
    assert there["held_share"] == pytest.approx(there["held"] / len(discovered & set(own)))
    assert found.summary["external_held_share"] == there["held_share"]
    by_gene = [np.corrcoef(other.truth[:, k], other.predicted[:, k])[0, 1] for k in range(38)]
    assert there["pearson"] == pytest.approx(np.mean(by_gene), abs=1e-6)


def test_the_untrained_twin_is_what_a_gene_must_beat() -> None:
    folds = drawn(100, noise=0.5)
    alone = score_bulk(folds, names(40))
    twins = [replace(fold, untrained=fold.predicted) for fold in folds]
    same = score_bulk(twins, names(40))
    assert (alone.summary["well_predicted"] or 0) >= 20
    assert same.summary["well_predicted"] == 0
    assert (alone.bulk["untrained_twin"], same.bulk["untrained_twin"]) == (False, True)


def test_invisible_genes_are_averaged_apart() -> None:
    reachable = np.where(np.arange(40) < 20, 0.8, 0.0)
    found = score_bulk(drawn(100), names(40), reachable=reachable)
    assert found.summary["pearson_invisible_genes"] == pytest.approx(0.0, abs=0.08)
    invisible = [row["pearson"] for row in found.per_gene if row["reachable"] == 0]
    assert found.summary["pearson_invisible_genes"] == pytest.approx(np.mean(invisible))
    assert found.per_gene[0]["visible_share"] == pytest.approx(0.64)


def test_models_are_paired_by_patient() -> None:
    """Two models that differ by a hair differ by a hair in every patient."""
    folds = drawn()
    close = [replace(fold, predicted=fold.predicted * np.float32(1.0001)) for fold in folds]
    one, two = (score_bulk(parts, names(40)) for parts in (folds, close))
    assert np.abs(one.values.value - two.values.value).max() < 1e-4 < one.values.value.std()
    assert one.values.mean == pytest.approx(one.headline.mean)
    assert (one.headline.low or 0) < (one.headline.mean or 0) < (one.headline.high or 0)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folds: [], "no fold"),
        (lambda folds: [replace(folds[0], predicted=folds[0].predicted[:, :1]), folds[1]], r"fold 0: .*\(4, 1\)"),
        (lambda folds: [folds[0], replace(folds[1], predicted=folds[1].predicted * np.nan)], "fold 1: .*not finite"),
        (lambda folds: [folds[0], replace(folds[1], untrained=np.ones((3, 3)))], r"fold 1: .*\(3, 3\)"),
        (lambda folds: [folds[0], replace(folds[1], patient=np.array(["d", "b", "f"]))], "b is tested twice.*fold 0"),
    ],
)
def test_what_does_not_fit_is_one_clear_line(spoil: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        score_bulk(spoil(by_hand()), ("A", "B"))  # type: ignore[operator]


def test_misspelt_criteria_are_named() -> None:
    with pytest.raises(UserError, match="did you mean 'standard'"):
        score_bulk(by_hand(), ("A", "B"), criteria="standrad")


@pytest.mark.parametrize(
    ("own", "message"),
    [(("A", "X"), "abroad: .*gene X"), (("A",), r"abroad: .*\(3, 2\)")],
)
def test_an_external_cohort_that_does_not_fit_is_one_clear_line(own: tuple[str, ...], message: str) -> None:
    other = slides("abroad", ["x", "y", "z"], np.eye(3, 2), np.eye(3, 2))
    with pytest.raises(UserError, match=message):
        score_bulk(by_hand(), ("A", "B"), external=[other], external_genes=[own])
