"""The contract tests as a stage: a model that fails one is marked, or left out by a setting, and stops nothing."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from baselines.registry import load_model_class
from reports.cells import load_records
from reports.leaderboard import build_leaderboards
from suite.engine.checking import one_code
from suite.engine.contract import run_check
from suite.engine.report import cells, contracts, run_report
from suite.engine.run import Run
from suite.places import CHECKS, REPORTS
from tests.suite.engine_run import params, run_all, the_run, write_params

BATCH = """
import numpy as np
from baselines.survival.cox_clinical import CoxClinical
from dataclasses import replace
from protocols.survival.contract import SurvivalPrediction

class Batch(CoxClinical):
    card = replace(CoxClinical.card, name="batch", title="Batch", published=())
    def predict(self, test):
        risk = super().predict(test).risk
        return SurvivalPrediction((risk - risk.mean()) / max(risk.std(), 1e-9))
"""
CRASHING = """
import os
from baselines.survival.kaplan_meier import KaplanMeier
from dataclasses import replace

class Crashing(KaplanMeier):
    card = replace(KaplanMeier.card, name="crashing", title="Crashing", kind="model", published=())
    def fit(self, train):
        if str(train.patient[0]).startswith("toy-"):
            os._exit(3)
        super().fit(train)
"""
WEIGHTED = """
from pathlib import Path
from baselines.survival.kaplan_meier import KaplanMeier
from dataclasses import replace

class Weighted(KaplanMeier):
    card = replace(KaplanMeier.card, name="weighted", title="Weighted", kind="model", published=())
    def fit(self, train):
        if str(train.patient[0]).startswith("toy-"):
            Path("/nowhere/weights.bin").read_bytes()
        super().fit(train)
"""
OWN = {"batch": BATCH, "crashing": CRASHING, "weighted": WEIGHTED}
RAN = "kaplan_meier"
RIDGE = "sklearn.linear_model:Ridge"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GSE7390 through every stage, once."""
    folder = tmp_path_factory.mktemp("contract")
    for name, text in OWN.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    write_params(folder, settings())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run = run_all()
        run_check(run)
        run_report(run)
    return folder


def settings(**changes: object) -> dict[str, object]:
    return params(
        protocols=["tcga_survival"],
        models=[RAN, "cox_clinical", *OWN],
        cohorts={"survival": {"gse7390": {"reader": "gse7390"}}},
        tasks={},
        adapters={name: f"{name}.py:{name.capitalize()}" for name in OWN},
        **changes,
    )


@pytest.fixture
def here(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(made)
    write_params(made, settings())
    return made


def rows() -> dict[str, dict[str, str]]:
    with (REPORTS / "leaderboards.csv").open(encoding="utf-8") as file:
        return {row["model"]: row for row in csv.DictReader(file)}


def seals() -> dict[str, int]:
    return {path.parent.name.partition("@")[0]: path.stat().st_mtime_ns for path in
            Path("runs/cache/contract").glob("*@*/seal.json")}  # fmt: skip


def failing(model: str) -> list[str]:
    checks = json.loads((CHECKS / model / "contract.json").read_text(encoding="utf-8"))["checks"]
    return [one["check"] for one in checks if one["problem"]]


def test_a_model_that_normalises_by_the_test_patients_is_marked(here: Path) -> None:
    alone = "a test patient's answer does not depend on their companions"
    assert failing("batch") == [alone]
    found = rows()
    assert found["batch"]["contract"].startswith(f"failed: {alone}: a patient alone is answered differently")
    assert found["batch"]["rank"]
    assert found["cox_clinical"]["contract"] == found[RAN]["contract"] == "passed"
    markdown = (REPORTS / "leaderboards.md").read_text(encoding="utf-8")
    assert f"{found['batch']['rank']} †" in markdown
    assert f"† fails a contract test: Batch: {alone}" in markdown
    assert r"$\dagger$ fails a contract test: Batch" in (REPORTS / "leaderboards.tex").read_text(encoding="utf-8")
    page = (REPORTS / "index.html").read_text(encoding="utf-8")
    assert "† fails a contract test: Batch" in page
    assert page.count('<abbr class="mark"') == 2  # the other one's process ended


def test_a_model_that_ends_its_process_in_a_check_stops_nobody(here: Path) -> None:
    assert failing("crashing") == ["the process that tests it lives on"]
    assert "its process ended with status 3" in rows()["crashing"]["contract"]


def test_a_model_whose_weights_are_absent_is_untested_and_told_so(here: Path) -> None:
    assert rows()["weighted"]["contract"].startswith("untested: fit and predict answer")
    markdown = (REPORTS / "leaderboards.md").read_text(encoding="utf-8")
    assert "Not tested against the contract: Weighted" in markdown


def test_it_is_left_out_by_the_setting(here: Path) -> None:
    write_params(here, settings(contract="leave_out"))
    run = the_run()
    (board,) = build_leaderboards(load_records(cells(run)), 0, contracts=contracts(run.config))
    found = {row.model: row for row in board.rows}
    left = found["batch"]
    assert (left.rank, left.group) == (None, "unranked")
    assert left.reason.startswith("left out of the ranking: fails a contract test: a test patient's answer")
    assert found["cox_clinical"].rank == 1


def test_nothing_changed_nothing_is_checked_and_an_edit_checks_its_own_model(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = seals()
    assert set(before) == {RAN, "cox_clinical", *OWN}
    run_check(the_run())
    assert seals() == before
    (here / "batch.py").write_text(BATCH.replace("(risk - risk.mean()) / max(risk.std(), 1e-9)", "risk * 2"))
    run_check(fresh())
    after = seals()
    assert {name for name in after if after[name] != before[name]} == {"batch"}
    assert failing("batch") == []


def test_models_of_earlier_run_files_are_removed(here: Path) -> None:
    write_params(here, settings() | {"models": [RAN]})
    run_check(fresh())
    assert [path.name for path in CHECKS.iterdir()] == [RAN]


def fresh() -> Run:
    """A run in a new process would read every source anew."""
    from suite.engine import keys

    keys.closure.cache_clear()
    return the_run()


def test_models_are_one_code_only_if_their_cards_are_all_that_differs() -> None:
    def known(name: str) -> tuple[object, ...]:
        return one_code(
            load_model_class(name, {"a": f"{RIDGE}(alpha=1) @ uni", "b": f"{RIDGE}(alpha=9) @ uni"}, Path())
        )

    assert known("mcat_uni") == known("mcat_plip") != known("mcat_past_multi")
    assert known("uni") == known("conch") != known("uni_hest")
    assert known("a") != known("b")
    base = load_model_class("mcat_uni", {}, Path())
    assert one_code(type("Another", (base,), {"card": base.card, "__init__": lambda self: None})) != one_code(base)
