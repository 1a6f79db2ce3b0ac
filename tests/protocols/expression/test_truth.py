"""A phantom's truth: by cell and in the order asked for, and refused where it belongs to another cohort."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from protocols.errors import UserError
from protocols.expression.score_board import reachable
from protocols.expression.truth import CELLS, of_cells, of_genes
from tests.cohorts import SlideSpec, store_of


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    (tmp_path / CELLS).mkdir()
    told = pd.DataFrame({"cell_id": ["a", "b", "c"], "cell_type": ["x", "y", "z"], "other": [1, 2, 3]})
    told.to_parquet(tmp_path / CELLS / "s1.parquet")
    return tmp_path


def test_rows_come_in_the_order_of_the_cells(truth: Path) -> None:
    found = of_cells(truth, CELLS, "s1", np.array(["c", "a", "c"]), ["cell_type"])
    assert found["cell_type"].tolist() == ["z", "x", "z"]
    assert list(found.columns) == ["cell_type"]


def test_the_truth_of_another_cohort_is_refused(truth: Path) -> None:
    with pytest.raises(UserError, match=r"no truth for 1 of 2 cells, first 'd'.*this very cohort"):
        of_cells(truth, CELLS, "s1", np.array(["a", "d"]), ["cell_type"])


@pytest.mark.parametrize(
    ("slide", "message"),
    [("s2", "the truth file is missing"), ("../cells/s1", "is no plain name"), ("", "is empty")],
)
def test_a_slide_is_no_path(truth: Path, slide: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        of_cells(truth, CELLS, slide, np.array(["a"]), ["cell_type"])


def test_genes_are_those_of_the_cohorts_slides(truth: Path, tmp_path: Path) -> None:
    store = store_of([SlideSpec("s1", "p1", "x")], tmp_path / "cohort")
    with pytest.raises(UserError, match="the truth file is missing"):
        of_genes(truth)
    told = {"slide": ["s1", "s9"], "gene": ["A", "A"], "visible_share": [0.5, 1.0], "reachable_r": [0.25, 1.0]}
    pd.DataFrame(told).to_parquet(truth / "genes.parquet")
    assert reachable(store, truth) == {("s1", "A"): (0.5, 0.25)}
    assert reachable(store, None) is None
