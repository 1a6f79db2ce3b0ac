"""Survival through the engine's stages on a tiny TCGA-like phantom and on GSE7390, one after the other, as DVC runs."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from protocols.errors import UserError
from protocols.phantom.tcga import generate_tcga
from protocols.phantom.tcga_settings import MINI_TCGA
from protocols.records import AVERAGE, UNITS_FILE, ScoreRecord
from protocols.sealed import read_seal
from protocols.survival import answers, fit
from reports.leaderboard import build_leaderboards
from reports.tables import columns
from suite.engine.ask import run_ask
from suite.engine.inputs import run_inputs
from suite.engine.predict import Cell, cells_of, predict_cells
from suite.engine.questions import question_of
from suite.engine.read import run_read
from suite.engine.report import run_report
from suite.engine.run import Run
from suite.engine.submit import handed_in, submit
from suite.engine.units import write_units
from suite.places import CACHE, SUBMISSIONS, answers_folder, cohort_folder, score_folder
from tests.suite.engine_run import default_params, params, run_all, the_run, write_params

PROTOCOL = "tcga_survival"
TINY = replace(MINI_TCGA, cohorts=(("brca", 30),), slide=replace(MINI_TCGA.slide, image_px=192, tile_px=192))
MODELS = ["survival_oracle", "kaplan_meier", "cox_elastic_net", "attention_mil"]
GSE7390 = {"reader": "gse7390", "endpoint": "distant metastasis"}


def values(cohorts: dict[str, dict[str, Any]], average: list[str]) -> dict[str, Any]:
    tile = default_params()["tasks"]["survival"]["tile"]
    return params(
        protocols=[PROTOCOL],
        models=MODELS,
        cohorts={"survival": cohorts},
        tasks={"survival": {"tile": tile, "average": average}},
    )


def phantom_entry(root: Path) -> dict[str, Any]:
    named = default_params()["cohorts"]["survival"]["phantom_brca"]
    return {**named, "root": str(root), "truth": str(root / "truth")}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working folder with a finished run."""
    folder = tmp_path_factory.mktemp("checkout")
    generate_tcga(folder / "data", TINY, seed=0)
    cohorts = {"phantom_brca": phantom_entry(folder / "data"), "gse7390": GSE7390}
    write_params(folder, values(cohorts, ["phantom_brca"]))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run_all()
        yield folder


