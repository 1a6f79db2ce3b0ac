"""Calibration of the survival protocol on the phantom: ceilings are met, order holds, nothing comes from nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from baselines.registry import load_model_class
from protocols.metrics.concordance import FoldOutcome
from protocols.metrics.concordance_influence import LEAST_PATIENTS, mean_concordance
from protocols.metrics.intervals import UNIT, fold_interval
from protocols.phantom.tcga_patients import censoring_scale, follow_up
from protocols.phantom.tcga_settings import MINI_TCGA
from protocols.records import AVERAGE, ScoreRecord
from protocols.seeds import generator
from protocols.survival.bags import TILES, Bags
from protocols.survival.view_makers import PatientViews
from suite.config import Config
from suite.engine.inputs import run_inputs
from suite.engine.questions import question_of
from suite.engine.run import Run
from suite.places import score_folder

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
    if LARGEST not in config.cohorts.get("survival", {}):
        pytest.skip("this run has no phantom of patients, whose truth is known")


def on(model: str, board: str = AVERAGE) -> ScoreRecord:
    return ScoreRecord.read(score_folder(PROTOCOL, board, model, 0))


def mean(model: str, board: str = AVERAGE) -> float:
    value = on(model, board).headline.mean
    assert value is not None
    return value


@pytest.mark.parametrize("model", CEILINGS)
def test_ceilings_are_met(config: Config, model: str) -> None:
    truth = Path(config.cohorts["survival"][LARGEST]["truth"])
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
    run = Run(config.model_copy(update={"protocols": (PROTOCOL,), "models": (model,)}))
    ((protocol, board),) = [pair for pair in run.fit_boards if pair[1].name == LARGEST]
    question = question_of(run, protocol, board, truth=False)
    store, months = question.cohort.store, censoring_scale(MINI_TCGA, config.seed)
    rng = generator(config.seed, "no effect")
    store.__dict__["time"], store.__dict__["event"] = follow_up(MINI_TCGA, rng, np.zeros(len(store)), months)
    entry, model_class = run.models[model], load_model_class(model, config.adapters, Path.cwd())
    encoder = entry.card.encoder
    made = run_inputs(run)["survival", LARGEST, encoder, config.seed].features() if encoder else None
    bags = Bags(question.cohort, encoder, made.embeddings[TILES]) if encoder and made else None
    views = PatientViews(store, config.settings(*entry.parts), bags, None)
    outcomes = {}
    for fold in question.split.folds:
        fitted = model_class()
        fitted.fit(views.training(fold.train))
        risk = fitted.predict(views.inputs(fold.test)).risk
        outcome = FoldOutcome(fold.name, store.time[fold.test], store.event[fold.test], risk)
        outcomes[fold.name] = ([store.patients[row] for row in fold.test], outcome)
    values = mean_concordance(outcomes)
    assert values is not None
    found = fold_interval(values, UNIT, least=LEAST_PATIENTS, level=0.997)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= 0.5 <= found.high
