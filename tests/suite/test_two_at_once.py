"""Two runs at once in one working folder: the work is done once, and neither undoes the other's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.suite.test_kills import results, whole_or_absent
from tests.suite.working_folder import DRIVER, EXPRESSION, WorkingFolder, phantom

COUNTED = """
import os, time
from pathlib import Path
import numpy as np
from protocols.contract import Card

class Counted:
    card = Card(name="counted", title="Counted")
    def fit(self, train):
        kind = "fits" if len(train.genes) > 20 else "tested"  # contract tests hand over a toy of a few genes
        with Path(__file__).with_name(kind).open("a") as file:
            file.write(f"{os.getpid()}\\n")
        time.sleep(0.3)
        self.mean = train.filled_targets().mean(axis=0)
    def predict(self, test):
        return np.tile(self.mean, (len(test), 1))
"""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_two_runs_share_the_work(tmp_path: Path) -> None:
    data = phantom(tmp_path / "data")
    shared, alone = (WorkingFolder(tmp_path / name, data) for name in ("shared", "alone"))
    for folder in (shared, alone):
        (folder.folder / "counted.py").write_text(COUNTED)
        adapters = {"counted": "counted.py:Counted"}
        folder.params(
            protocols=[EXPRESSION],
            models=["train_mean", "counted"],
            adapters=adapters,
            tasks={"expression": {"split": {"blocks": 2}}},
        )
    both = [
        shared.start(sys.executable, "-c", DRIVER, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for _ in range(2)
    ]
    told = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    alone.drive()
    assert fits(shared, "fits") == fits(alone, "fits") == 4
    assert fits(shared, "tested") == fits(alone, "tested") > 0
    assert results(shared) == results(alone)
    whole_or_absent(shared)
    assert not list((shared.folder / "runs").rglob("*.part"))


def fits(folder: WorkingFolder, kind: str) -> int:
    return len((folder.folder / kind).read_text().splitlines())
