"""The boards that the documents print are those of the run: a row's headline, its model and its place among the boards.

Trained networks end elsewhere on another machine; seen so far were .006 of an r or a C-index and .3 dB. Three times as
much is allowed, so a table of other code, data or settings does not pass as this run's.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from protocols.records import ScoreRecord
from suite.places import score_folder

ROOT = Path(__file__).resolve().parents[1]
ROW = re.compile(r"^\| `(?P<model>\w+)` \| (?P<cells>.+) \|$")
TABLES = {
    "survival.md": ("tcga_survival", "average", 0.02),
    "ihc.md": ("ihc4bc", "phantom_exact_ER", 1.0),
    "bulk.md": ("tcga_expression", "average", 0.02),
}
"""Page to the first table under its heading: protocol, the board of the first column, what may differ."""


def rows(page: str) -> dict[str, float]:
    """Model to the first number of its row."""
    lines = (
        (ROOT / "docs" / page).read_text(encoding="utf-8").partition("## What the default run shows")[2].splitlines()
    )
    start = next(number for number, line in enumerate(lines) if line.startswith("| model |"))
    found = {}
    for line in lines[start + 2 :]:
        row = ROW.match(line)
        if row is None:
            break
        found[row["model"]] = float(row["cells"].split()[0])
    return found


@pytest.mark.parametrize("page", TABLES)
def test_a_printed_board_is_the_runs(page: str, records: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    protocol, board, allowed = TABLES[page]
    said = rows(page)
    assert len(said) >= 10
    folder = score_folder(protocol, board, "*", 0).parent.parent
    asked = {path.parent.name: ScoreRecord.read(path) for path in folder.glob("*/seed0")}
    assert set(said) == {model for model, record in asked.items() if record.status == "scored"}
    for model, number in said.items():
        assert asked[model].headline.mean == pytest.approx(number, abs=allowed), model
