"""What a table of counts or targets is recognised by: a small sketch of tokens, whatever the order of rows and columns,
the file format, the unit ids or the panel around them.

A token stands for something that two people do not share: the whole profile of a cell, or one measured value of a
patient. A sketch is the smallest hashes of all tokens (a bottom-k sketch), so two sketches meet in the same places of
what their tables have in common, and a part that was copied shows, too.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Tokens = NDArray[np.uint64]
"""Sorted, each once."""
SKETCH = 256
FEWEST_GENES = 16
"""Genes that a cell must express for its profile to be its own: sparser cells of two people may well agree."""
FEWEST_VALUES = 8
"""Measured values that a patient must have."""
_ROWS_AT_ONCE = 50_000
COMMON = 50
"""A token of more tables than this (a value that stands for "not expressed") is nobody's."""


@dataclass(frozen=True)
class Sameness:
    """From when on two sketches are of one table: so many common tokens, and such a share of those comparable."""

    fewest: int
    share: float


CELLS = Sameness(fewest=4, share=0.0)
"""Of cells a few are enough: no two cells of two people agree in every gene."""
PATIENT = Sameness(fewest=FEWEST_VALUES, share=0.5)
"""Of single values some agree by chance; of one patient's, written twice, nearly all."""


@dataclass(frozen=True)
class SameTable:
    """Places of two tables, first < second, and how many of the comparable tokens they share."""

    first: int
    second: int
    shared: int
    comparable: int


def nothing() -> Tokens:
    return np.zeros(0, dtype=np.uint64)


def sketch_of_counts(counts: sparse.csr_matrix, genes: Sequence[str]) -> Tokens:
    """A token a row with :data:`FEWEST_GENES` genes or more: of its non-zero (gene, count) pairs, so a gene that is
    nowhere expressed changes nothing."""
    rows = sparse.csr_matrix(counts, copy=True)
    rows.sum_duplicates()
    rows.eliminate_zeros()
    expressed = np.diff(rows.indptr)
    if not rows.nnz or expressed.max() < FEWEST_GENES:
        return nothing()
    pairs = _mixed(_names(genes)[rows.indices] ^ _mixed(rows.data.astype(np.int64).view(np.uint64)))
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(pairs, dtype=np.uint64)])  # wraps around, as it may
    return _smallest(_mixed(sums[rows.indptr[1:]] - sums[rows.indptr[:-1]])[expressed >= FEWEST_GENES])


def sketches_of_rows(values: NDArray[np.float32], columns: Sequence[str]) -> list[Tokens]:
    """A sketch a row; a token a (column, value to three digits). Small whole numbers (a stage, a mutation, an age in
    years) are left out, since people share them; a row that says less than :data:`FEWEST_VALUES` says nothing."""
    names = _names(columns)
    found = []
    for row in np.asarray(values, dtype=np.float64):
        own = np.isfinite(row) & ~((row == np.round(row)) & (np.abs(row) < 100))
        if len(np.unique(row[own])) < FEWEST_VALUES:
            found.append(nothing())
            continue
        power = np.floor(np.log10(np.abs(row[own])))
        digits = np.round(row[own] / 10.0 ** (power - 2)).astype(np.int64)
        value = _mixed(digits.view(np.uint64)) ^ power.astype(np.int64).view(np.uint64)
        found.append(_smallest(_mixed(names[own] ^ _mixed(value))))
    return found


def sketch_of_intensities(values: NDArray[np.float32], markers: Sequence[str]) -> Tokens:
    """A token a row ``(n, markers)``: of its (marker, value to three digits) pairs, whatever the columns' order.

    Zeros and small whole numbers say nothing, as in :func:`sketches_of_rows`; nor does a row of fewer than
    :data:`FEWEST_VALUES` different values left.
    """
    names, found = _names(markers), [nothing()]
    for start in range(0, len(values), _ROWS_AT_ONCE):
        block = np.asarray(values[start : start + _ROWS_AT_ONCE], dtype=np.float64)
        own = np.isfinite(block) & ~((block == np.round(block)) & (np.abs(block) < 100))
        size = np.where(own, np.abs(block), 1.0)
        power = np.floor(np.log10(size))
        digits = np.round(np.where(own, block, 1.0) / 10.0 ** (power - 2)).astype(np.int64)
        value = _mixed(digits.view(np.uint64)) ^ power.astype(np.int64).view(np.uint64)
        pairs = np.where(own, _mixed(names[None, :] ^ _mixed(value)), np.uint64(0))
        ordered = np.sort(np.where(own, value, np.uint64(0)), axis=1)
        different = 1 + (np.diff(ordered, axis=1) != 0).sum(axis=1) - ~own.all(axis=1)
        row = _mixed(pairs.sum(axis=1, dtype=np.uint64))  # wraps around, as it may
        found.append(_smallest(row[different >= FEWEST_VALUES]))
    return _smallest(np.concatenate(found))


def same_tables(sketches: Sequence[Tokens], sameness: Sameness) -> list[SameTable]:
    """Every pair of sketches of one table, sorted. Equal ones are told with the first of them alone."""
    first_of: dict[bytes, int] = {}
    found = []
    for place, tokens in enumerate(sketches):
        if len(tokens) >= sameness.fewest:
            first = first_of.setdefault(tokens.tobytes(), place)
            if first != place:
                found.append(SameTable(first, place, len(tokens), len(tokens)))
    places = list(first_of.values())
    own = _without_common([sketches[place] for place in places])
    for (one, other), shared in sorted(_shared(own).items()):
        comparable = _comparable(own[one], own[other], sketches[places[one]], sketches[places[other]])
        if shared >= sameness.fewest and shared >= sameness.share * comparable:
            found.append(SameTable(places[one], places[other], shared, comparable))
    return sorted(found, key=lambda pair: (pair.first, pair.second))


def _without_common(sketches: Sequence[Tokens]) -> list[Tokens]:
    if not sketches:
        return []
    tokens, times = np.unique(np.concatenate(sketches), return_counts=True)
    return [np.setdiff1d(one, tokens[times > COMMON], assume_unique=True) for one in sketches]


def _shared(sketches: Sequence[Tokens]) -> Counter[tuple[int, int]]:
    """Pairs of places (ascending) to how many tokens they share."""
    token = np.concatenate([nothing(), *sketches])
    owner = np.repeat(np.arange(len(sketches)), [len(one) for one in sketches])
    order = np.lexsort((owner, token))
    token, owner = token[order], owner[order]
    _, starts, times = np.unique(token, return_index=True, return_counts=True)
    counted: Counter[tuple[int, int]] = Counter()
    for start, number in zip(starts[times > 1], times[times > 1], strict=True):
        counted.update(combinations(owner[start : start + number].tolist(), 2))
    return counted


def _comparable(one: Tokens, other: Tokens, whole: Tokens, whole_other: Tokens) -> int:
    """Tokens of the poorer sketch in the range where both are complete: a full sketch ends where its table goes on."""
    ends = [tokens[-1] for tokens in (whole, whole_other) if len(tokens) == SKETCH]
    if not ends:
        return min(len(one), len(other))
    return int(min(np.searchsorted(tokens, min(ends), side="right") for tokens in (one, other)))


def _smallest(tokens: Tokens) -> Tokens:
    return np.unique(tokens)[:SKETCH]


def _names(names: Sequence[str]) -> Tokens:
    digests = (hashlib.blake2b(str(name).encode(), digest_size=8).digest() for name in names)
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


def _mixed(values: Tokens) -> Tokens:
    """SplitMix64's finaliser (Steele, Lea and Flood 2014): every bit of the result depends on every bit given."""
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
