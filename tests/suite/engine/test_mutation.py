"""An edit of a file that a process really imported moves the key of its result; an edit of any other moves none."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import Any

import pytest

from suite.engine.closure import FLOORS
from tests.suite.engine.small_run import PROTOCOLS, SmallRun
from tests.suite.engine_run import ROOT


@pytest.fixture(scope="module")
def told(finished: SmallRun, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What every edit moved, in a copy of the tree."""
    copy = tmp_path_factory.mktemp("tree")
    for floor in (*FLOORS, "tests"):
        shutil.copytree(ROOT / floor, copy / floor, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(ROOT / "params.yaml", copy)
    command = [sys.executable, "-m", "tests.suite.engine.mutation_process", str(finished.folder)]
    made = subprocess.run(
        command, cwd=copy, env={**os.environ, "PYTHONPATH": str(copy)}, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    found: dict[str, Any] = json.loads(made.stdout)
    return found


def cells_of(kind: str, cells: list[str]) -> list[str]:
    """The cells of plan whose result a process of this kind made."""
    what, name, *model = kind.split()
    if what == "read":  # the task's first cohort had a process of its own, and its reader need not be another's
        return [cell for cell in cells if cell.startswith(f"read {name}/")][:1]
    if what == "ask":
        return [cell for cell in cells if cell == f"ask {name}"]
    if what == "fit":
        return [c for c in cells if c.startswith(f"predict {name}/") and c.split("/")[2] == model[0]]
    return [cell for cell in cells if what == "score" and cell.startswith(f"score {name}/") and "average" not in cell]


def test_an_edit_of_what_a_process_imported_moves_its_key(told: dict[str, Any]) -> None:
    looked_at = 0
    for kind, files in told["loaded"].items():
        mine = cells_of(kind, told["cells"])
        for file in files:
            looked_at += len(mine)
            assert set(mine) <= set(told["moved"][file]), (kind, file)
    assert looked_at > 50
    assert {kind.split()[0] for kind in told["loaded"]} == {"read", "ask", "embed", "fit", "score", "stage"}
    assert all(cells_of(f"score {name}", told["cells"]) for _, name in PROTOCOLS)


def test_an_edit_of_a_file_outside_moves_nothing(told: dict[str, Any]) -> None:
    outside = [file for file, hashed in told["hashed"].items() if not hashed]
    assert len(outside) >= 4
    assert {file: told["moved"][file] for file in outside} == {file: [] for file in outside}
    assert all(told["moved"][file] for file, hashed in told["hashed"].items() if hashed)
    assert told["same"], "each edit was taken back"
