"""MCAT's published risks through this protocol's scoring: all 165 folds, every table cell, pooled, and Uno's C."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from protocols.metrics.concordance import harrell, uno
from protocols.survival.score import ScoredFold, SurvivalScores, score_folds
from tests.cohorts import real_data

pytestmark = pytest.mark.realdata

# Mean and population SD over five folds, as MCAT's repository prints them.
TABLE = {
    "MCAT": {"tcga_blca": (0.624, 0.034), "tcga_brca": (0.580, 0.069), "tcga_luad": (0.620, 0.032)},
    "SNN": {"tcga_blca": (0.541, 0.016), "tcga_brca": (0.466, 0.058), "tcga_luad": (0.539, 0.069)},
    "AMIL": {"tcga_blca": (0.536, 0.038), "tcga_brca": (0.564, 0.050), "tcga_luad": (0.559, 0.060)},
}
POOLED = {"tcga_blca": 0.618, "tcga_brca": 0.578, "tcga_luad": 0.612}
UNO_TO_THE_END = {"tcga_blca": 0.563, "tcga_brca": 0.596, "tcga_luad": 0.599}
SIZES = {"tcga_blca": (373, 169), "tcga_brca": (956, 130), "tcga_luad": (453, 158)}


@pytest.fixture(scope="module")
def risks() -> pd.DataFrame:
    return pd.read_csv(real_data("mcat") / "published_predictions.csv.gz")


def folds_of(risks: pd.DataFrame, model: str, cohort: str) -> list[ScoredFold]:
    """Each validation fold, trained on all other patients of the cohort."""
    table = risks[(risks["model"] == model) & (risks["cohort"] == cohort)]
    made = []
    for name in sorted(table["fold"].unique()):
        test, train = table[table["fold"] == name], table[table["fold"] != name]
        made.append(
            ScoredFold(
                name=str(name),
                patient=test["case_id"].to_numpy(str),
                time=test["survival_months"].to_numpy(np.float64),
                event=(test["censorship"] == 0).to_numpy(),
                risk=test["risk"].to_numpy(np.float64),
                train_time=train["survival_months"].to_numpy(np.float64),
                train_event=(train["censorship"] == 0).to_numpy(),
            )
        )
    return made


@pytest.fixture(scope="module")
def mcat(risks: pd.DataFrame) -> dict[str, SurvivalScores]:
    return {cohort: score_folds(folds_of(risks, "MCAT", cohort)) for cohort in SIZES}


def test_all_165_fold_c_indices(risks: pd.DataFrame) -> None:
    expected = pd.read_csv(real_data("mcat") / "cindex_per_fold.csv").set_index(["model", "cohort", "fold"])["cindex"]
    measured = {}
    for key, part in risks.groupby(["model", "cohort", "fold"]):
        time, risk = (part[name].to_numpy(np.float64) for name in ("survival_months", "risk"))
        measured[key] = harrell(time, (part["censorship"] == 0).to_numpy(), risk).value
    assert len(expected) == 165
    assert set(measured) == set(expected.index)
    worst = max(abs(measured[key] - value) for key, value in expected.items())
    print(f"largest difference of {len(expected)} published C-indices: {worst:.1e}")
    assert worst < 1e-9


@pytest.mark.parametrize("model", TABLE)
def test_the_printed_table(risks: pd.DataFrame, model: str) -> None:
    for cohort, cell in TABLE[model].items():
        found = score_folds(folds_of(risks, model, cohort)).summary
        assert (round(found["harrell_mean"], 3), round(found["harrell_sd"], 3)) == cell


@pytest.mark.parametrize("cohort", SIZES)
def test_mcat_beyond_the_table(mcat: dict[str, SurvivalScores], risks: pd.DataFrame, cohort: str) -> None:
    scores = mcat[cohort]
    assert (scores.counts["patients"], scores.counts["events"]) == SIZES[cohort]
    assert round(scores.summary["harrell_pooled"], 3) == POOLED[cohort]
    to_the_end = [
        uno(f.train_time, f.train_event, f.time, f.event, f.risk, tau=float(f.train_time.max()))[0]
        for f in folds_of(risks, "MCAT", cohort)
    ]
    assert round(float(np.mean(to_the_end)), 3) == UNO_TO_THE_END[cohort]
    low, high = scores.headline.low, scores.headline.high
    print(f"{cohort}: {scores.headline.mean:.3f} [{low:.3f}, {high:.3f}], Uno {scores.summary['uno_mean']:.3f}")
    assert 0.04 < high - low < 0.25
    assert low < scores.headline.mean < high


def test_median_risk_halves_of_mcat_differ_in_the_right_direction(mcat: dict[str, SurvivalScores]) -> None:
    for cohort, scores in mcat.items():
        low, high = scores.survival["curves"]
        assert abs(low["n"] - high["n"]) <= 5  # odd folds give the median to the low half
        assert high["events"] > low["events"], cohort
        assert all(before >= after for before, after in pairwise(high["survival"]))
        table = scores.survival["at_risk"]
        assert table["low"][0] + table["high"][0] == SIZES[cohort][0]
