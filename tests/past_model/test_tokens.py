"""Rank tokens, by hand and by invariances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from past_model.tokens import (
    CONTEXT_TOKENS,
    FALLBACK_MEAN,
    FIRST_GENE,
    HUMAN,
    PAD,
    SPATIAL,
    XENIUM,
    RankTokeniser,
    Vocabulary,
    cell_sequence,
)

A, B, C, D = (FIRST_GENE + i for i in range(4))
ABCD = ("A", "B", "C", "D")


def all_measured(counts: np.ndarray) -> np.ndarray:
    return np.ones(counts.shape, dtype=bool)


def unit_means(genes: tuple[str, ...] = ABCD) -> RankTokeniser:
    return RankTokeniser(Vocabulary.of(genes), np.ones(len(genes)))


def test_vocabulary_is_sorted_and_starts_at_thirty() -> None:
    vocabulary = Vocabulary.of(["C", "A", "B"])
    assert vocabulary.genes == ("A", "B", "C")
    assert vocabulary.ids(["B", "X", "A"]).tolist() == [31, -1, 30]


def test_nicheformers_vocabulary_gives_the_released_table() -> None:
    assert Vocabulary(tuple(map(str, range(20_310)))).table_rows == 20_345


def test_duplicate_gene_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        Vocabulary.of(["A", "A"])


def test_means_are_over_expressing_cells_at_ten_thousand() -> None:
    counts = np.array([[1, 3, 0], [0, 5, 5]])
    tokeniser = RankTokeniser.fit(counts, all_measured(counts), ("A", "B", "C"))
    # cell 1: 2500, 7500, 0; cell 2: 0, 5000, 5000
    np.testing.assert_allclose(tokeniser.means, [2500, 6250, 5000])


def test_gene_never_expressed_takes_the_median_of_the_known_means() -> None:
    counts = np.array([[1, 3, 0, 0], [0, 5, 5, 0]])
    tokeniser = RankTokeniser.fit(counts, all_measured(counts), ABCD)
    assert tokeniser.means[3] == 5000  # the median of 2500, 5000, 6250, not 1, which would put it on top


def test_without_any_count_the_fallback_is_the_published_median() -> None:
    counts = np.zeros((2, 2), dtype=int)
    assert set(RankTokeniser.fit(counts, all_measured(counts), ("A", "B")).means) == {FALLBACK_MEAN}


def test_unmeasured_entries_do_not_enter_the_means() -> None:
    counts = np.array([[1, 1], [1, 999]])
    measured = np.array([[True, True], [True, False]])
    np.testing.assert_allclose(RankTokeniser.fit(counts, measured, ("A", "B")).means, [7500, 5000])


def test_genes_rank_by_count_over_mean_not_by_count() -> None:
    tokeniser = RankTokeniser(Vocabulary.of(ABCD), np.array([100.0, 1.0, 10.0, 1.0]))
    counts = np.array([[50, 1, 30, 0]])  # 0.5, 1, 3, absent
    assert tokeniser.encode(counts, all_measured(counts), ABCD, 6).tolist() == [[C, B, A, 0, 0, 0]]


def test_ties_go_by_id_whatever_the_order_of_columns() -> None:
    counts = np.array([[2, 2, 2, 5]])
    assert unit_means().encode(counts, all_measured(counts), ABCD, 4).tolist() == [[D, A, B, C]]
    assert unit_means().encode(counts[:, ::-1], all_measured(counts), ABCD[::-1], 4).tolist() == [[D, A, B, C]]


def test_unmeasured_gene_never_becomes_a_token() -> None:
    counts = np.array([[9, 1, 0, 0]])
    measured = np.array([[False, True, True, True]])
    assert unit_means().encode(counts, measured, ABCD, 3).tolist() == [[B, 0, 0]]


def test_gene_outside_the_vocabulary_is_left_out() -> None:
    counts = np.array([[9, 1]])
    assert unit_means().encode(counts, all_measured(counts), ("X", "B"), 2).tolist() == [[B, 0]]


def test_no_known_gene_is_an_error() -> None:
    with pytest.raises(ValueError, match="none of 1 genes"):
        RankTokeniser.fit(np.ones((1, 1), dtype=int), np.ones((1, 1), dtype=bool), ("X",), Vocabulary.of(ABCD))


def test_empty_cell_and_cut_to_length() -> None:
    counts = np.array([[0, 0, 0, 0], [4, 3, 2, 1]])
    assert unit_means().encode(counts, all_measured(counts), ABCD, 2).tolist() == [[0, 0], [A, B]]


def test_sequence_has_three_metadata_tokens_and_counts_them() -> None:
    assert CONTEXT_TOKENS == (SPATIAL, XENIUM, HUMAN) == (4, 9, 5)
    genes = np.array([[A, B, C, D], [A, 0, 0, 0]])
    assert cell_sequence(genes, 5).tolist() == [[4, 9, 5, A, B], [4, 9, 5, A, PAD]]


def test_sequence_longer_than_the_genes_is_padded() -> None:
    assert cell_sequence(np.array([[A]]), 6).tolist() == [[4, 9, 5, A, PAD, PAD]]


def by_the_book(counts: np.ndarray, means: np.ndarray, length: int) -> list[list[int]]:
    """The definition, a cell at a time."""
    answer = []
    for cell in counts:
        present = [(-cell[g] / means[g], FIRST_GENE + g) for g in range(len(cell)) if cell[g] > 0]
        ids = [token for _, token in sorted(present)][:length]
        answer.append(ids + [0] * (length - len(ids)))
    return answer


@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_agrees_with_the_definition_and_with_other_row_chunks(seed: int, genes: int, length: int) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.poisson(1.0, (17, genes))
    means = rng.choice([1.0, 2.0, 4.0], genes)
    names = tuple(f"G{i:02d}" for i in range(genes))
    tokeniser = RankTokeniser(Vocabulary.of(names), means)
    tokens = tokeniser.encode(counts, all_measured(counts), names, length)
    assert tokens.tolist() == by_the_book(counts, means, length)
    parts = [tokeniser.encode(part, all_measured(part), names, length) for part in np.array_split(counts, 3)]
    np.testing.assert_array_equal(np.concatenate(parts), tokens)


@given(st.integers(0, 10_000), st.integers(2, 7))
@settings(max_examples=20, deadline=None)
def test_order_does_not_depend_on_library_size(seed: int, factor: int) -> None:
    counts = np.random.default_rng(seed).poisson(2.0, (5, 4))
    tokeniser = unit_means()
    np.testing.assert_array_equal(
        tokeniser.encode(counts * factor, all_measured(counts), ABCD, 4),
        tokeniser.encode(counts, all_measured(counts), ABCD, 4),
    )
