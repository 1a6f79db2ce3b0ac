"""Rank tokens: a cell as the list of its genes, the most over-expressed first.

Nicheformer's scheme as PAST uses it: counts scaled to 10,000 a cell, divided by each gene's mean over the cells that
express it, sorted in descending order. Only the order enters, so no logarithm is needed. Differences from the
released pipeline, each because of a known fault of it: the means come from the training data (the shipped table has
no value for most genes of newer panels, which then jump to the top ranks), ties are broken by gene id (its sort is
unstable), and a gene that was not measured can never become a token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RAW_PAD, PAD, CLS = 0, 1, 2
SPATIAL, HUMAN, XENIUM = 4, 5, 9
CONTEXT_TOKENS = (SPATIAL, XENIUM, HUMAN)
"""Modality, assay, species: the order of the released code (the paper's equation and prose give two others)."""
FIRST_GENE = 30
TOKENS_BEYOND_GENES = FIRST_GENE + 5
"""Rows of the embedding table beyond one a gene: reserved ids, and five spare rows of the released table."""
FALLBACK_MEAN = 143.0
"""Non-zero mean for a gene never seen when no other gene was seen either (Nicheformer's median over Xenium genes)."""
SCALE = 10_000.0
ROWS_AT_ONCE = 8192

Tokens = NDArray[np.int64]


@dataclass(frozen=True)
class Vocabulary:
    """Gene names in the order of their ids: gene ``i`` has id ``30 + i``."""

    genes: tuple[str, ...]

    @classmethod
    def of(cls, genes: Sequence[str]) -> Vocabulary:
        """The sorted vocabulary of the gene names given (duplicates are an error)."""
        if len(set(genes)) != len(genes):
            raise ValueError("a gene name occurs twice; expected unique names")
        return cls(tuple(sorted(genes)))

    @property
    def table_rows(self) -> int:
        """Rows of the token embedding table (20,345 for Nicheformer's 20,310 genes)."""
        return len(self.genes) + TOKENS_BEYOND_GENES

    def ids(self, genes: Sequence[str]) -> Tokens:
        """Token ids of ``genes``; -1 where the vocabulary lacks the name."""
        place = {gene: FIRST_GENE + i for i, gene in enumerate(self.genes)}
        return np.array([place.get(gene, -1) for gene in genes], dtype=np.int64)


@dataclass(frozen=True)
class RankTokeniser:
    """A vocabulary with one non-zero mean a gene, estimated on training data.

    ``means`` is float64 ``(len(vocabulary.genes),)``. A gene never expressed in the training data takes the median of
    the known means: it then ranks as an average gene does instead of at the top (divided by 1) or nowhere.
    """

    vocabulary: Vocabulary
    means: NDArray[np.float64]

    @classmethod
    def fit(
        cls,
        counts: NDArray[np.integer],
        measured: NDArray[np.bool_],
        genes: Sequence[str],
        vocabulary: Vocabulary | None = None,
    ) -> RankTokeniser:
        """Estimate the means from raw counts ``(n, genes)`` and the mask of measured entries.

        Raises ValueError when no gene is in the vocabulary.
        """
        vocabulary = vocabulary or Vocabulary.of(genes)
        ids = vocabulary.ids(genes)
        if not (ids >= 0).any():
            raise ValueError(
                f"none of {len(genes)} genes is in the vocabulary; expected names like {vocabulary.genes[0]}"
            )
        counted = np.where(measured, counts, 0)
        factor = SCALE / np.maximum(counted.sum(axis=1, dtype=np.float64), 1.0)
        total = factor @ counted
        expressing = (counted > 0).sum(axis=0)
        known = (expressing > 0) & (ids >= 0)
        fallback = float(np.median(total[known] / expressing[known])) if known.any() else FALLBACK_MEAN
        means = np.full(len(vocabulary.genes), fallback)
        means[ids[known] - FIRST_GENE] = total[known] / expressing[known]
        return cls(vocabulary, means)

    def encode(
        self, counts: NDArray[np.integer], measured: NDArray[np.bool_], genes: Sequence[str], length: int
    ) -> Tokens:
        """Gene tokens int64 ``(n, length)``, most over-expressed first, padded with 0 on the right.

        Equal values are ordered by id. Genes outside the vocabulary, unmeasured or with no count give no token.
        """
        ids = self.vocabulary.ids(genes)
        column = np.flatnonzero(ids >= 0)
        column = column[np.argsort(ids[column], kind="stable")]
        parts = [np.empty((0, length), dtype=np.int64)]
        for start in range(0, len(counts), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            parts.append(self._encode(counts[rows][:, column], measured[rows][:, column], ids[column], length))
        return np.concatenate(parts)

    def _encode(self, counts: NDArray[np.integer], measured: NDArray[np.bool_], ids: Tokens, length: int) -> Tokens:
        """:meth:`encode` for genes of the vocabulary in ascending order of their ids."""
        present = (counts > 0) & measured
        # The cell's library size divides all its genes alike and cannot change their order.
        level = np.where(present, counts / self.means[ids - FIRST_GENE], 0.0)
        order = np.argsort(-level, axis=1, kind="stable")[:, :length]
        tokens = np.zeros((len(counts), length), dtype=np.int64)
        tokens[:, : order.shape[1]] = np.where(np.take_along_axis(present, order, axis=1), ids[order], RAW_PAD)
        return tokens


def cell_sequence(gene_tokens: Tokens, context_length: int) -> Tokens:
    """``[modality, assay, species, genes...]`` cut to ``context_length`` in total, padding as id 1.

    ``gene_tokens`` is ``(n, any)`` as :meth:`RankTokeniser.encode` gives them; the result ``(n, context_length)``.
    """
    sequence = np.full((len(gene_tokens), context_length), PAD, dtype=np.int64)
    sequence[:, : len(CONTEXT_TOKENS)] = CONTEXT_TOKENS
    kept = gene_tokens[:, : context_length - len(CONTEXT_TOKENS)]
    sequence[:, len(CONTEXT_TOKENS) : len(CONTEXT_TOKENS) + kept.shape[1]] = np.where(kept == RAW_PAD, PAD, kept)
    return sequence
