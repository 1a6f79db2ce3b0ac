"""The pipeline as its users run it: ``dvc repro`` in a checkout, with a tiny phantom and the light models."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from protocols.phantom.generate import generate
from protocols.phantom.settings import MINI

ROOT = Path(__file__).resolve().parents[2]
FLOORS = ("suite", "protocols", "baselines", "past_model", "reports")
TINY = replace(MINI, cancers=("breast", "lung"), patients_per_cancer=2, lone_cancer=None, image_px=320, oracle_draws=32)
NEWCOMER = """
import numpy as np
from protocols.contract import Card

class Newcomer:
    card = Card(name="newcomer", title="Newcomer")
    def fit(self, train):
        self.mean = train.filled_targets().mean(axis=0)
    def predict(self, test):
        return np.tile(self.mean, (len(test), 1)) + test.xy_um[:, :1] / 1000
"""
NO_BULK = {"protocols": [], "models": [], "cohorts": {}, "sections": None, "average": []}
NO_IHC = {"protocols": [], "models": [], "cohorts": {}}
SURVIVAL = {
    "tile": {"um": 47, "pixels": 64, "max_tiles": 100, "tissue": "saturation"},
    "protocols": ["tcga_survival"],
    "cohorts": {"gse7390": {"reader": "gse7390", "root": "protocols/cohorts/gse7390.py"}},
    "average": [],
    "models": ["kaplan_meier", "cox_clinical"],
}
WITH_NEWCOMER = {
    "models": ["oracle", "train_mean", "coordinates", "newcomer"],
    "protocols": ["intra_patient", "inter_patient"],
    "adapters": {"newcomer": "newcomer.py:Newcomer"},
}
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


class Checkout:
    """A copy of this repository's code and pipeline, with its own DVC cache."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        skip = shutil.ignore_patterns("__pycache__", "test_*", "conftest.py")
        for floor in FLOORS:
            shutil.copytree(ROOT / floor, folder / floor, ignore=skip)
        for name in ("dvc.yaml", ".dvcignore"):
            shutil.copy(ROOT / name, folder / name)
        generate(folder / "data" / "phantom", TINY, seed=0)
        self.params(models=["oracle", "train_mean", "coordinates"], protocols=["intra_patient", "inter_patient"])
        self.run("git", "init", "--quiet")
        self.dvc("init", "--quiet")

    def params(self, **changes: object) -> None:
        values = yaml.safe_load((ROOT / "params.yaml").read_text()) | {"survival": SURVIVAL} | changes
        values |= {"bulk": values["bulk"] | NO_BULK, "ihc": values["ihc"] | NO_IHC}
        (self.folder / "params.yaml").write_text(yaml.safe_dump(values))

    def environment(self) -> dict[str, str]:
        command = Path(sys.executable).parent
        return os.environ | {
            "PYTHONPATH": str(self.folder),
            "PATH": f"{command}{os.pathsep}{os.environ['PATH']}",
            "DVC_NO_ANALYTICS": "1",
        }

    def run(self, *command: str) -> str:
        result = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, env=self.environment())
        assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
        return result.stdout + result.stderr

    def dvc(self, *arguments: str) -> str:
        return self.run(sys.executable, "-m", "dvc", *arguments)

    def repro(self) -> set[str]:
        """Run the pipeline; the stages that ran."""
        return set(re.findall(r"Running stage '([^']+)'", self.dvc("repro")))

    def result_bytes(self) -> dict[str, bytes]:
        """Everything that must be the same after any history: predictions, scores, splits, audits."""
        files = [
            p
            for name in ("predictions", "scores", "splits", "audits")
            for p in (self.folder / "runs" / name).rglob("*")
        ]
        results = [path for path in sorted(files) if path.is_file() and path.name != ".gitignore"]  # DVC's own lists
        return {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in results}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    made = Checkout(tmp_path_factory.mktemp("checkout"))
    ran = made.repro()
    assert len(ran) == 1 + 2 + 2 + 1 + 6 + 2 + 1 + (1 + 2 + 1)  # in brackets survival: a cohort and two models
    return made


