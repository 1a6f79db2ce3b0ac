"""Two cohorts of single-cell expression and three training seeds in one run: each has its boards and its files."""

from __future__ import annotations

import csv
import json
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from protocols.phantom.generate import generate
from protocols.phantom.settings import MINI
from protocols.records import ScoreRecord
from reports.cells import load_records
from reports.leaderboard import build_leaderboards
from suite.engine.report import run_report
from suite.places import AUDITS, COHORTS, PREDICTIONS, SCORES, SPLITS, score_folder
from tests.suite.engine_run import params, run_all, the_run, write_params

PROTOCOL, COHORTS_OF, SEEDS = "intra_patient", ("left", "right"), [0, 1, 2]
TINY = replace(
    MINI, cancers=("breast",), patients_per_cancer=2, lone_cancer=None, image_px=320, oracle_draws=16, replicate_draws=2
)
FOREST = "sklearn.ensemble:RandomForestRegressor(n_estimators=2, max_depth=2) @ resnet50"
MODELS = ["forest", "train_mean"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for seed, name in enumerate(COHORTS_OF):
        generate(folder / name, TINY, seed=seed)
    return folder


def values(data: Path, seeds: list[int], cohorts: tuple[str, ...]) -> dict[str, Any]:
    entries = {
        name: {
            "reader": "xenium", "root": str(data / name), "manifest": str(data / name / "slides.csv"),
            "truth": str(data / name / "truth"),
        }
        for name in cohorts
    }  # fmt: skip
    return params(
        protocols=[PROTOCOL], models=MODELS, adapters={"forest": FOREST}, seeds=seeds, cohorts={"expression": entries}
    )


def ran(folder: Path, told: dict[str, Any]) -> Path:
    write_params(folder, told)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run_all(the_run())
    return folder


@pytest.fixture(scope="module")
def both(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with the run of two cohorts and three seeds, and its page."""
    folder = ran(tmp_path_factory.mktemp("both"), values(data, SEEDS, COHORTS_OF))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run_report(the_run())
    return folder


@pytest.fixture(scope="module")
def one(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one of them with one seed."""
    return ran(tmp_path_factory.mktemp("one"), values(data, [0], COHORTS_OF[:1]))


def boards(folder: Path) -> dict[str, dict[str, dict[str, Any]]]:
    told = json.loads((folder / "runs" / "reports" / "leaderboards.json").read_text())["leaderboards"]
    assert {board["protocol"] for board in told} == {PROTOCOL}
    return {board["board"]: {row["model"]: row for row in board["rows"]} for board in told}


def record(folder: Path, cohort: str, model: str, seed: int) -> ScoreRecord:
    return ScoreRecord.read(folder / score_folder(PROTOCOL, cohort, model, seed))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_dir()}


def test_files_of_the_cohorts_lie_side_by_side(both: Path) -> None:
    assert names(both / COHORTS / "expression") == set(COHORTS_OF)
    for place in (SPLITS, AUDITS, PREDICTIONS, SCORES):
        assert names(both / place / PROTOCOL) == set(COHORTS_OF)
    for place in (PREDICTIONS, SCORES):
        for cohort in COHORTS_OF:
            assert names(both / place / PROTOCOL / cohort) == set(MODELS)
            assert names(both / place / PROTOCOL / cohort / "forest") == {"seed0", "seed1", "seed2"}


def error(made: ScoreRecord) -> float:
    """Standard error of the mean over patients, by hand."""
    values = list(made.per_patient.values())
    return statistics.stdev(values) / len(values) ** 0.5


def test_each_cohort_has_its_board_with_the_spread_over_seeds(both: Path) -> None:
    found, reports = boards(both), both / "runs" / "reports"
    page = (reports / "index.html").read_text()
    with (reports / "leaderboards.csv").open() as file:
        table = {(row["board"], row["model"]): row for row in csv.DictReader(file)}
    assert set(found) == set(COHORTS_OF)
    for cohort, rows in found.items():
        of_seeds = [record(both, cohort, "forest", seed).headline.mean for seed in SEEDS]
        assert None not in of_seeds
        assert len(set(of_seeds)) == 3  # encoder and forest are drawn anew by each seed
        row = rows["forest"]
        assert row["headline"]["mean"] == of_seeds[0]
        assert row["seeds"] == [[seed, value] for seed, value in zip(SEEDS, of_seeds, strict=True)]
        written = table[cohort, "forest"]
        assert written["n_seeds"] == "3"
        assert float(written["seed_mean"]) == pytest.approx(statistics.mean(of_seeds))  # type: ignore[type-var]
        assert float(written["seed_sd"]) == pytest.approx(statistics.stdev(of_seeds))  # type: ignore[type-var]
        spread = statistics.stdev(of_seeds)  # type: ignore[type-var]
        share = 100 * spread**2 / (spread**2 + error(record(both, cohort, "forest", SEEDS[0])) ** 2)
        shown = f"{statistics.mean(of_seeds):.3f} ± {spread:.3f} (3, {share:.0f} %)"  # type: ignore[type-var]
        assert shown in page
    assert found["left"]["forest"]["headline"] != found["right"]["forest"]["headline"]


def test_the_row_is_of_the_seed_that_is_listed_first(both: Path) -> None:
    records = load_records(both / SCORES)
    for seed in SEEDS:
        board = next(one for one in build_leaderboards(records, seed) if one.board == "left")
        shown = next(row for row in board.rows if row.model == "forest")
        assert shown.headline == record(both, "left", "forest", seed).headline


def test_seeds_share_the_folds_and_what_draws_nothing(both: Path) -> None:
    for cohort in COHORTS_OF:
        records = [record(both, cohort, model, seed) for model in MODELS for seed in SEEDS]
        assert len({one.hashes["split"] for one in records}) == 1
        assert len({json.dumps(record(both, cohort, "train_mean", seed).summary) for seed in SEEDS}) == 1


@pytest.mark.parametrize("place", [COHORTS / "expression" / "left", SPLITS, AUDITS, PREDICTIONS, SCORES])
def test_seed_0_is_the_run_of_one_seed_and_one_cohort_to_the_byte(both: Path, one: Path, place: Path) -> None:
    files = [path.relative_to(one) for path in (one / place).rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert (both / path).read_bytes() == (one / path).read_bytes(), path
