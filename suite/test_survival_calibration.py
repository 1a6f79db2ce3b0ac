"""Calibration of the survival protocol on the phantom: ceilings are met, order holds, nothing comes from nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from baselines.registry import load_model_class
from protocols.metrics.concordance import FoldOutcome, harrell_replicates
from protocols.phantom.tcga_patients import censoring_scale, follow_up
from protocols.phantom.tcga_settings import MINI_TCGA
from protocols.records import AVERAGE, ScoreRecord
from protocols.seeds import generator
from protocols.splitting import read_split
from protocols.survival.store import PatientStore
from suite.config import Config
from suite.places import PATIENTS, SCORES, SPLITS
from suite.stages.inputs import read_inputs, weight_parts
from suite.survival.bags import Bags
from suite.survival.views import PatientViews

PROTOCOL, LARGEST = "tcga_survival", "phantom_brca"
CEILINGS = {"survival_oracle": "all", "survival_oracle_image": "image", "survival_oracle_genome": "genome"}
MCAT = ("resnet50", "ctranspath", "chief", "plip", "conch", "uni", "past", "past_multi")
MODELS = (
    "kaplan_meier",
    "shuffled_survival",
    "cox_clinical",
    "cox_elastic_net",
    "random_survival_forest",
    "snn",
    "attention_mil",
    "deep_sets",
    "mcat_resnet50_as_released",
    *(f"mcat_{encoder}" for encoder in MCAT),
)


@pytest.fixture(autouse=True)
def phantom_only(config: Config, records: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).resolve().parents[1])
    if LARGEST not in config.survival.cohorts:
        pytest.skip("this run has no phantom of patients, whose truth is known")


def on(model: str, board: str = AVERAGE) -> ScoreRecord:
    return ScoreRecord.read(SCORES / PROTOCOL / model / board)


def mean(model: str, board: str = AVERAGE) -> float:
    value = on(model, board).headline.mean
    assert value is not None
    return value


@pytest.mark.parametrize("model", CEILINGS)
def test_ceilings_are_met(config: Config, model: str) -> None:
    truth = config.survival.cohorts[LARGEST].truth
    assert truth is not None
    stated = json.loads((truth / "concordance.json").read_text())[CEILINGS[model]]["c_index"]
    headline = on(model).headline
    assert headline.low is not None
    assert headline.high is not None
    assert headline.low <= stated <= headline.high


def test_slide_and_genome_alone_know_less_than_both(config: Config) -> None:
    assert 0.5 < mean("survival_oracle_image") < mean("survival_oracle_genome") < mean("survival_oracle")


@pytest.mark.parametrize("model", MODELS)
def test_no_model_beats_the_ceiling_of_what_it_reads(model: str) -> None:
    reads = {"attention_mil": "survival_oracle_image", "deep_sets": "survival_oracle_image"}
    assert mean(model) < mean(reads.get(model, "survival_oracle"))


def test_no_insight_is_one_half() -> None:
    assert mean("kaplan_meier") == 0.5
    headline = on("shuffled_survival").headline
    assert headline.low is not None
    assert headline.high is not None
    assert headline.low <= 0.5 <= headline.high


@pytest.mark.parametrize("model", ["attention_mil", "deep_sets", "snn", *(f"mcat_{encoder}" for encoder in MCAT)])
def test_networks_learn_on_the_largest_cohort(model: str) -> None:
    low = on(model, LARGEST).headline.low
    assert low is not None
    assert low > 0.5


def test_slide_and_genome_together_beat_the_slide_alone() -> None:
    """On the largest cohort, MCAT over its eight encoders against the better of the two models of slides alone."""
    together = np.mean([mean(f"mcat_{encoder}", LARGEST) for encoder in MCAT])
    assert together > max(mean("attention_mil", LARGEST), mean("deep_sets", LARGEST))


@pytest.mark.parametrize("model", MODELS)
def test_without_an_effect_nothing_is_found(config: Config, model: str) -> None:
    """The same patients, slides and tables, with follow-up drawn at one hazard for all: 0.5 is inside the interval.

    The interval is taken at 99.7 %, 95 % for all of the seventeen models together.
    """
    store = PatientStore(PATIENTS / LARGEST)
    months = censoring_scale(MINI_TCGA, config.seed)
    rng = generator(config.seed, "no effect")
    store.__dict__["time"], store.__dict__["event"] = follow_up(MINI_TCGA, rng, np.zeros(len(store)), months)
    model_class = load_model_class(model, config.adapters, Path.cwd())
    note = read_inputs(model)["bags"].get(LARGEST)
    root = config.survival.cohorts[LARGEST].root
    encoder = model_class.card.encoder
    bags = Bags(LARGEST, store, encoder, root, Path(note["file"])) if encoder else None
    views = PatientViews(store, config.settings(*weight_parts(model, model_class.card)), bags, None)
    outcomes = []
    for fold in read_split(SPLITS / PROTOCOL / LARGEST)[0].folds:
        fitted = model_class()
        fitted.fit(views.training(fold.train))  # type: ignore[arg-type]
        risk = fitted.predict(views.inputs(fold.test)).risk  # type: ignore[arg-type,attr-defined]
        outcomes.append(FoldOutcome(fold.name, store.time[fold.test], store.event[fold.test], risk))
    low, high = np.percentile(harrell_replicates(outcomes, seed=config.seed), (0.15, 99.85))
    assert low <= 0.5 <= high
