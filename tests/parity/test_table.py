"""docs/parity.md shows every system that a test holds against its vectors, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from tests.parity.table import systems_listed
from tests.parity.vectors import FOLDER, read

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "parity.md"


def read_by_tests() -> set[str]:
    """Names of vectors whose file some parity test reads: in full, or by the part of an f-string that is fixed."""
    text = "\n".join(
        path.read_text(encoding="utf-8") for path in HERE.glob("test_*.py") if path.name != "test_table.py"
    )
    patterns = [re.sub(r"\{[^}]*\}", ".*", name) for name in re.findall(r"\bread\(f?\"([^\"]+)\"\)", text)]
    stored = {path.stem for path in FOLDER.glob("*.json")}
    return {name for name in stored if any(re.fullmatch(pattern, name) for pattern in patterns)}


def test_every_file_of_vectors_is_read_by_a_test() -> None:
    assert read_by_tests() == {path.stem for path in FOLDER.glob("*.json")}


def test_the_page_lists_what_is_tested_and_nothing_else() -> None:
    listed = systems_listed(PAGE.read_text(encoding="utf-8"))
    assert len(listed) == len(set(listed))
    assert set(listed) == read_by_tests()


def test_the_page_names_each_system_as_its_file_does() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    for name in read_by_tests():
        assert any(line.startswith(f"| {read(name).system} | `{name}` |") for line in lines), name


def test_no_difference_on_the_page_is_over_its_tolerance() -> None:
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("| ") and "`" in line:
            difference, tolerance = (float(cell) for cell in line.strip("| ").split("|")[2:])
            assert difference <= tolerance, line