def test_nothing_changed_nothing_runs(checkout: Checkout) -> None:
    start = time.perf_counter()
    assert checkout.repro() == {"inputs"}
    assert time.perf_counter() - start < 15  # 5 s on an idle machine; a loaded one must not fail the test


def test_new_model_runs_its_cells_alone(checkout: Checkout) -> None:
    before = checkout.result_bytes()
    (checkout.folder / "newcomer.py").write_text(NEWCOMER)
    checkout.params(**WITH_NEWCOMER)
    cells = {f"predict@{p}-newcomer" for p in ("intra_patient", "inter_patient")}
    cells |= {f"score@{p}" for p in ("intra_patient", "inter_patient")}
    scored = {path: path.stat().st_mtime_ns for path in (checkout.folder / "runs/cache/scores").rglob("record.json")}
    assert checkout.repro() == {"inputs", "report", *cells}
    after = checkout.result_bytes()
    assert {name: after[name] for name in before} == before
    assert all(path.stat().st_mtime_ns == when for path, when in scored.items())  # no other cell was scored again
    (checkout.folder / "newcomer.py").write_text(NEWCOMER.replace("1000", "900"))
    assert checkout.repro() == {"inputs", "report", *cells}


def test_edited_metric_scores_again_and_trains_nothing(checkout: Checkout) -> None:
    metric = checkout.folder / "protocols" / "metrics" / "correlation.py"
    metric.write_text(metric.read_text() + "\n# edited\n")
    ran = checkout.repro()
    assert ran
    assert {name.split("@")[0] for name in ran} <= {"inputs", "score", "report"}
    assert any(name.startswith("score@") for name in ran)


def test_edited_machinery_predicts_again_and_only_its_own_task(checkout: Checkout) -> None:
    views = checkout.folder / "protocols" / "views.py"
    views.write_text(views.read_text() + "\n# edited\n")
    before = checkout.result_bytes()
    ran = checkout.repro()
    assert {name.split("@")[0] for name in ran} <= {"inputs", "predict", "score", "report"}
    models = ["oracle", "train_mean", "coordinates", "newcomer"]
    assert {name for name in ran if name.startswith("predict@")} == {
        f"predict@{protocol}-{model}" for protocol in ("intra_patient", "inter_patient") for model in models
    }
    after = checkout.result_bytes()
    changed = {name for name in before if after[name] != before[name]}
    assert {Path(name).name for name in changed} <= {"manifest.json", "record.json"}  # answers are the same bytes


def test_edited_report_runs_no_model_and_no_score(checkout: Checkout) -> None:
    source = checkout.folder / "reports" / "markdown.py"
    source.write_text(source.read_text() + "\n# edited\n")
    assert checkout.repro() == {"inputs", "report"}


def test_kill_minus_nine_at_any_moment_ends_in_the_same_bytes(checkout: Checkout) -> None:
    """Everything is made again from nothing, killed hard three times on the way."""
    wanted = checkout.result_bytes()
    shutil.rmtree(checkout.folder / "runs")
    shutil.rmtree(checkout.folder / ".dvc" / "cache")
    (checkout.folder / "dvc.lock").unlink()
    for seconds in (4.0, 7.0, 11.0):
        process = subprocess.Popen(
            [sys.executable, "-m", "dvc", "repro", "--quiet"],
            cwd=checkout.folder,
            env=checkout.environment(),
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    checkout.repro()
    assert checkout.result_bytes() == wanted


def test_new_cohort_of_patients_leaves_the_others_answers(checkout: Checkout) -> None:
    """Its own stage runs, models are asked about it, and what was there keeps its bytes."""
    before = {name: held for name, held in checkout.result_bytes().items() if "/gse7390" in name}
    assert before
    twin = {**SURVIVAL["cohorts"], "twin": SURVIVAL["cohorts"]["gse7390"]}
    checkout.params(**WITH_NEWCOMER, survival={**SURVIVAL, "cohorts": twin})
    ran = checkout.repro()
    assert "patients@twin" in ran
    assert not any(name.startswith(("predict@", "score@", "patients@gse7390")) for name in ran)
    after = checkout.result_bytes()
    assert {name: after[name] for name in before} == before
