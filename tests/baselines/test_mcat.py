"""MCAT as a model: what it reads of a cohort, the hook for further tokens, its curves, and that it learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from baselines.networks import survival_blocks
from baselines.registry import built_in, load_model_class
from baselines.survival.attention_mil import AttentionMIL
from baselines.survival.mcat_past_multi import McatPASTMulti
from baselines.survival.mcat_resnet50 import McatResNet50
from baselines.survival.parts.discrete_survival import DiscreteSurvival
from baselines.survival.snn import SNN
from protocols.contract import Settings
from protocols.metrics.concordance import harrell
from protocols.survival.contract import PatientInputs, SurvivalPrediction
from protocols.survival.toy import inputs_of, take, toy_survival
from protocols.survival.views import SurvivalTrainingView

PUBLISHED_MEAN = {"mcat_past": 0.6953, "mcat_past_multi": 0.6940, "mcat_uni": 0.6926, "mcat_conch": 0.6916}


@pytest.fixture(autouse=True)
def few_epochs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two epochs are enough wherever learning is not the question."""
    if "slow" not in request.keywords:
        monkeypatch.setitem(survival_blocks.PROFILES, "mini", replace(survival_blocks.MINI, epochs=2))


@pytest.fixture(scope="module")
def cohort() -> SurvivalTrainingView:
    return toy_survival(60, settings=Settings(threads=1))


def answered(model: DiscreteSurvival, train: SurvivalTrainingView, test: PatientInputs) -> SurvivalPrediction:
    model.fit(train)
    return model.predict(test)


def c_index(view: SurvivalTrainingView, risk: NDArray[np.float64]) -> float:
    value = harrell(view.time, view.event, risk).value
    assert value is not None
    return value


def test_a_signature_without_a_measured_feature_is_left_out(cohort: SurvivalTrainingView) -> None:
    """UCEC's table has three of the tumour suppressors' features; another cohort's may have none."""
    model = McatResNet50()
    model.fit(replace(cohort, signatures={**cohort.signatures, "unmeasured": ("ABSENT1", "ABSENT2")}))
    assert len(model._network.signatures) == 6  # type: ignore[arg-type]


def test_a_constant_signature_is_left_out_and_a_constant_column_too(cohort: SurvivalTrainingView) -> None:
    genomic = cohort.genomic.copy()
    of_f = [k for k, name in enumerate(cohort.genomic_features) if name.startswith("F")]
    genomic[:, of_f] = 1.5
    genomic[:, cohort.genomic_features.index("B0_rnaseq")] = np.nan
    model = McatResNet50()
    model.fit(replace(cohort, genomic=genomic))
    assert [len(table.columns) for _, table in model._tables] == [6, 5, 6, 6, 6]


def test_without_signatures_the_table_is_one_token(cohort: SurvivalTrainingView) -> None:
    model = McatResNet50()
    risk = answered(model, replace(cohort, signatures={}), inputs_of(cohort)).risk
    assert len(model._network.signatures) == 1  # type: ignore[arg-type]
    assert np.isfinite(risk).all()


class WithProteins(McatResNet50):
    """Two further tokens of five features a patient."""

    level = 1.0

    def extra_tokens(self, data: PatientInputs, /) -> NDArray[np.float32]:
        bags = [data.bag(position)[:, :5] * np.float32(self.level) for position in range(len(data))]
        return np.stack([np.stack([bag.mean(axis=0), bag.std(axis=0)]) for bag in bags])


def test_the_hook_for_further_tokens_reaches_the_answer(cohort: SurvivalTrainingView) -> None:
    """The same fitted network, asked again with other tokens and everything else the same."""
    model = WithProteins()
    before = answered(model, cohort, inputs_of(cohort)).risk
    model.level = 5.0
    assert (np.abs(model.predict(inputs_of(cohort)).risk - before) > 1e-6).all()


def test_past_multi_says_that_its_cell_side_is_random(cohort: SurvivalTrainingView) -> None:
    model = McatPASTMulti()
    model.fit(cohort)
    assert {record.part: record.source for record in model.weights()} == {
        "survival network, trained from scratch": "none",
        "PAST cell encoder": "random",
        "PAST gene head": "random",
    }