@pytest.fixture
def run(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(checkout)
    return the_run()


def record(model: str, board: str) -> ScoreRecord:
    return ScoreRecord.read(score_folder(PROTOCOL, board, model, 0))


def question(run: Run, board: str) -> Any:
    boards = {one.name: one for one in run.boards}
    return question_of(run, run.protocols[PROTOCOL], boards[board])


def test_boards_of_every_model(run: Run) -> None:
    oracle = record("survival_oracle", "phantom_brca").headline.mean
    assert oracle is not None
    assert oracle > 0.65
    assert record("kaplan_meier", "gse7390").headline.mean == 0.5
    for model, reason in (
        ("survival_oracle", "needs a known truth, and a real cohort has none"),
        ("attention_mil", "needs slides, and the cohort has none"),
    ):
        assert (record(model, "gse7390").status, record(model, "gse7390").reason) == ("skipped", reason)
    weights = record("attention_mil", "phantom_brca").weights
    assert [part["source"] for part in weights] == ["random", "none"]  # the encoder; the head learns here


def test_the_average_of_one_cohort_is_that_cohort(run: Run) -> None:
    for model in MODELS:
        mean, one = record(model, AVERAGE), record(model, "phantom_brca")
        assert (mean.counts, mean.pseudo_values["value"]) == (one.counts, one.pseudo_values["value"])
        assert (mean.headline.mean, mean.headline.low) == pytest.approx((one.headline.mean, one.headline.low))
        assert mean.summary == {**one.summary, "logrank_p": None}  # groups of several cohorts are no one test
        assert mean.details == {"cohorts": {"phantom_brca": one.headline.mean}}
    units = pd.read_parquet(score_folder(PROTOCOL, AVERAGE, "kaplan_meier", 0) / UNITS_FILE)
    assert list(units.columns) == ["fold", "patient", "time", "event", "risk", "cohort"]
    assert set(units["cohort"]) == {"phantom_brca"}


def test_report_has_a_board_a_cohort(run: Run) -> None:
    boards = json.loads(run_report(run).json.read_text())["leaderboards"]
    assert sorted(board["board"] for board in boards) == ["average", "gse7390", "phantom_brca"]


def cell(run: Run, model: str) -> list[Cell]:
    return [one for one in cells_of(run, run_inputs(run), (model,)) if one.board.name == "phantom_brca"]


def test_a_killed_run_goes_on_and_ends_in_the_same_bytes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = answers_folder(PROTOCOL, "phantom_brca", "attention_mil", 0)
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    shutil.rmtree(folder)
    for kept in CACHE.glob(f"*/{PROTOCOL}/phantom_brca/attention_mil*"):
        if kept.parts[-4] != "scores":
            shutil.rmtree(kept)
    real = answers.write
    done: list[str] = []
    again: list[str] = []

    def killed(path: Path, *rest: Any) -> None:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(path.name)
        real(path, *rest)

    monkeypatch.setattr(fit, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        predict_cells(run, cell(run, "attention_mil"))
    assert not folder.exists()

    def counted(path: Path, *rest: Any) -> None:
        again.append(path.name)
        real(path, *rest)

    monkeypatch.setattr(fit, "write", counted)
    predict_cells(run, cell(run, "attention_mil"))
    assert sorted([*done, *again]) == [f"{number:04d}.parquet" for number in range(5)]  # two were kept
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole


def test_an_outcome_among_the_features_stops_the_run(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The leak of the released code, planted under a gene's name: nothing is fitted behind the audit."""
    table = pd.read_csv(checkout / "data" / "brca" / "tcga_brca_all_clean.csv.zip")
    table.assign(MYC_rnaseq=1.0 - table["censorship"]).to_csv(tmp_path / "t.csv", index=False)
    write_params(tmp_path, values({"leaking": {"reader": "mcat", "root": ".", "table": "t.csv"}}, []))
    monkeypatch.chdir(tmp_path)
    run = the_run()
    run_read(run)
    named = re.escape("no outcome among the features, by content: 'MYC_rnaseq': AUC for the event 1.000")
    with pytest.raises(UserError, match=named):
        run_ask(run)


def test_an_average_of_an_unknown_cohort_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_params(
        tmp_path, values({"gse7390": GSE7390, "other": GSE7390}, ["gse7390", "gse7930"]) | {"models": MODELS[1:2]}
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"tasks\.survival\.average: unknown cohort 'gse7930'.*did you mean 'gse7390'"):
        run_all()


def theirs(run: Run) -> pd.DataFrame:
    """Follow-up itself as somebody's risks."""
    rows = []
    for board in run.boards:
        asked = question(run, board.name)
        store = asked.cohort.store
        for fold in asked.split.folds:
            rows += [(board.name, fold.name, store.patients[row], float(-store.time[row])) for row in fold.test]
    return pd.DataFrame(rows, columns=["cohort", "fold", "patient", "risk"])


def handed(run: Run, path: Path, model: str | None = None) -> list[ScoreRecord]:
    return submit(run, run.protocols[PROTOCOL], handed_in(run.config, run.tasks["survival"], path, model, "a note"))


@pytest.fixture
def no_submission_left(run: Run) -> Iterator[None]:
    yield
    shutil.rmtree(SUBMISSIONS, ignore_errors=True)


@pytest.mark.usefixtures("no_submission_left")
def test_a_submission_is_scored_in_any_row_order(run: Run, tmp_path: Path) -> None:
    table = theirs(run).sample(frac=1, random_state=0).rename(columns={"patient": "case_id", "risk": "risk_score"})
    table.assign(comment="x").to_csv(tmp_path / "mine.csv", index=False)
    records = handed(run, tmp_path / "mine.csv", "mine")
    assert {one.board for one in records} == {"phantom_brca", "gse7390", "average"}
    assert all(one.headline.mean is not None and one.headline.mean > 0.98 for one in records)  # equal times are ties
    assert records[0].weights[0]["source"] == "predictions only"


@pytest.mark.usefixtures("no_submission_left")
def test_a_models_own_answers_handed_in_have_its_very_scores(run: Run, tmp_path: Path) -> None:
    """Risks alone: each fold has a time grid of its own, and a table has one column a time."""
    folder, folds = answers_folder(PROTOCOL, "gse7390", "cox_elastic_net", 0), question(run, "gse7390").split.folds
    parts = [pd.read_parquet(folder / f"{n:04d}.parquet").assign(fold=fold.name) for n, fold in enumerate(folds)]
    parts = [part[["fold", "patient", "risk"]] for part in parts]
    pd.concat(parts).assign(cohort="gse7390").to_parquet(tmp_path / "own.parquet")
    (copy,), own = handed(run, tmp_path / "own.parquet", "copy"), record("cox_elastic_net", "gse7390")
    assert (copy.headline, copy.pseudo_values) == (own.headline, own.pseudo_values)
    assert copy.summary == {**own.summary, "brier_integrated": None}


@pytest.mark.usefixtures("no_submission_left")
def test_several_models_and_one_cohort(run: Run, tmp_path: Path) -> None:
    table = theirs(run).query("cohort == 'gse7390'")
    both = pd.concat([table.assign(model="a"), table.assign(model="b", risk=0.0)])
    both.to_parquet(tmp_path / "both.parquet")
    records = handed(run, tmp_path / "both.parquet")
    assert [(r.model, r.board, r.headline.mean) for r in records] == [("a", "gse7390", 1.0), ("b", "gse7390", 0.5)]
    assert [r.notes for r in records] == [[], ["degenerate scale: risk is the same for all in 5 of 5 folds"]]


@pytest.mark.usefixtures("no_submission_left")
def test_a_patient_declared_missing_is_wrong_in_every_pair_and_stands_beside(run: Run, tmp_path: Path) -> None:
    table = theirs(run).query("cohort == 'gse7390'").reset_index(drop=True)
    table.assign(risk=table["risk"].where(table.index % 10 > 0)).to_csv(tmp_path / "part.csv", index=False)
    (found,) = handed(run, tmp_path / "part.csv", "part")
    missing = int((table.index % 10 == 0).sum())
    assert found.summary["harrell_mean_answered"] == 1.0  # by time itself
    assert found.summary["answered_share"] == pytest.approx(1 - missing / len(table))
    assert 0.7 < (found.headline.mean or 0) < 0.95
    for key in ("uno_mean", "auc_mean", "harrell_pooled"):
        assert (found.summary[key] or 0) < 0.97
    assert found.notes[0].startswith(f"{missing} of {len(table)} patients were declared missing")
    others = [record(model, "gse7390") for model in ("kaplan_meier", "cox_elastic_net")]
    assert all(one.summary["answered_share"] == 1.0 for one in others)
    (plain,) = build_leaderboards(others, 0)
    (board,) = build_leaderboards([*others, found], 0)
    shown = {column.title: column for column in columns(board)}
    new = set(shown) - {column.title for column in columns(plain)}  # of two ranked models, one is behind the other
    assert new == {"C-index, answered", "Answered", "Behind the best"}
    (row,) = [one for one in board.rows if one.model == "part"]
    assert (shown["C-index, answered"].text(row), shown["Answered"].text(row)) == ("1.000", "0.899")
    assert any("declared missing" in notice.text for notice in board.notices)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.drop(columns="risk"), "no column 'risk'"),
        (lambda t: pd.concat([t, t.iloc[:1]]), "twice"),
        (lambda t: t.iloc[1:], "1 test patients missing"),
        (lambda t: t.assign(patient=t["patient"].replace({t["patient"].iloc[0]: "nobody"})), "not test patients"),
        (lambda t: t.assign(risk=t["risk"].where(t.index != 3, np.inf)), "is not finite"),
        (lambda t: t.assign(risk=np.nan), "every unit is declared missing"),
        (lambda t: t.assign(risk="high"), "not numeric"),
        (lambda t: t.assign(fold="9"), "unknown fold '9'"),
        (lambda t: t.assign(fold=t["fold"].replace({"0": "1", "1": "0"})), "not test patients"),
        (lambda t: t[t["fold"] != "4"], "no row for fold '4'"),
        (lambda t: t.assign(cohort="phantom_brac"), "did you mean 'phantom_brca'"),
        (lambda t: t.assign(cohort="../phantom_brca"), "unknown cohort"),
        (lambda t: t.assign(model="kaplan_meier"), "is a model of params.yaml"),
        (lambda t: t.assign(model="../up"), "is no plain name"),
        (lambda t: t.assign(**{"S(ten)": 0.5}), r"S\(ten\)"),
        (lambda t: t.assign(**{"S(10)": 0.5, "S(20)": 0.6}), "not valid"),
    ],
)
def test_a_malformed_submission_is_one_clear_line(run: Run, tmp_path: Path, spoil: Any, message: str) -> None:
    spoil(theirs(run).assign(model="mine")).to_csv(tmp_path / "mine.csv", index=False)
    with pytest.raises(UserError, match=message) as caught:
        handed(run, tmp_path / "mine.csv")
    assert "\n" not in str(caught.value)
    assert not list(SUBMISSIONS.glob("*/*/*"))


