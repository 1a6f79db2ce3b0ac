"""The small run that the guards look at: made once, never touched; a test that alters something works on a copy."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from filelock import FileLock

from protocols.contract import Card
from suite.engine import run
from suite.engine.run import card_from_outside
from tests.suite.engine.small_run import SmallRun
from tests.suite.engine_run import ROOT


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> SmallRun:
    """The finished small run of every task; processes of pytest-xdist share it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "small_run"
    with FileLock(f"{folder}.lock"):
        if not (folder / "loaded.json").is_file():
            folder.mkdir()
            command = [sys.executable, "-m", "tests.suite.engine.stages_process", str(folder)]
            env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
            made = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
            assert made.returncode == 0, made.stderr
    return SmallRun(folder)


@pytest.fixture(scope="session")
def cards() -> Callable[..., Card]:
    """Cards of models from outside, each read once: a process for each of a hundred tests would show nothing more."""
    known: dict[tuple[str, str], Card] = {}

    def card(name: str, adapters: Mapping[str, str], root: Path) -> Card:
        text = (root / adapters[name].partition(":")[0]).read_text(encoding="utf-8")
        if (name, text) not in known:
            known[name, text] = card_from_outside(name, adapters, root)
        return known[name, text]

    return card


@pytest.fixture
def small(finished: SmallRun, cards: Callable[..., Card], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallRun:
    """A copy of it as the working folder."""
    monkeypatch.setattr(run, "card_from_outside", cards)
    copy = finished.copied(tmp_path / "run")
    monkeypatch.chdir(copy.folder)
    return copy
