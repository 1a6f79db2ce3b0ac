"""A board from tables to records: controls where theory puts them, zero effect, answers handed in, numbers by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from protocols.errors import UserError
from protocols.metrics.auc_influence import LOGIT
from protocols.metrics.intervals import fold_interval
from protocols.records import UNITS_FILE, ScoreRecord
from protocols.response.notices import notices
from protocols.response.score import ScoredFold, score_folds
from suite.engine.run import Run
from suite.engine.submit import handed_in, submit
from suite.engine.units import write_units
from suite.places import score_folder
from tests.suite.engine.small.response import entry, write_patients
from tests.suite.engine_run import params, run_all, the_run, write_params

MODELS = [
    "response_prevalence", "shuffled_response", "response_oracle", "logistic_pdl1", "logistic_tmb",
    "logistic_protein", "logistic_niche", "logistic_all",
]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two cohorts of 148: with an effect, and with none."""
    folder = tmp_path_factory.mktemp("response")
    write_patients(folder / "real", 148, seed=1)
    write_patients(folder / "nothing", 148, seed=2, effect=0.0)
    told = {name: entry(name) for name in ("real", "nothing")}
    values = params(
        protocols=["response"], models=MODELS, cohorts={"response": told}, tasks={"response": {}}, adapters={}
    )
    write_params(folder, values)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield run_all(the_run())


def record(model: str, board: str = "real") -> ScoreRecord:
    return ScoreRecord.read(score_folder("response", board, model, 0))


def test_numbers_are_those_of_scikit_learn(run: Run) -> None:
    found, folder = record("logistic_all"), score_folder("response", "real", "logistic_all", 0)
    units = pd.read_parquet(folder / UNITS_FILE)
    assert len(units) == 148
    parts = [part for _, part in units.groupby("fold")]
    within = [roc_auc_score(part["response"], part["probability"]) for part in parts]
    precision = [average_precision_score(part["response"], part["probability"]) for part in parts]
    assert found.headline.mean == pytest.approx(np.mean(within))
    assert found.summary["auc_sd"] == pytest.approx(np.std(within))
    assert found.summary["auc_pooled"] == pytest.approx(roc_auc_score(units["response"], units["probability"]))
    assert found.summary["auprc_mean"] == pytest.approx(np.mean(precision))
    assert found.summary["brier"] == pytest.approx(brier_score_loss(units["response"], units["probability"]))
    told = pd.read_csv("real/outcome.csv").set_index("patient")["response"]
    assert (units.set_index("patient")["response"] == told.reindex(units["patient"]).astype(bool)).all()


def test_the_scale_is_bracketed(run: Run) -> None:
    prevalence, oracle = record("response_prevalence"), record("response_oracle")
    assert (prevalence.headline.mean, prevalence.headline.low, prevalence.headline.high) == (0.5, 0.5, 0.5)
    assert prevalence.summary["calibration_slope"] is None
    truth = pd.read_parquet("real/truth/patients.parquet").set_index("patient")["probability_all"]
    told = pd.read_csv("real/outcome.csv").set_index("patient")["response"]
    assert oracle.summary["auc_pooled"] == pytest.approx(roc_auc_score(told, truth.reindex(told.index)))
    assert covers(record("shuffled_response"), 0.5)
    for name in ("logistic_tmb", "logistic_protein", "logistic_niche", "logistic_all"):
        assert 0.5 < (record(name).headline.mean or 0) < (oracle.headline.mean or 0)


@pytest.mark.parametrize("model", MODELS)
def test_without_an_effect_nothing_is_found(run: Run, model: str) -> None:
    """At 99.7 %, some 95 % for all of the models together."""
    values = record(model, "nothing").values
    assert values is not None
    found = fold_interval(values, LOGIT, least=30, level=0.997)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= 0.5 <= found.high


def covers(found: ScoreRecord, value: float) -> bool:
    low, high = found.headline.low, found.headline.high
    assert low is not None
    assert high is not None
    return low <= value <= high


