"""Tables handed in, of any task: names stay as they were written, and a hole among numbers is still a hole."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from protocols.registry import load_task, task_modules
from protocols.survival import submit as survival
from suite.engine.submit import names_in, read_table

COLUMNS = [
    (name, column) for name in task_modules() if not load_task(name).by_folder for column in names_in(load_task(name))
]


@pytest.mark.parametrize(("task", "column"), COLUMNS)
@pytest.mark.parametrize("name", ["0012", "1e5", "NA", "1.0"])
def test_a_name_that_looks_like_a_number_or_a_hole_stays_text(
    tmp_path: Path, task: str, column: str, name: str
) -> None:
    (tmp_path / "t.csv").write_text(f"{column},risk\n{name},NA\nb,1.5\n")
    found = read_table(tmp_path / "t.csv", names_in(load_task(task)))
    assert found[column].tolist() == [name, "b"]
    assert found["risk"].isna().tolist() == [True, False]
    assert found["risk"].iloc[1] == 1.5


@pytest.mark.parametrize(
    ("task", "columns"),
    [
        ("expression", {"cohort", "fold", "model", "slide", "cell_id"}),
        ("survival", {"cohort", "fold", "model", "patient", "case_id"}),
        ("bulk", {"cohort", "fold", "model", "slide", "patient", "section"}),
        ("response", {"cohort", "fold", "model", "patient"}),
    ],
)
def test_every_column_of_names_is_declared(task: str, columns: set[str]) -> None:
    assert set(names_in(load_task(task))) == columns


def test_so_is_every_name_that_a_published_table_of_risks_may_use() -> None:
    """What survival's tables call a patient elsewhere is a name here, too; what they call a risk is a number."""
    other = {old for old, new in survival.SAME_AS.items() if new != "risk"}
    assert {*survival.COLUMNS, *other} - {"risk"} <= set(names_in(load_task("survival")))
    assert not {"risk", "risk_score"} & set(names_in(load_task("survival")))


def test_a_compressed_table_is_read_alike(tmp_path: Path) -> None:
    pd.DataFrame({"slide": ["0012"], "g": [0.1]}).to_csv(tmp_path / "t.csv.gz", index=False)
    assert read_table(tmp_path / "t.csv.gz", ["slide"])["slide"].tolist() == ["0012"]


def test_an_empty_name_is_a_hole(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("slide,risk\n,1\n")
    assert read_table(tmp_path / "t.csv", ["slide"])["slide"].isna().all()
