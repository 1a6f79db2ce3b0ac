"""Rank tokens by hand: order, ties, absent genes, the cut to the context."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from past_model.tokens import (
    CONTEXT_TOKENS,
    FALLBACK_MEAN,
    HUMAN,
    PAD,
    RAW_PAD,
    ROWS_AT_ONCE,
    SPATIAL,
    XENIUM,
    RankTokeniser,
    Vocabulary,
    cell_sequence,
)

ABC = Vocabulary.of(["A", "B", "C"])  # ids 30, 31, 32


def flat(vocabulary: Vocabulary) -> RankTokeniser:
    return RankTokeniser(vocabulary, np.ones(len(vocabulary.genes)))


def seen(counts: np.ndarray) -> np.ndarray:
    return np.ones(counts.shape, dtype=bool)


def test_ids_start_at_thirty_in_sorted_order_and_the_table_matches_the_release() -> None:
    assert Vocabulary.of(["C", "A", "B"]) == ABC
    assert ABC.ids(["B", "Z", "A"]).tolist() == [31, -1, 30]
    assert Vocabulary(tuple(f"G{i:05}" for i in range(20_310))).table_rows == 20_345
    with pytest.raises(ValueError, match="twice"):
        Vocabulary.of(["A", "A"])


def test_means_are_over_expressing_cells_of_counts_scaled_to_ten_thousand() -> None:
    counts = np.array([[1, 3, 0], [2, 0, 0]])
    got = RankTokeniser.fit(counts, seen(counts), ["A", "B", "C"])
    # A: 10000 * (1/4 + 2/2) / 2; B: 10000 * 3/4 / 1; C never seen: the median of the two.
    np.testing.assert_allclose(got.means, [6250, 7500, 6875])


def test_a_cohort_without_a_count_falls_back_to_the_documented_mean() -> None:
    counts = np.zeros((2, 3), dtype=int)
    assert RankTokeniser.fit(counts, seen(counts), ["A", "B", "C"]).means.tolist() == [FALLBACK_MEAN] * 3


def test_order_is_by_count_over_mean_not_by_count() -> None:
    counts = np.array([[4, 9, 5]])
    tokeniser = RankTokeniser(ABC, np.array([1.0, 3.0, 5.0]))  # levels 4, 3, 1
    assert tokeniser.encode(counts, seen(counts), ["A", "B", "C"], 5).tolist() == [[30, 31, 32, 0, 0]]


@pytest.mark.parametrize("genes", [["A", "B", "C"], ["C", "B", "A"], ["B", "C", "A"]])
def test_ties_are_broken_by_id_whatever_the_columns_order(genes: list[str]) -> None:
    counts = np.array([[2, 2, 2]])
    assert flat(ABC).encode(counts, seen(counts), genes, 3).tolist() == [[30, 31, 32]]


def test_absent_zero_unmeasured_and_unknown_genes_give_no_token() -> None:
    counts = np.array([[5, 4, 3, 9], [0, 4, 3, 9], [0, 0, 0, 9]])
    measured = seen(counts)
    measured[0, 0] = False
    got = flat(ABC).encode(counts, measured, ["A", "B", "C", "unknown"], 4)
    assert got.tolist() == [[31, 32, 0, 0], [31, 32, 0, 0], [0, 0, 0, 0]]
    with pytest.raises(ValueError, match="none of 1 genes"):
        RankTokeniser.fit(counts[:, :1], seen(counts[:, :1]), ["unknown"], ABC)


def test_encoding_is_cut_to_the_top_and_independent_of_how_rows_are_grouped() -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 3, (ROWS_AT_ONCE + 5, 3))
    whole = flat(ABC).encode(counts, seen(counts), ["A", "B", "C"], 2)
    assert whole.shape == (len(counts), 2)
    np.testing.assert_array_equal(
        whole[-9:], flat(ABC).encode(counts[-9:], seen(counts[-9:]), ["A", "B", "C"], 2)
    )


def test_sequence_counts_its_three_context_tokens_and_pads_with_one() -> None:
    assert CONTEXT_TOKENS == (SPATIAL, XENIUM, HUMAN) == (4, 9, 5)
    tokens = np.array([[31, 30, 32, 33], [30, RAW_PAD, RAW_PAD, RAW_PAD]])
    assert cell_sequence(tokens, 6).tolist() == [[4, 9, 5, 31, 30, 32], [4, 9, 5, 30, PAD, PAD]]
    assert cell_sequence(tokens, 9)[0].tolist() == [4, 9, 5, 31, 30, 32, 33, PAD, PAD]


@given(arrays(np.int64, (3, 6), elements=st.integers(0, 4)), st.randoms(use_true_random=False))
def test_ranks_agree_with_plain_sorting_and_ignore_scale(counts: np.ndarray, random: object) -> None:
    genes = [f"G{i}" for i in range(6)]
    means = np.array([1.0, 2.0, 1.0, 4.0, 2.0, 1.0])
    tokeniser = RankTokeniser(Vocabulary.of(genes), means)
    got = tokeniser.encode(counts, seen(counts), genes, 6)
    for row, cell in zip(got, counts, strict=True):
        expected = sorted((i for i in range(6) if cell[i]), key=lambda i: (-cell[i] / means[i], i))
        assert row.tolist() == [30 + i for i in expected] + [0] * (6 - len(expected))
    np.testing.assert_array_equal(got, tokeniser.encode(counts * 7, seen(counts), genes, 6))
