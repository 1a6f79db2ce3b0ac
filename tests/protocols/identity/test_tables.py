"""Sketches of tables: what a copy may change without being taken for another table, and what two people never share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse

from protocols.identity.evidence import MIDDLE
from protocols.identity.tables import (
    CELLS,
    COMMON,
    FEWEST_GENES,
    PATIENT,
    SKETCH,
    SameTable,
    same_tables,
    sketch_of_counts,
    sketches_of_rows,
)
from protocols.settings import LOOK_ALIKES

GENES = [f"G{k}" for k in range(60)]
Counts = NDArray[np.int64]


def counts(seed: int, cells: int = 800) -> Counts:
    rng = np.random.default_rng(seed)
    return rng.poisson(rng.gamma(2.0, 0.5, (1, len(GENES))) * rng.gamma(4.0, 0.25, (cells, 1)), (cells, len(GENES)))


def pairs(*tables: tuple[Counts, list[str]]) -> list[tuple[int, int]]:
    sketches = [sketch_of_counts(sparse.csr_matrix(values), genes) for values, genes in tables]
    return [(one.first, one.second) for one in same_tables(sketches, CELLS)]


def test_order_of_rows_and_columns_and_further_genes_say_nothing() -> None:
    values, rng = counts(0), np.random.default_rng(9)
    turned = values[rng.permutation(len(values))]
    order = rng.permutation(len(GENES))
    wider = np.concatenate([values, np.zeros((len(values), 3), dtype=np.int64)], axis=1)
    assert pairs((values, GENES), (turned[:, order], [GENES[k] for k in order])) == [(0, 1)]
    assert pairs((values, GENES), (wider, [*GENES, "X", "Y", "Z"])) == [(0, 1)]


@pytest.mark.parametrize("copied", [400, 80])
def test_a_copied_part_is_found(copied: int) -> None:
    mixed = np.concatenate([counts(0)[:copied], counts(1)])
    assert pairs((counts(0), GENES), (mixed, GENES), (counts(2), GENES)) == [(0, 1)]


def test_other_people_of_one_panel_are_not_accused() -> None:
    """Four hundred tables with the same genes and rates: no pair."""
    assert pairs(*((counts(0, 100)[:, np.random.default_rng(k).permutation(60)], GENES) for k in range(200))) == []
    assert pairs(*((counts(k, 100), GENES) for k in range(200))) == []


def test_other_names_of_genes_are_another_table_and_sparse_cells_say_nothing() -> None:
    assert pairs((counts(0), GENES), (counts(0), [name.lower() for name in GENES])) == []
    assert len(sketch_of_counts(sparse.csr_matrix(np.eye(60, dtype=np.int64)), GENES)) == 0
    assert len(sketch_of_counts(sparse.csr_matrix(np.zeros((0, 60), dtype=np.int64)), GENES)) == 0
    assert len(sketch_of_counts(sparse.csr_matrix(counts(0)), GENES)) == SKETCH


def patients(seed: int, n: int = 200, columns: int = 40) -> NDArray[np.float32]:
    """Scores by gene, a third of them "not expressed": the same number for everybody."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, columns))
    values[:, : columns // 3] = np.where(values[:, : columns // 3] > 0.5, values[:, : columns // 3], -0.4123)
    return np.concatenate([values, rng.integers(0, 5, (n, 10))], axis=1).astype(np.float32)


NAMES = [f"G{k}_rnaseq" for k in range(40)] + [f"M{k}_mut" for k in range(10)]


def test_patients_written_twice_are_found_however_they_are_written() -> None:
    values, rng = patients(0), np.random.default_rng(3)
    order = rng.permutation(len(NAMES))
    again = values[:100][:, order]
    names = [NAMES[k] for k in order]
    own = sketches_of_rows(values, NAMES)
    for copy, columns in (
        (again, names),
        (np.char.mod("%.4g", again).astype(np.float32), names),
        (again[:, :30], names[:30]),
    ):
        found = same_tables([*own, *sketches_of_rows(copy, columns)], PATIENT)
        assert [(one.first, one.second) for one in found] == [(k, 200 + k) for k in range(100)]


def test_people_who_share_small_numbers_and_missing_genes_are_not_accused() -> None:
    assert same_tables(sketches_of_rows(patients(0, 2000), NAMES), PATIENT) == []


def test_a_row_that_says_little_says_nothing() -> None:
    values = patients(0, 3)
    values[0, :35] = np.nan
    assert [len(one) > 0 for one in sketches_of_rows(values, NAMES)] == [False, True, True]
    ages = np.array([[63.0, 1, 2, 3, 0, 1, 0, 2, 1, 4]] * 2, dtype=np.float32)
    assert same_tables(sketches_of_rows(ages, NAMES[40:]), PATIENT) == []


def test_many_copies_of_one_table_are_found_though_each_token_is_common() -> None:
    found = same_tables(sketches_of_rows(np.repeat(patients(0, 1), 120, axis=0), NAMES), PATIENT)
    assert found[0] == SameTable(0, 1, found[0].shared, found[0].shared)
    assert len(found) == 119


def test_the_page_states_the_numbers_of_the_code() -> None:
    told = (Path(__file__).parents[3] / "docs/audit.md").read_text(encoding="utf-8")
    for said in (
        f"the {SKETCH} smallest hashes",
        f"if it expresses {FEWEST_GENES} genes or more",
        f"more than {COMMON} people",
        f"{MIDDLE} × {MIDDLE}",
        f"({LOOK_ALIKES:,})",
    ):
        assert said in told, said
    assert (CELLS.fewest, PATIENT.fewest, PATIENT.share) == (4, 8, 0.5), "in words on the page"
