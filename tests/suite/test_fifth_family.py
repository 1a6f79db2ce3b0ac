"""The engine is open: a family that nobody here has heard of, in a package of its own, built, installed and run.

The package ``tests/suite/fifth_family`` brings a task, a protocol, a reader, an encoder, a model and a control through
entry points. Nothing of the suite names it; here it is only installed beside the suite.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.suite.engine_run import ROOT

SOURCE = Path(__file__).parent / "fifth_family"
LINES = 485
"""At most so many for the whole family, blank lines, words and pyproject.toml included."""
PARAMS = {
    "profile": "mini",
    "seeds": [0],
    "threads": 1,
    "workers": 1,
    "device": "cpu",
    "protocols": ["other_patients"],
    "models": ["fraction_ridge", "fraction_mean"],
    "tasks": {"cell_fraction": {"folds": 2}},
    "cohorts": {"cell_fraction": {"toy": {"reader": "slide_table", "root": "data", "truth": "data/slides.csv"}}},
}


class Checkout:
    """A folder with a run's file and dvc.yaml, and the package in a folder that is on the path."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.site = folder, folder / "site"

    def run(self, *command: str, status: int = 0) -> str:
        path = os.pathsep.join([str(self.site), str(ROOT)])
        bins = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        env = os.environ | {"PYTHONPATH": path, "PATH": bins, "DVC_NO_ANALYTICS": "1", "PYTHONWARNINGS": "ignore"}
        done = subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True)
        assert done.returncode == status, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stdout + done.stderr

    def suite(self, *arguments: str, status: int = 0) -> str:
        return self.run(sys.executable, "-m", "suite.cli", *arguments, status=status)

    def dvc(self, *arguments: str) -> str:
        return self.run(sys.executable, "-m", "dvc", *arguments)

    def params(self, **changes: object) -> None:
        (self.folder / "params.yaml").write_text(yaml.safe_dump(PARAMS | changes))


