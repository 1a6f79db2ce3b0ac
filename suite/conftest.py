"""What the full-run tests share: an up-to-date run of this checkout's pipeline."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from protocols.records import ScoreRecord
from suite.config import Config, read_config
from suite.places import SCORES

ROOT = Path(__file__).resolve().parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """``gpu`` tests are skipped, with the reason, where PyTorch sees no CUDA device."""
    for item in items:
        if "gpu" not in item.keywords:
            item.add_marker(pytest.mark.timeout(3600))  # the first test waits for a cold run of the pipeline
    if not any("gpu" in item.keywords for item in items):
        return
    import torch

    if not torch.cuda.is_available():
        for item in items:
            if "gpu" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="no CUDA device"))


def dvc(*arguments: str, cwd: Path = ROOT) -> None:
    """Run DVC of this environment; its output is shown when it fails."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # where DVC finds the slide2omics command
    command = [sys.executable, "-m", "dvc", *arguments]
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=os.environ | {"PATH": path})
    if result.returncode:
        pytest.fail(f"dvc {' '.join(arguments)}\n{result.stdout[-3000:]}\n{result.stderr[-3000:]}")


@pytest.fixture(scope="session")
def config() -> Config:
    return read_config(ROOT / "params.yaml")


@pytest.fixture(scope="session")
def records(config: Config) -> dict[tuple[str, str], ScoreRecord]:
    """(protocol, model) → score record of an up-to-date run on the phantom of slides: seconds if it is up to date,
    minutes if it is not."""
    if not (ROOT / "data").exists() and (ROOT / "data.dvc").exists():
        dvc("pull", "data.dvc")
    dvc("repro")
    folders = sorted((ROOT / SCORES).glob(f"*/phantom/*/seed{config.seed}"))
    return {(folder.parts[-4], folder.parts[-2]): ScoreRecord.read(folder) for folder in folders}
