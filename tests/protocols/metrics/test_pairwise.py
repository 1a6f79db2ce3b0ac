"""Which models differ: by hand, against scipy's permutation test, and the family-wise error."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from protocols.metrics.pairwise import LEVEL, compare_all
from protocols.metrics.patient_values import PatientValues, plain_mean


def scores(values: list[float] | np.ndarray) -> PatientValues:
    return plain_mean({f"p{i:03d}": float(value) for i, value in enumerate(values)})


def test_two_models_are_scipys_exact_sign_flip_test() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.5, 0.1, 9), rng.normal(0.42, 0.1, 9)
    (pair,) = compare_all({"a": scores(a), "b": scores(b)}, seed=0).pairs
    theirs = stats.permutation_test((a, b), lambda x, y: abs(np.mean(x - y)), permutation_type="samples",
                                    alternative="greater", n_resamples=np.inf)  # fmt: skip
    assert pair.p == pytest.approx(theirs.pvalue)
    assert pair.difference == pytest.approx((a - b).mean())
    assert pair.error == pytest.approx(stats.sem(a - b))
    assert pair.effect == pytest.approx((a - b).mean() / (a - b).std(ddof=1))


def test_five_patients_tell_nobody_apart_and_six_can() -> None:
    for n, p in ((5, 1 / 16), (6, 1 / 32)):
        models = {"good": scores(np.linspace(0.8, 0.9, n)), "bad": scores(np.linspace(0.1, 0.2, n) ** 2)}
        found = compare_all(models, seed=0)
        assert found.pairs[0].p == p
        assert found.pairs[0].apart == (n == 6)
        assert (found.detectable("good", "bad") is None) == (n == 5)


def test_pairs_are_corrected_for_each_other_and_never_reordered() -> None:
    rng = np.random.default_rng(1)
    models = {f"m{i}": scores(rng.normal(0.3, 0.05, 20)) for i in range(6)} | {
        "best": scores(rng.normal(0.6, 0.05, 20))
    }
    together = compare_all(models, seed=0)
    for one in together.pairs:
        (alone,) = compare_all({one.a: models[one.a], one.b: models[one.b]}, seed=0).pairs
        assert one.p >= alone.p - 0.01
    assert all(together.of("best", f"m{i}").apart for i in range(6))
    turned = together.of("m0", "best")
    assert (turned.difference, turned.p) == (-together.of("best", "m0").difference, together.of("best", "m0").p)


def test_equal_answers_are_equal() -> None:
    values = scores(np.linspace(0.1, 0.7, 12))
    found = compare_all({"a": values, "b": values, "c": scores(np.linspace(0.3, 0.9, 12))}, seed=0)
    assert (found.of("a", "b").p, found.of("a", "b").effect) == (1.0, None)
    assert found.of("a", "c").apart


def test_patients_on_whom_two_models_are_equal_count_as_well() -> None:
    gaps = np.array([0.1, 0.0, 0.2, 0.0, 0.0, 0.1, 0.3, 0.0])
    base = np.linspace(0.2, 0.8, 8)
    (pair,) = compare_all({"a": scores(base + gaps), "b": scores(base)}, seed=0).pairs
    assert (pair.n, pair.error) == (8, pytest.approx(stats.sem(gaps)))
    assert pair.effect == pytest.approx(gaps.mean() / gaps.std(ddof=1))


def test_only_patients_of_both_count() -> None:
    whole = scores(np.linspace(0.2, 0.8, 12))
    part = plain_mean({one: float(value) - 0.1 for one, value in zip(whole.patient[:8], whole.value[:8], strict=True)})
    (pair,) = compare_all({"a": whole, "b": part}, seed=0).pairs
    assert (pair.n, pair.difference) == (8, pytest.approx(0.1))


def test_seeds_are_a_second_source_of_variance() -> None:
    rng = np.random.default_rng(2)
    base = rng.normal(0.4, 0.1, 15)
    models = {"a": scores(base + 0.03 + rng.normal(0, 0.02, 15)), "b": scores(base)}
    (plain,) = compare_all(models, seed=0).pairs
    (noisy,) = compare_all(models, seed=0, noise={"a": 0.02**2}).pairs
    assert plain.apart
    assert not noisy.apart
    assert noisy.error == pytest.approx(np.hypot(plain.error, 0.02))


def test_the_same_for_any_order_and_seedless_where_all_flips_are_taken() -> None:
    rng = np.random.default_rng(3)
    models = {f"m{i}": scores(rng.normal(0.3 + 0.01 * i, 0.05, 10)) for i in range(5)}
    once = compare_all(models, seed=0)
    assert once == compare_all(dict(reversed(models.items())), seed=1)


def test_seventeen_equal_models_at_twelve_patients() -> None:
    rng = np.random.default_rng(4)
    wrong = 0
    for _ in range(150):
        values = rng.normal(0.3, 0.1, 12)[:, None] + rng.normal(0, 0.05, (12, 17))
        models = {f"m{k:02d}": scores(values[:, k]) for k in range(17)}
        wrong += any(pair.apart for pair in compare_all(models, seed=0).pairs)
    assert wrong / 150 <= LEVEL + 2 * np.sqrt(LEVEL * (1 - LEVEL) / 150)


def test_what_can_be_detected_is_found_that_often() -> None:
    """A difference of the size that is promised 80 % power, among five models of which the others are equal."""
    rng = np.random.default_rng(5)
    found, promised = 0, []
    for _ in range(150):
        shared = rng.normal(0.3, 0.1, 20)[:, None] + rng.normal(0, 0.05, (20, 5))
        shared[:, 0] += 0.062
        models = {f"m{k}": scores(shared[:, k]) for k in range(5)}
        pairs = compare_all(models, seed=0)
        found += pairs.of("m0", "m1").apart
        promised.append(pairs.detectable("m0", "m1"))
    assert np.mean(promised) == pytest.approx(0.062, abs=0.006)
    assert found / 150 == pytest.approx(0.8, abs=0.12)
