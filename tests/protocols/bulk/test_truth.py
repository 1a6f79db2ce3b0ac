"""What a phantom knows is read in the order asked for, and the truth of another cohort is refused."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from protocols.bulk import truth
from protocols.errors import UserError


@pytest.fixture
def patients(tmp_path: Path) -> Path:
    path = tmp_path / "oracle.parquet"
    pd.DataFrame({"patient": ["b", "a"], "G0": [1.0, 2.0], "G1": [3.0, 4.0]}).to_parquet(path)
    return path


def test_patients_repeat_and_genes_come_in_the_order_asked_for(patients: Path) -> None:
    found = truth.of_patients(patients, ("a", "b", "a"), ("G1", "G0"))
    assert found.to_numpy().tolist() == [[4, 2], [3, 1], [4, 2]]


def test_another_cohorts_truth_is_refused(patients: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no truth for 2 of 3 patients, first c.*this very cohort"):
        truth.of_patients(patients, ("a", "d", "c"), ("G0",))
    with pytest.raises(UserError, match="no column 'G2'"):
        truth.of_patients(patients, ("a",), ("G2",))
    with pytest.raises(UserError, match="truth file is missing"):
        truth.of_patients(tmp_path / "gone.parquet", ("a",), ("G0",))


def test_sections_and_genes(tmp_path: Path) -> None:
    (tmp_path / "sections").mkdir()
    pd.DataFrame({"x_um": [1.0], "y_um": [2.0], "kind": [0], "look_0": [0.5]}).to_parquet(
        tmp_path / "sections" / "one.parquet"
    )
    law = pd.DataFrame({"gene": ["G0", "G1"], "visible_share": [0.0, 0.4], "kind_0": [1.0, 2.0], "look_0": [3.0, 4.0]})
    law.to_parquet(tmp_path / "section_loadings.parquet")
    assert truth.of_section(tmp_path, "one")["look_0"].tolist() == [0.5]
    assert truth.of_genes(tmp_path, ("G1", "G0"))["kind_0"].tolist() == [2, 1]
    with pytest.raises(UserError, match="no truth for 1 of 1 genes, first G9"):
        truth.of_genes(tmp_path, ("G9",))
    with pytest.raises(UserError, match="is no plain name"):
        truth.of_section(tmp_path, "../one")
    (tmp_path / "sections" / "one.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(UserError, match="truncated or damaged"):
        truth.of_section(tmp_path, "one")