def install(folder: Path, site: Path) -> None:
    """Build a wheel of the package and install it into a folder; no index is asked."""
    shutil.copytree(SOURCE, folder / "source", ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    offline = ["--no-index", "--no-deps", "--quiet"]
    built = folder / "wheels"
    commands = (
        [*pip, "wheel", *offline, "--no-build-isolation", "--wheel-dir", str(built), str(folder / "source")],
        [*pip, "install", *offline, "--target", str(site), "--find-links", str(built), "cell-fraction"],
    )
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
        assert done.returncode == 0, done.stdout + done.stderr
    assert [path.name for path in built.iterdir()] == ["cell_fraction-0.1.0-py3-none-any.whl"]


@pytest.fixture(scope="module")
def handed_in(tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkout, str]:
    """The family installed, its phantom written by itself, and a table scored before anything else was run."""
    made = Checkout(tmp_path_factory.mktemp("checkout"))
    install(tmp_path_factory.mktemp("package"), made.site)
    for name in ("dvc.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, made.folder)
    made.params()
    made.run(
        sys.executable, "-c", "from pathlib import Path; from cell_fraction.phantom import write; write(Path('data'))"
    )
    with (made.folder / "data" / "slides.csv").open() as file:
        rows = [f"{row['slide']},{row['fraction']}\n" for row in csv.DictReader(file)]
    (made.folder / "mine.csv").write_text("slide,fraction\n" + "".join(rows))
    return made, made.suite("score", "other_patients", "--predictions", "mine.csv", "--model", "perfect")


@pytest.fixture(scope="module")
def checkout(handed_in: tuple[Checkout, str]) -> Checkout:
    """And then one `dvc repro`."""
    made = handed_in[0]
    made.dvc("init", "--no-scm", "--quiet")
    told = made.dvc("repro")
    assert all(
        f"Running stage '{name}'" in told for name in ("plan", "read", "ask", "check", "predict", "score", "report")
    )
    return made


def board(checkout: Checkout) -> dict[str, dict[str, Any]]:
    """The rows of the only board of the page's JSON, by model."""
    boards = json.loads((checkout.folder / "runs" / "reports" / "leaderboards.json").read_text())["leaderboards"]
    assert [(one["protocol"], one["board"], one["task"]) for one in boards] == [
        ("other_patients", "toy", "cell_fraction")
    ]
    return {row["model"]: row for row in boards[0]["rows"]}


def test_how_large_a_family_is() -> None:
    files = [path for path in SOURCE.rglob("*") if path.suffix in (".py", ".toml")]
    assert sum(len(path.read_text().splitlines()) for path in files) <= LINES


def test_nothing_of_the_suite_names_it() -> None:
    """Only what stands in the tests: no file of the suite was touched for the family."""
    words = ("cell_fraction", "other_patients", "slide_table", "three_by_three", "fraction_ridge", "fraction_mean")
    floors = ("suite", "protocols", "baselines", "past_model", "reports")
    files = [path for floor in floors for path in (ROOT / floor).rglob("*") if path.suffix in (".py", ".j2", ".js")]
    assert files
    assert not [path for path in files if any(word in path.read_text() for word in words)]


def test_its_board_stands_on_the_page_with_its_control(checkout: Checkout) -> None:
    rows = board(checkout)
    assert set(rows) == {"fraction_ridge", "fraction_mean", "perfect"}
    ridge, mean = rows["fraction_ridge"], rows["fraction_mean"]
    assert (ridge["group"], ridge["rank"]) == ("ranked", 2)  # behind the truth itself, which was handed in
    assert (mean["group"], mean["kind"]) == ("reference", "control")
    page = (checkout.folder / "runs" / "reports" / "index.html").read_text()
    for words in ("Cell fraction: toy", "Ridge on filters", "Control: training mean", "Mean error"):
        assert words in page


def test_its_numbers_are_those_of_its_own_formula(checkout: Checkout) -> None:
    """The control's error, from the table of slides and the folds alone; a dark share is linear in filters."""
    with (checkout.folder / "data" / "slides.csv").open() as file:
        truth = {row["slide"]: (row["patient"], float(row["fraction"])) for row in csv.DictReader(file)}
    checkout.suite("units", "other_patients", "--out", "units.csv")
    with (checkout.folder / "units.csv").open() as file:
        units = list(csv.DictReader(file))
    errors: dict[str, list[float]] = {}
    for fold in {row["fold"] for row in units}:
        known = [float(row["fraction"]) for row in units if row["fold"] == fold and row["role"] == "train"]
        tested = [row["slide"] for row in units if row["fold"] == fold and row["role"] == "test"]
        assert (len(known), len(tested)) == (6, 6)
        for slide in tested:
            patient, fraction = truth[slide]
            errors.setdefault(patient, []).append(abs(sum(known) / len(known) - fraction))
    expected = sum(sum(of) / len(of) for of in errors.values()) / len(errors)
    rows = board(checkout)
    mean, ridge = (rows[name]["headline"] for name in ("fraction_mean", "fraction_ridge"))
    assert mean["mean"] == pytest.approx(expected, abs=1e-6)
    assert ridge["mean"] < 0.05 < mean["mean"]


def test_check_of_its_model_and_of_a_new_one(checkout: Checkout) -> None:
    assert "fraction_ridge: conforms" in checkout.suite("check", "fraction_ridge")
    assert "wrote mine.py" in checkout.suite("new-model", "mine", "--task", "cell_fraction")
    assert "conforms" in checkout.suite("check", "mine.py:Mine")
    (checkout.folder / "mine.py").write_text((checkout.folder / "mine.py").read_text().replace("len(test)", "3"))
    told = checkout.suite("check", "mine.py:Mine", status=1)
    assert "✗ the answer is one finite fraction a slide" in told


def test_a_table_handed_in_takes_its_place(handed_in: tuple[Checkout, str]) -> None:
    """Nothing but the control was trained for it."""
    said = handed_in[1].splitlines()
    assert [line for line in said if "perfect on other_patients toy: Mean error 0.000" in line]
    assert [line.split()[:2] for line in said if "perfect (predictions only)" in line] == [["->", "1"]]
    assert [line.split()[0] for line in said if "Control: training mean" in line] == ["control"]
    assert not [line for line in said if "Ridge on filters" in line]


def test_what_it_brings_is_in_the_keys(checkout: Checkout) -> None:
    """Its encoder is data of the run like one of the run's file, its code is code that results depend on."""
    ridge, mean = (f"other_patients/toy/{name}/0" for name in ("fraction_ridge", "fraction_mean"))
    before = told_plan(checkout)
    with (
        edited(checkout, "encoder.py", '"dim": 8, "kwargs": {"filters": 8}', '"dim": 6, "kwargs": {"filters": 6}'),
        edited(checkout, "score.py", ".abs()", ".pow(2)"),
    ):
        after = plan_of(checkout)
    assert {name for name in after if after[name] != before[name]} == {"check", "predict", "score"}
    assert after["predict"][ridge]["encoders"] != before["predict"][ridge]["encoders"]
    assert after["predict"][ridge]["code"] == before["predict"][ridge]["code"]  # answers do not wait for a metric
    assert after["predict"][mean] == before["predict"][mean]


@contextmanager
def edited(checkout: Checkout, name: str, old: str, new: str) -> Iterator[None]:
    path = checkout.site / "cell_fraction" / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    yield
    path.write_text(text)


def plan_of(checkout: Checkout) -> dict[str, Any]:
    """What each stage depends on now."""
    checkout.suite("stage", "plan")
    return told_plan(checkout)


def told_plan(checkout: Checkout) -> dict[str, Any]:
    return {path.stem: json.loads(path.read_text()) for path in (checkout.folder / "runs" / "plan").glob("*.json")}


def test_everything_of_it_is_listed(checkout: Checkout) -> None:
    told = checkout.suite("list")
    for words in (
        "cell_fraction: slides x fraction", "protocol  other_patients", "reader    slide_table",
        "model     fraction_ridge", "control   fraction_mean", "  three_by_three",
    ):  # fmt: skip
        assert words in told
    checkout.params(cohorts={"cell_fraction": {"toy": {"reader": "slide_tabel", "root": "data"}}})
    assert "did you mean 'slide_table'?" in checkout.suite("report", status=2)