def test_the_cell_token_differs_between_patients_and_is_the_same_again(cohort: SurvivalTrainingView) -> None:
    first, second = (McatPASTMulti().extra_tokens(inputs_of(cohort)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.shape[:2] == (60, 1)
    assert len(np.unique(first[:, 0, 0])) == 60


def test_curves_end_with_training_follow_up_and_start_at_the_quartiles_of_events(cohort: SurvivalTrainingView) -> None:
    answer = answered(McatResNet50(), cohort, inputs_of(cohort))
    quartiles = np.quantile(cohort.time[cohort.event], [0.25, 0.5, 0.75])
    assert answer.times is not None
    assert answer.survival is not None
    np.testing.assert_allclose(answer.times, [*quartiles, cohort.time.max()])
    assert (np.diff(answer.survival, axis=1) <= 0).all()
    np.testing.assert_allclose(answer.risk, -answer.survival.sum(axis=1))


def test_tied_event_times_leave_one_point_a_distinct_edge(cohort: SurvivalTrainingView) -> None:
    """Follow-up in whole years of a small cohort: two quartiles may coincide."""
    time = np.where(cohort.event, np.where(np.arange(60) % 3 == 0, 12.0, 24.0), 36.0)
    answer = answered(McatResNet50(), replace(cohort, time=time), inputs_of(cohort))
    assert answer.times is not None
    assert answer.survival is not None
    assert (np.diff(answer.times) > 0).all()
    assert answer.survival.shape == (60, len(answer.times))
    assert (np.diff(answer.survival, axis=1) <= 0).all()


@pytest.mark.parametrize("model", [McatResNet50, AttentionMIL, McatPASTMulti])
def test_bags_may_be_memory_maps(model: type[DiscreteSurvival], cohort: SurvivalTrainingView, tmp_path: Path) -> None:
    read = cohort.bag_reader
    assert read is not None
    for patient in cohort.patient.tolist():
        np.save(tmp_path / f"{patient}.npy", read(patient))
    mapped = replace(cohort, bag_reader=lambda patient: np.load(tmp_path / f"{patient}.npy", mmap_mode="r"))
    from_disk = answered(model(), mapped, inputs_of(mapped)).risk
    np.testing.assert_array_equal(from_disk, answered(model(), cohort, inputs_of(cohort)).risk)


@pytest.mark.parametrize("width", [1, 512, 768])
def test_any_width_of_tile_embedding(width: int, cohort: SurvivalTrainingView) -> None:
    def read(patient: str) -> NDArray[np.float32]:
        rng = np.random.default_rng(int(patient[-3:]))
        return rng.normal(size=(3, width)).astype(np.float32)

    given = replace(cohort, bag_reader=read, bag_dim=width)
    assert np.isfinite(answered(McatResNet50(), given, inputs_of(given)).risk).all()


def test_the_scale_of_an_encoder_does_not_matter(cohort: SurvivalTrainingView) -> None:
    """Encoders differ by orders of magnitude; powers of two, so that rounding is the same."""
    read = cohort.bag_reader
    assert read is not None
    scaled = replace(cohort, bag_reader=lambda patient: read(patient) * np.float32(1024))
    np.testing.assert_allclose(
        answered(McatResNet50(), scaled, inputs_of(scaled)).risk,
        answered(McatResNet50(), cohort, inputs_of(cohort)).risk,
        atol=1e-5,
    )


def test_one_image_head_for_every_encoder() -> None:
    """MCAT is frozen and the encoder swapped: only the card may differ."""
    from baselines.survival.parts.mcat import Mcat

    for name in (name for name in built_in() if name.startswith("mcat_")):
        model = load_model_class(name, {}, Path())
        assert Mcat in model.__mro__
        own = {key for key in vars(model) if not key.startswith("__")}
        if name not in ("mcat_past_multi", "mcat_resnet50_as_released"):
            assert own <= {"card"}, name


@pytest.mark.parametrize(("name", "value"), PUBLISHED_MEAN.items())
def test_published_means(name: str, value: float) -> None:
    claims = load_model_class(name, {}, Path()).card.published
    assert [one.value for one in claims if (one.metric, one.board) == ("harrell_mean", "average")] == [value]


@pytest.mark.slow
def test_planted_factors_are_learnt() -> None:
    """A gene and the tiles carry the hazard: each branch finds its own, both together more, out of patients seen."""
    data = toy_survival(400, seed=3, settings=Settings(threads=1))
    order = np.random.default_rng(0).permutation(400)
    train, test = take(data, order[:280]), take(data, order[280:])
    found = {}
    for model in (SNN, AttentionMIL, McatResNet50):
        risk = answered(model(), train, inputs_of(test)).risk
        found[model.__name__] = c_index(test, risk)
    ceiling = c_index(test, data.oracle("all")[order[280:]])
    assert found["SNN"] > 0.55
    assert found["AttentionMIL"] > 0.6
    assert max(found["SNN"], found["AttentionMIL"]) < found["McatResNet50"] < ceiling
