"""Calibration of bulk expression and its maps on the phantom: ceilings, controls, order, and the published traps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from protocols.records import AVERAGE, ScoreRecord
from protocols.registry import load_protocol
from suite.config import Config
from suite.places import SCORES, score_folder

COHORTS = ("phantom_brca", "phantom_luad", "phantom_gbm")
LEARNED = (
    "ridge_mean_feature",
    "nearest_slides",
    "he2rna",
    "he2rna_pretrained",
    "sequoia_vit",
    "sequoia_vit_pretrained",
    "sequoia_vis",
    "sequoia_vis_pretrained",
)
"""Networks that the mini profile's smaller caps serve as well as the published ones; see docs/bulk.md."""


@pytest.fixture(autouse=True)
def phantom_only(config: Config, records: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).resolve().parents[1])
    if any(name not in config.cohorts.get("bulk", {}) for name in COHORTS):
        pytest.skip("this run has no phantom of bulk expression, whose truth is known")


def on(model: str, board: str = AVERAGE) -> ScoreRecord:
    return ScoreRecord.read(score_folder("tcga_expression", board, model, 0))


def maps(model: str) -> ScoreRecord:
    return ScoreRecord.read(score_folder("gbm_spatial", "phantom_sections", model, 0))


def mean(record: ScoreRecord) -> float:
    assert record.headline.mean is not None
    return record.headline.mean


def of(record: ScoreRecord, key: str) -> float:
    value = record.summary[key]
    assert value is not None
    return value


@pytest.mark.parametrize("cohort", COHORTS)
def test_the_oracle_reaches_what_the_phantom_says(cohort: str) -> None:
    record = on("bulk_oracle", cohort)
    stated = np.mean([gene["reachable"] for gene in record.per_gene])
    assert abs(mean(record) - stated) < 0.03


@pytest.mark.parametrize("cohort", COHORTS)
def test_controls_are_at_zero(cohort: str) -> None:
    assert abs(mean(on("bulk_train_mean", cohort))) < 1e-9
    assert abs(mean(on("bulk_shuffled", cohort))) < 0.04


@pytest.mark.parametrize("cohort", COHORTS)
def test_joining_folds_pushes_the_training_mean_below_zero(cohort: str) -> None:
    """The published pooling: a model that knows nothing gets a negative r, which no fold shows."""
    assert of(on("bulk_train_mean", cohort), "pearson_pooled") < -0.05


@pytest.mark.parametrize("model", LEARNED)
def test_learned_models_beat_the_controls_and_stay_below_the_oracle(model: str) -> None:
    low = on(model).headline.low
    assert low is not None
    assert low > 0.05
    assert mean(on(model)) < mean(on("bulk_oracle"))


@pytest.mark.parametrize("model", LEARNED)
@pytest.mark.parametrize("cohort", COHORTS)
def test_genes_that_leave_no_trace_are_not_predicted(model: str, cohort: str) -> None:
    assert abs(of(on(model, cohort), "pearson_invisible_genes")) < 0.12  # 30 genes that share hidden programs


@pytest.mark.parametrize("model", ["bulk_train_mean", "bulk_shuffled"])
def test_nothing_is_well_predicted_by_a_control(model: str) -> None:
    for cohort in COHORTS:
        record = on(model, cohort)
        assert of(record, "well_predicted_share") <= 0.02


def test_more_patients_find_more_genes() -> None:
    """As in the paper's Table A4: BRCA has 180 patients here, LUAD 100, GBM 80."""
    counts = [of(on("ridge_mean_feature", cohort), "well_predicted") for cohort in COHORTS]
    assert counts == sorted(counts, reverse=True)


def test_most_discovered_genes_of_the_oracle_hold_in_the_external_cohort() -> None:
    assert of(on("bulk_oracle", "phantom_brca"), "external_held_share") > 0.6
    assert of(on("ridge_mean_feature", "phantom_brca"), "external_pearson") > 0.1


def test_maps_are_bracketed_by_controls() -> None:
    oracle, ridge = mean(maps("bulk_oracle")), mean(maps("ridge_mean_feature"))
    assert mean(maps("map_neighbour_mean")) > oracle > ridge > 0.05
    assert abs(mean(maps("map_shuffled"))) < 0.03
    assert abs(mean(maps("bulk_train_mean"))) < 1e-9
    controls = {card.name for card in load_protocol("gbm_spatial").controls}
    assert controls <= {path.name for path in (SCORES / "gbm_spatial" / "phantom_sections").iterdir()}


def test_shuffled_maps_go_beyond_the_trend_as_often_as_chance() -> None:
    assert of(maps("map_shuffled"), "beyond_trend") <= 0.12


def test_a_constant_map_beats_every_learned_model_by_earth_movers_distance() -> None:
    """Why maps are not ranked by the paper's metric."""
    constant = of(maps("bulk_train_mean"), "emd_median")
    assert all(of(maps(model), "emd_median") > constant for model in LEARNED)
