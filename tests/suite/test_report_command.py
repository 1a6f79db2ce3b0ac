"""``report``, ``leaderboards`` and ``compare`` on what lies in a run's folder, whole or half made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from protocols.errors import UserError
from protocols.records import RECORD_FILE
from suite.cli import app
from suite.compare_command import compared
from suite.config import read_config
from suite.engine.report import cells, missing, notices, run_report
from suite.engine.score import metrics_of
from suite.places import SCORES, SUBMISSIONS, score_folder
from tests.reports.synthetic import record, sealed
from tests.suite.engine_run import params, the_run, write_params

PATIENTS = [f"p{i}" for i in range(6)]
COHORTS: dict[str, Any] = {"expression": {"one": {"reader": "xenium", "root": "data", "manifest": "slides.csv"}}}


def place(
    protocol: str, model: str, mean: float, *, seed: int = 0, root: Path | None = None, board: str = "one"
) -> Path:
    made = record(protocol, model, {p: mean + 0.01 * i for i, p in enumerate(PATIENTS)}, seed=seed, board=board)
    return sealed(made, score_folder(protocol, board, model, seed) if root is None else root / protocol / board / model)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of two models, two seeds and two protocols on one cohort; nothing of it was made."""
    monkeypatch.chdir(tmp_path)
    listed = {"protocols": ["intra_patient", "inter_patient"], "models": ["stain_statistics", "train_mean"]}
    write_params(tmp_path, params(**listed, seeds=[1, 0], cohorts=COHORTS, tasks={}))
    return tmp_path


def test_what_is_missing_is_said_by_board_model_and_seed(folder: Path) -> None:
    run = the_run()
    assert missing(run) == {
        "intra_patient-one": ["stain_statistics", "train_mean"],
        "inter_patient-one": ["stain_statistics", "train_mean"],
    }
    place("intra_patient", "stain_statistics", 0.4, seed=1)
    place("intra_patient", "train_mean", 0.0, seed=1)
    place("intra_patient", "train_mean", 0.0, seed=0)
    assert missing(run)["intra_patient-one"] == ["stain_statistics (seed 0)"]
    place("intra_patient", "stain_statistics", 0.4, seed=0)
    assert list(missing(run)) == ["inter_patient-one"]


def test_controls_that_scoring_makes_are_missed_once(folder: Path) -> None:
    """Every training seed meets the same ones."""
    write_params(folder, params(protocols=["gbm_spatial"], models=["bulk_train_mean"], seeds=[0, 1]))
    (absent,) = missing(the_run()).values()
    assert absent == ["bulk_train_mean", "map_shuffled", "map_neighbour_mean"]


def test_half_made_and_other_folders_are_no_cells(folder: Path) -> None:
    kept = [place("intra_patient", "stain_statistics", 0.4), place("intra_patient", "train_mean", 0.0)]
    handed_in = place("inter_patient", "mine", 0.3, root=SUBMISSIONS)
    average = place("intra_patient", "stain_statistics", 0.4, board="average")
    place("cross_cancer", "stain_statistics", 0.4)
    place("intra_patient", "stain_statistics", 0.4, board="another")
    own, other = (root / "intra_patient" / "one" for root in (SCORES, SUBMISSIONS))
    for half in (own / "stain_statistics" / ".seed1.77.part", other / ".mine.older"):
        half.mkdir(parents=True)
        (half / RECORD_FILE).write_text("{")
    assert sorted(cells(the_run())) == sorted([*kept, average, handed_in])


def test_a_report_can_be_had_before_and_between(folder: Path) -> None:
    first = run_report(the_run()).html.read_text()
    assert "Nothing has been scored yet" in first
    assert "<dt>inter_patient-one</dt><dd>stain_statistics, train_mean</dd>" in first
    place("intra_patient", "stain_statistics", 0.4, seed=1)
    second = run_report(the_run()).markdown.read_text()
    assert "Not scored yet: stain\\_statistics (seed 0), train\\_mean." in second
    assert "- **inter\\_patient-one**: stain\\_statistics, train\\_mean" in second


def test_the_terminal_says_what_the_page_says(folder: Path) -> None:
    place("intra_patient", "stain_statistics", 0.4, seed=1)
    said = CliRunner().invoke(app, ["leaderboards"])
    assert said.exit_code == 0, said.output
    words = " ".join(said.output.split())
    assert "Not scored yet: stain_statistics (seed 0), train_mean." in words
    assert "not scored yet: inter_patient-one: stain_statistics, train_mean" in words


def test_compare_takes_the_run_s_own_seed(folder: Path) -> None:
    for seed, mean in ((0, 0.9), (1, 0.3)):
        place("intra_patient", "stain_statistics", mean, seed=seed)
    place("intra_patient", "train_mean", 0.5, seed=1)
    place("inter_patient", "mine", 0.3, root=SUBMISSIONS)
    said = CliRunner().invoke(app, ["compare", "stain_statistics", "train_mean"])
    assert said.exit_code == 0, said.output
    assert said.output.splitlines() == [
        "intra_patient, one",
        "  Pearson r, stain_statistics minus train_mean: −0.200 (95 % CI −0.200 to −0.200, p 0.031), 6 patients: "
        "train_mean is better",
        "  p is of these two alone; ranks take all pairs of the board together",
    ]
    with pytest.raises(UserError, match="no board has both 'stain_statistics' and 'mine'"):
        list(compared(read_config(), "stain_statistics", "mine"))


def test_only_the_run_s_own_tasks_are_asked_for_notices(folder: Path) -> None:
    assert notices(the_run()) == {}
    write_params(folder, params(protocols=["tcga_survival"], models=["kaplan_meier"], tasks={},
                                cohorts={"survival": {"one": {"reader": "gse7390", "root": "data"}}}))  # fmt: skip
    assert list(notices(the_run())) == ["survival"]


def test_the_numbers_for_dvc_leave_out_what_a_kill_left(folder: Path) -> None:
    place("intra_patient", "stain_statistics", 0.4)
    half = SCORES / "intra_patient" / "one" / "stain_statistics" / ".seed1.77.part"
    half.mkdir()
    (half / RECORD_FILE).write_text("{")
    found = metrics_of(the_run().protocols["intra_patient"], 0)
    assert found["stain_statistics"]["one"]["pearson_per_slide"] == pytest.approx(0.425)
