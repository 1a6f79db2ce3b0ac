"""The record of a stored cohort, ``cohort.json``: each task's store says what is in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from protocols.errors import UserError

COHORT_FILE = "cohort.json"


def read_cohort_file(folder: Path) -> dict[str, Any]:
    path = folder / COHORT_FILE
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            "no cohort here", where=path, expected="a stored cohort", remedy="run `dvc repro read`"
        ) from None
    return found
