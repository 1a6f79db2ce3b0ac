"""Subtype maps by hand, and their agreement against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.metrics.subtypes import NO_SUBTYPE, kappa, modules_of, subtypes
from protocols.seeds import generator


def test_subtypes_by_hand() -> None:
    modules = {"a1": ("A",), "a2": ("A",), "b": ("B",), "other": ()}
    genes = ("a1", "a2", "b", "other")
    # A's means 10, 20, 30, 40 rank 25, 50, 75, 100; B ranks 100, 75, 50, 25 (of 100 %).
    values = np.array([[5, 15, 90, 99], [25, 15, 80, 0], [30, 30, 70, 0], [40, 40, 60, 0]], float)
    assert subtypes(values, genes, modules).tolist() == [1, 1, 0, 0]
    values[:, 2] = [60, 70, 80, 90]
    assert subtypes(values, genes, modules).tolist() == [NO_SUBTYPE] * 4, "equal ranks are a tie"
    values[:, 2] = 50
    assert subtypes(values, genes, modules).tolist() == [0] * 4, "a constant module has no say"
    values[0, 0] = np.nan
    assert subtypes(values, genes, modules).tolist() == [NO_SUBTYPE, 0, 0, 0]
    assert subtypes(values, genes, {}).tolist() == [NO_SUBTYPE] * 4


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.2, 5.0))
def test_subtypes_do_not_change_when_a_whole_module_is_rescaled(seed: int, factor: float) -> None:
    values = generator(seed, "subtypes").uniform(0, 100, (30, 6))
    genes, modules = tuple("abcdef"), {gene: ("XYZ"[place // 2],) for place, gene in enumerate("abcdef")}
    rescaled = values.copy()
    rescaled[:, 2:4] *= factor
    assert (subtypes(values, genes, modules) == subtypes(rescaled, genes, modules)).all()


def test_kappa_agrees_with_scikit_learn() -> None:
    from sklearn.metrics import cohen_kappa_score

    draw = generator(3, "kappa")
    a, b = draw.integers(0, 4, 200).astype(np.uint8), draw.integers(0, 4, 200).astype(np.uint8)
    b[:80] = a[:80]
    assert kappa(a, b) == pytest.approx(((a == b).mean(), cohen_kappa_score(a, b)))
    a[:50] = NO_SUBTYPE
    assert kappa(a, b) == pytest.approx(((a == b)[50:].mean(), cohen_kappa_score(a[50:], b[50:])))
    one = np.zeros(5, np.uint8)
    assert kappa(one, one) == (1.0, None)
    assert kappa(np.full(5, NO_SUBTYPE, np.uint8), one) is None


def test_modules_are_named_in_order_and_a_gene_may_have_two() -> None:
    modules = {"a": ("Z", "A"), "b": ("M",), "c": ("never",)}
    assert modules_of(("a", "b"), modules) == ("A", "M", "Z")
    # A and Z are the same gene, hence tie wherever they are ahead of M.
    values = np.array([[1.0, 3.0], [2.0, 2.0], [3.0, 1.0]])
    assert subtypes(values, ("a", "b"), modules).tolist() == [1, NO_SUBTYPE, NO_SUBTYPE]


def test_kappa_of_unrelated_maps_is_near_zero() -> None:
    draw = generator(5, "kappa")
    found = [kappa(*draw.integers(0, 4, (2, 300)).astype(np.uint8)) for _ in range(30)]
    assert np.mean([one[1] or 0.0 for one in found if one]) == pytest.approx(0.0, abs=0.03)