def test_a_strangers_table(run: Run, tmp_path: Path) -> None:
    """Patient and probability are enough; the oracle's own answers score as the oracle."""
    truth = pd.read_parquet("real/truth/patients.parquet").rename(columns={"probability_all": "probability"})
    table = truth.assign(cohort="real")[["cohort", "patient", "probability"]]
    (found,) = hand_in(run, table, tmp_path)
    assert found.headline == record("response_oracle").headline
    write_units(run, run.protocols["response"], tmp_path / "units.csv")
    units = pd.read_csv(tmp_path / "units.csv", dtype=str)
    asked = units[(units["role"] == "test") & (units["cohort"] == "real")]
    (same,) = hand_in(run, asked.merge(table[["patient", "probability"]], on="patient"), tmp_path)
    assert same.headline == found.headline


def test_who_is_declared_missing_counts_as_the_worst(run: Run, tmp_path: Path) -> None:
    truth = pd.read_parquet("real/truth/patients.parquet").rename(columns={"probability_all": "probability"})
    table = truth.assign(cohort="real")
    table.loc[:9, "probability"] = np.nan
    (found,) = hand_in(run, table, tmp_path)
    whole = record("response_oracle").headline.mean
    assert found.summary["answered_share"] == pytest.approx(138 / 148)
    assert (found.headline.mean or 1) < (whole or 0)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t.iloc[1:], "1 test patients are missing"),
        (lambda t: pd.concat([t, t.iloc[:1]]), "patient P000 twice"),
        (lambda t: t.assign(probability=t["probability"] * 10), "hand in probabilities, not scores"),
        (lambda t: t.rename(columns={"probability": "risk"}), "no column 'probability'"),
        (lambda t: t.assign(fold="0"), "in fold '0'; expected fold"),
        (lambda t: t.assign(patient="X" + t["patient"]), "are not test patients"),
    ],
)
def test_a_table_that_will_not_do(run: Run, tmp_path: Path, change: Any, says: str) -> None:
    truth = pd.read_parquet("real/truth/patients.parquet").rename(columns={"probability_all": "probability"})
    with pytest.raises(UserError, match=says):
        hand_in(run, change(truth.assign(cohort="real")), tmp_path)


def hand_in(run: Run, table: pd.DataFrame, folder: Path) -> list[ScoreRecord]:
    table.to_csv(folder / "given.csv", index=False)
    return submit(
        run, run.protocols["response"], handed_in(run.config, run.tasks["response"], folder / "given.csv", "theirs", "")
    )


def test_a_fold_with_one_outcome_is_left_out_and_counted() -> None:
    rng = np.random.default_rng(0)
    parts = []
    for name, share in (("a", 0.5), ("b", 0.5), ("c", 0.0)):
        response = np.arange(30) < 30 * share
        names = np.array([f"{name}{k}" for k in range(30)])
        parts.append(ScoredFold(name, names, response, rng.random(30)))
    found = score_folds(parts)
    assert found.counts["undefined_folds"] == 1
    expected = np.mean([roc_auc_score(part.response, part.probability) for part in parts[:2]])
    assert found.headline.mean == pytest.approx(expected)
    assert found.headline.n_patients == 60


def test_the_decision_curve_by_hand() -> None:
    """Ten patients, four respond, told .8 and .3: at .5 three true and one false are treated."""
    response = np.array([True] * 4 + [False] * 6)
    told = np.array([0.8, 0.8, 0.8, 0.3, 0.8, *[0.3] * 5])
    found = score_folds([ScoredFold("0", np.array([str(k) for k in range(10)]), response, told)])
    curve = {one["threshold"]: one for one in found.details["response"]["decision"]}
    assert curve[0.5]["model"] == pytest.approx(3 / 10 - 1 / 10)
    assert curve[0.5]["all"] == pytest.approx(4 / 10 - 6 / 10)
    assert found.summary["net_benefit"] == pytest.approx(3 / 10 - 1 / 10 * 0.4 / 0.6)
    assert found.headline.reason == "4 of the 10 patients of either outcome that an interval needs"


def test_notices(run: Run) -> None:
    told = dict(notices([record("logistic_all")]))
    assert "An AUPRC of" in told["note"]
    assert not notices([])
