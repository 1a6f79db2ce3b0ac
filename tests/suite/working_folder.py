"""A small run in a working folder of its own, driven by other processes: by the engine's stages or by DVC."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from protocols.phantom.generate import generate
from protocols.phantom.settings import MINI
from protocols.records import ScoreRecord
from tests.suite.engine_run import params

ROOT = Path(__file__).resolve().parents[2]
FLOORS = ("suite", "protocols", "baselines", "past_model", "reports")
TINY = replace(MINI, cancers=("breast",), patients_per_cancer=2, lone_cancer=None, image_px=320, oracle_draws=16)
EXPRESSION, COHORT = "intra_patient", "tiny"
SURVIVAL, PATIENTS = "tcga_survival", "gse7390"
MODELS = ["oracle", "train_mean", "stain_statistics", "kaplan_meier"]
RESULTS = ("cohorts", "splits", "audits", "predictions", "scores", "metrics", "reports", "submissions")
MARK = "SLIDE2OMICS_TEST_MARK"
DRIVER = "from tests.suite.engine_run import drive; drive()"


def small(**changes: Any) -> dict[str, Any]:
    """The run's file: one protocol of cells on a phantom, one of patients without slides."""
    entry = {"reader": "xenium", "root": "data", "manifest": "data/slides.csv", "truth": "data/truth"}
    told = {
        "protocols": [EXPRESSION, SURVIVAL],
        "models": MODELS,
        "cohorts": {"expression": {COHORT: entry}, "survival": {PATIENTS: {"reader": "gse7390"}}},
        "tasks": {},
        "workers": 2,
    }
    return params(**told | changes)


class WorkingFolder:
    """``tree``: the sources that its processes import."""

    def __init__(self, folder: Path, data: Path, tree: Path = ROOT) -> None:
        self.folder, self.tree = folder, tree
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "data").symlink_to(data)
        self.params()

    def params(self, **changes: Any) -> None:
        (self.folder / "params.yaml").write_text(yaml.safe_dump(small(**changes)), encoding="utf-8")

    def environment(self, mark: str = "") -> dict[str, str]:
        """As in an installed environment whose sources are ``tree``; the tests' own modules come last."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        sources = os.pathsep.join([str(self.tree), str(ROOT)])
        return os.environ | {
            "PYTHONPATH": sources,
            "PATH": path,
            "DVC_NO_ANALYTICS": "1",
            MARK: mark or str(self.folder),
        }

    def start(self, *command: str, mark: str = "", **options: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment(mark), text=True, start_new_session=True, **options
        )

    def run(self, *command: str, status: int | None = 0) -> str:
        """What a command said, which must end with ``status`` (None: with any)."""
        with self.start(*command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            told, _ = process.communicate()
        assert status in (None, process.returncode), told[-4000:]
        return told

    def drive(self) -> str:
        """Every stage, in one process and its workers."""
        return self.run(sys.executable, "-c", DRIVER)

    def slide2omics(self, *arguments: str, status: int = 0) -> str:
        return self.run(sys.executable, "-m", "suite.cli", *arguments, status=status)

    def dvc(self, *arguments: str, status: int = 0) -> str:
        return self.run(sys.executable, "-m", "dvc", *arguments, status=status)

    def with_dvc(self) -> None:
        for name in ("dvc.yaml", ".dvcignore"):
            shutil.copy(ROOT / name, self.folder / name)
        self.run("git", "init", "--quiet")
        self.dvc("init", "--quiet")

    def repro(self, *stages: str) -> set[str]:
        """Run the pipeline; the stages that ran."""
        return ran(self.dvc("repro", *stages))

    def record(self, model: str, protocol: str = EXPRESSION, board: str = COHORT) -> ScoreRecord:
        return ScoreRecord.read(self.folder / "runs/scores" / protocol / board / model / "seed0")

    def bytes_of(self, *names: str) -> dict[str, bytes]:
        """Every result below ``runs/<name>``."""
        found = [path for name in names for path in (self.folder / "runs" / name).rglob("*") if path.is_file()]
        return {path.relative_to(self.folder / "runs").as_posix(): path.read_bytes() for path in sorted(found)}

    def cells(self, kind: str) -> dict[str, int]:
        """Each cell that is kept, and when its seal was written: a cell that was made anew has another time."""
        seals = (self.folder / "runs/cache" / kind).glob("*/*/*@*/seal.json")
        return {
            "/".join(path.parts[-4:-2]) + "/" + path.parts[-2].partition("@")[0]: path.stat().st_mtime_ns
            for path in seals
        }


def ran(told: str) -> set[str]:
    return set(re.findall(r"Running stage '([^']+)'", told))


def phantom(folder: Path) -> Path:
    generate(folder, TINY, seed=0)
    return folder


def copied_tree(folder: Path) -> Path:
    """The sources, to be edited."""
    skip = shutil.ignore_patterns("__pycache__", "test_*", "conftest.py")
    for floor in FLOORS:
        shutil.copytree(ROOT / floor, folder / floor, ignore=skip)
    return folder


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{path} does not say {old!r}"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
