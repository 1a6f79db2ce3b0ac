"""Tables handed in: names stay as they were written, and a hole among numbers is still a hole."""

from __future__ import annotations

from pathlib import Path

import pytest

from suite.engine.submit import IDS, read_table


@pytest.mark.parametrize("name", ["0012", "1e5", "NA", "nan", "null", "1.0"])
@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_a_name_that_looks_like_something_else_stays_text(tmp_path: Path, name: str, suffix: str) -> None:
    import pandas as pd

    path = tmp_path / f"table{suffix}"
    pd.DataFrame({"slide": [name, "b"], "risk": ["NA", "1.5"]}).to_csv(path, index=False)
    found = read_table(path, IDS)
    assert found["slide"].tolist() == [name, "b"]
    assert found["risk"].isna().tolist() == [True, False]
    assert found["risk"].iloc[1] == 1.5


def test_an_empty_name_is_a_hole(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("slide,risk\n,1\n")
    assert read_table(tmp_path / "t.csv", IDS)["slide"].isna().all()