def test_units_say_who_is_tested_where(run: Run, tmp_path: Path) -> None:
    n = write_units(run, run.protocols[PROTOCOL], tmp_path / "units.csv")
    table = pd.read_csv(tmp_path / "units.csv", dtype=str)
    assert list(table.columns) == ["cohort", "fold", "role", "patient"]
    assert len(table) == n == 5 * (30 + 198)
    assert (table.query("role == 'test'").groupby("cohort")["patient"].nunique() == [198, 30]).all()


def test_the_seal_is_the_only_hash_of_a_stored_cohort(run: Run) -> None:
    folder = cohort_folder("survival", "phantom_brca")
    assert "hash" not in json.loads((folder / "cohort.json").read_text())
    assert read_seal(folder, "cohort").files.keys() == {
        "clinical.parquet", "cohort.json", "genomic.parquet", "outcome.parquet", "tiles.parquet",
    }  # fmt: skip


def test_the_phantom_regenerates_to_the_byte(checkout: Path, tmp_path: Path) -> None:
    generate_tcga(tmp_path, TINY, seed=0)
    written = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > 30
    for path in written:
        assert (checkout / "data" / path).read_bytes() == (tmp_path / path).read_bytes(), path
    with zipfile.ZipFile(tmp_path / "brca" / "tcga_brca_all_clean.csv.zip") as archive:
        assert archive.infolist()[0].date_time[0] == 2021


def test_answers_of_a_fold_are_in_the_order_of_its_patients(run: Run) -> None:
    asked = question(run, "phantom_brca")
    for number, fold in enumerate(asked.split.folds):
        told = pd.read_parquet(answers_folder(PROTOCOL, "phantom_brca", "survival_oracle", 0) / f"{number:04d}.parquet")
        assert told["patient"].tolist() == np.array(asked.cohort.store.patients)[fold.test].tolist()
