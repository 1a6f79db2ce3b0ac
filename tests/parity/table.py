"""The table of the parity suite: systems, the largest difference met, and the tolerance that it stayed under.

    SLIDE2OMICS_PARITY_ROWS=folder pytest tests/parity && python -m tests.parity.table folder

Each process of a test run writes what it met to a file of its own, so that parallel runs do not write over each
other; the command puts the files together.
"""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

FOLDER_VARIABLE = "SLIDE2OMICS_PARITY_ROWS"
HEADER = "| system | vectors | largest difference | tolerance |\n|---|---|---|---|"


@dataclass(frozen=True)
class Row:
    """One comparison of one tensor."""

    vectors: str
    system: str
    what: str
    difference: float
    tolerance: float


_met: list[Row] = []


def note(vectors: str, system: str, what: str, difference: float, tolerance: float) -> None:
    """Keep one comparison for the table; nothing is written unless the folder is named in the environment."""
    folder = os.environ.get(FOLDER_VARIABLE)
    if folder:
        _met.append(Row(vectors, system, what, difference, tolerance))
        Path(folder).mkdir(parents=True, exist_ok=True)
        rows = json.dumps([asdict(row) for row in _met], indent=1)
        (Path(folder) / f"rows-{os.getpid()}.json").write_text(rows, encoding="utf-8")


def read_rows(folder: Path) -> list[Row]:
    return [
        Row(**row)
        for path in sorted(folder.glob("rows-*.json"))
        for row in json.loads(path.read_text(encoding="utf-8"))
    ]


def closest(rows: Sequence[Row]) -> Row:
    """The comparison that came nearest to its tolerance; where nothing differs, one of the widest tolerance."""
    return max(
        rows, key=lambda row: (row.difference / row.tolerance if row.tolerance else row.difference, row.tolerance)
    )


def table(rows: Sequence[Row]) -> str:
    """One Markdown line for each file of vectors: of its comparisons the one that came nearest to its tolerance."""
    by_file: dict[str, list[Row]] = {}
    for row in rows:
        by_file.setdefault(row.vectors, []).append(row)
    lines = [_line(closest(found)) for _, found in sorted(by_file.items())]
    return "\n".join([HEADER, *lines])


def _line(row: Row) -> str:
    return f"| {row.system} | `{row.vectors}` | {row.difference:.1e} | {row.tolerance:.0e} |"


def systems_listed(text: str) -> list[str]:
    """The vectors named in the second column of such a table."""
    cells = [line.split("|")[2].strip() for line in text.splitlines() if line.startswith("| ") and line.count("|") == 5]
    return [cell.strip("`") for cell in cells if cell.startswith("`")]


if __name__ == "__main__":
    print(table(read_rows(Path(sys.argv[1]))))
