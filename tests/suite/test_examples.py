"""The example runs: each names only what exists and, run from a fresh clone, touches its own cohorts alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from baselines.registry import built_in
from protocols.registry import protocol_modules
from suite.config import read_config
from suite.engine.run import Run
from tests.cohorts import real_data

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "docs" / "examples"
HER2ST = "/data/her2st"


@dataclass(frozen=True)
class Expected:
    """Boards (``<protocol>/<board>``), cohorts that are read, and the folders below ``data`` that may be."""

    boards: frozenset[str]
    cohorts: frozenset[str]
    data: frozenset[str]


def expected(boards: str, cohorts: str, data: str) -> Expected:
    return Expected(*(frozenset(text.split()) for text in (boards, cohorts, data)))


EXPECTED = {
    "intra_patient": expected("intra_patient/my_slides", "expression/my_slides", "phantom"),
    "inter_patient": expected("inter_patient/my_slides", "expression/my_slides", "phantom"),
    "cross_cancer": expected("cross_cancer/my_slides", "expression/my_slides", "phantom"),
    "tcga_survival": expected("tcga_survival/my_patients", "survival/my_patients", "phantom_tcga"),
    "prognosis": expected("tcga_survival/my_patients", "survival/my_patients", "phantom_codex"),
    "tcga_expression": expected("tcga_expression/my_tumours", "bulk/my_tumours", "phantom_bulk"),
    "gbm_spatial": expected("gbm_spatial/my_sections", "bulk/my_tumours bulk/my_sections", "phantom_bulk"),
    "response": expected("response/my_patients", "response/my_patients", "phantom_codex"),
    "ihc4bc": expected("ihc4bc/my_pairs_ER", "staining/my_pairs", "phantom_ihc"),
    "codex_protein": expected("codex_protein/my_slides", "expression/my_slides", "phantom_codex"),
    "codex_external": expected("codex_external/my_tma", "expression/my_slides expression/my_tma", "phantom_codex"),
    "her2st": expected("intra_patient/her2st inter_patient/her2st", "expression/her2st", ""),
}


def run_of(name: str) -> Run:
    return Run(read_config(EXAMPLES / f"{name}.yaml"), ROOT)


def test_every_example_is_looked_at() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.yaml")} == {*EXPECTED, "everything"}
    assert set(protocol_modules()) <= set(EXPECTED)  # each protocol alone


@pytest.mark.parametrize("name", EXPECTED)
def test_an_example_asks_what_its_name_says_of_its_own_cohorts(name: str) -> None:
    run = run_of(name)
    assert {f"{board.protocol}/{board.name}" for board in run.boards} == EXPECTED[name].boards
    assert {f"{request.task}/{request.name}" for request in run.cohorts} == EXPECTED[name].cohorts
    assert not run.not_asked


@pytest.mark.parametrize("name", EXPECTED)
def test_an_example_brackets_its_scale(name: str) -> None:
    """A control, an oracle where there is a truth, and a model."""
    kinds = {entry.card.kind for entry in run_of(name).models.values()}
    assert kinds == {"model", "control", "oracle"} - ({"oracle"} if name == "her2st" else set())


@pytest.mark.parametrize("name", [*EXPECTED, "everything"])
def test_an_example_says_how_it_is_run(name: str) -> None:
    assert f"# cp docs/examples/{name}.yaml params.yaml" in (EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [*EXPECTED, "everything"])
def test_an_example_names_files_that_are_there(name: str) -> None:
    there = {*shipped(), *(path.relative_to(ROOT).as_posix() for path in EXAMPLES.glob("*.csv"))}
    cohorts = yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8"))["cohorts"]
    for entry in (one for group in cohorts.values() for one in group.values()):
        root = entry.get("root", "")
        for value in (one for one in texts(entry) if ("/" in one or "." in one) and one != HER2ST):
            assert is_there(value, there) or is_there(f"{root}/{value}", there), value


def test_everything_is_everything() -> None:
    """Every protocol and built-in model, on the cohorts and with the settings of the default run."""
    run, default = read_config(EXAMPLES / "everything.yaml"), read_config(ROOT / "params.yaml")
    assert set(run.protocols) == set(protocol_modules())
    assert set(run.models) == set(built_in())
    assert set(default.models) < set(run.models)
    changed = {"models": run.models}
    assert default.model_copy(update=changed) == run


def shipped() -> set[str]:
    """Files of ``data`` by the list that DVC keeps, whether they were pulled or not."""
    digest = yaml.safe_load((ROOT / "data.dvc").read_text())["outs"][0]["md5"]
    listed = json.loads((ROOT / ".dvc" / "remote" / "files" / "md5" / digest[:2] / digest[2:]).read_text())
    return {f"data/{one['relpath']}" for one in listed}


def is_there(name: str, there: set[str]) -> bool:
    return name in there or any(one.startswith(f"{name}/") for one in there)


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from texts(one)


# ----------------------------------------------------------------- from a fresh clone to the page


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", [*EXPECTED, "everything"])
def test_an_example_runs_alone_from_a_fresh_clone(name: str, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    call(tmp_path, "git", "clone", "--quiet", str(ROOT), str(clone))
    call(clone, sys.executable, "-m", "dvc", "pull", "--quiet", "data.dvc")
    text = (clone / "docs" / "examples" / f"{name}.yaml").read_text(encoding="utf-8")
    if name == "her2st":
        text = text.replace(HER2ST, str(real_data("her2st")))
    (clone / "params.yaml").write_text(text, encoding="utf-8")
    if name in EXPECTED:
        for folder in (clone / "data").iterdir():
            if folder.name not in EXPECTED[name].data:
                shutil.rmtree(folder)  # whoever reads another's data fails
    call(clone, sys.executable, "-m", "dvc", "repro")
    page = (clone / "runs" / "reports" / "index.html").read_text(encoding="utf-8")
    read = {path.relative_to(clone / "runs" / "cohorts").as_posix() for path in (clone / "runs/cohorts").glob("*/*")}
    scored = {path.relative_to(clone / "runs" / "scores").as_posix() for path in (clone / "runs/scores").glob("*/*")}
    run = run_of(name)
    assert read == {f"{request.task}/{request.name}" for request in run.cohorts}
    if name in EXPECTED:
        assert read == EXPECTED[name].cohorts
        assert scored == EXPECTED[name].boards
    assert all(model in page for model in run.config.models)


def call(folder: Path, *command: str) -> None:
    """Run a command in a clone, with the clone's own code; its output is shown when it fails."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # where DVC finds the slide2omics command
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(folder), "DVC_NO_ANALYTICS": "1"}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
