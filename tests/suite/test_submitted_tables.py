"""Tables handed in, of any task: names stay as they were written, and a hole among numbers is still a hole."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from suite.submissions import read_table


@pytest.mark.parametrize("column", ["cohort", "fold", "model", "slide", "section", "patient", "cell_id"])
@pytest.mark.parametrize("name", ["0012", "1e5", "NA", "nan", "1.0"])
def test_a_name_that_looks_like_a_number_or_a_hole_stays_text(tmp_path: Path, column: str, name: str) -> None:
    (tmp_path / "t.csv").write_text(f"{column},risk\n{name},NA\nb,1.5\n")
    found = read_table(tmp_path / "t.csv")
    assert found[column].tolist() == [name, "b"]
    assert found["risk"].isna().tolist() == [True, False]
    assert found["risk"].iloc[1] == 1.5


def test_a_compressed_table_is_read_alike(tmp_path: Path) -> None:
    pd.DataFrame({"slide": ["0012"], "g": [0.1]}).to_csv(tmp_path / "t.csv.gz", index=False)
    assert read_table(tmp_path / "t.csv.gz")["slide"].tolist() == ["0012"]


def test_an_empty_name_is_a_hole(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("slide,risk\n,1\n")
    assert read_table(tmp_path / "t.csv")["slide"].isna().all()
