"""An option of a manifest that holds several names."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from protocols.errors import UserError
from protocols.expression.cohort import SlideEntry
from protocols.readers import checks

FILE = (".txt", ".csv", ".tsv")


def option_names(entry: SlideEntry, name: str, root: Path) -> tuple[str, ...]:
    """Names split by ``;`` or ``|``, or the lines of a text file below ``root``; none where it is not given."""
    text = entry.options.get(name, "").strip()
    if not text.endswith(FILE):
        return tuple(filter(None, (one.strip() for one in re.split("[;|]", text))))
    if PurePosixPath(text).is_absolute() or "\\" in text or ".." in PurePosixPath(text).parts:
        raise UserError(
            f"option {name} is {text!r}", where=f"slide {entry.slide}", expected="a file below the cohort's root",
            remedy="move it there, or list the names with ;",
        )  # fmt: skip
    path = checks.require_file(root / text, name)
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    found = tuple(line.strip() for line in lines if line.strip())
    if not found:
        raise UserError("the file names nothing", where=path, expected="one name a line", remedy="fill it in")
    return found
