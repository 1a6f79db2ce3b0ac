"""``slide2omics check`` of survival models: an honest one passes, and each way to break the contract is named."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from baselines.registry import load_model_class
from protocols.contract import Card
from protocols.errors import UserError
from protocols.survival.answers import checked
from protocols.survival.contract import PatientInputs, SurvivalPrediction, SurvivalTraining
from tests.suite.conformance_results import problems, results

CLASSIC = (
    "cox_clinical",
    "cox_elastic_net",
    "kaplan_meier",
    "random_survival_forest",
    "shuffled_survival",
    "survival_oracle",
    "survival_oracle_genome",
    "survival_oracle_image",
)


class Honest:
    """The mean tile decides; everybody's curve falls with their risk."""

    card = Card(name="subject", title="Honest", task="survival", encoder="uni", needs=("slides",))

    def fit(self, train: SurvivalTraining) -> None:
        self.times = np.quantile(train.time, [0.25, 0.5, 0.75])
        self.middle = float(np.median(self._seen(train)))

    def predict(self, test: PatientInputs) -> SurvivalPrediction:
        risk = self._seen(test) - self.middle
        return SurvivalPrediction(risk, self.times, np.exp(-np.outer(np.exp(risk), [0.2, 0.4, 0.8])))

    def _seen(self, data: PatientInputs) -> NDArray[np.float64]:
        return np.array([data.bag(k)[:, :3].mean() for k in range(len(data))], dtype=np.float64)


class Unnamed(Honest):
    card = replace(Honest.card, name="other")


class OfTheOtherTask(Honest):
    card = replace(Honest.card, task="expression")


class BareArray(Honest):
    def predict(self, test: PatientInputs) -> Any:
        return super().predict(test).risk


class NotANumber(Honest):
    def predict(self, test: PatientInputs) -> SurvivalPrediction:
        answer = super().predict(test)
        return replace(answer, risk=np.where(np.arange(len(test)) == 0, np.nan, answer.risk))


class RisingCurves(Honest):
    def predict(self, test: PatientInputs) -> SurvivalPrediction:
        answer = super().predict(test)
        assert answer.survival is not None
        return replace(answer, survival=answer.survival[:, ::-1])


class Unseeded(Honest):
    def predict(self, test: PatientInputs) -> SurvivalPrediction:
        answer = super().predict(test)
        return replace(answer, risk=answer.risk + np.random.default_rng().normal(size=len(test)))


class UnseededCurves(Honest):
    def predict(self, test: PatientInputs) -> SurvivalPrediction:
        answer = super().predict(test)
        assert answer.survival is not None
        return replace(answer, survival=answer.survival * np.random.default_rng().uniform(0.5, 1))


class ByPosition(Honest):
    def predict(self, test: PatientInputs) -> SurvivalPrediction:
        answer = super().predict(test)
        return replace(answer, risk=answer.risk + np.arange(len(test)))


class RankedAmongCompanions(Honest):
    def predict(self, test: PatientInputs) -> SurvivalPrediction:
        answer = super().predict(test)
        return replace(answer, risk=answer.risk.argsort().argsort().astype(np.float64))


class CurvesAmongCompanions(Honest):
    """Risks are in order; only the curves are scaled by whoever else is asked about."""

    def predict(self, test: PatientInputs) -> SurvivalPrediction:
        answer = super().predict(test)
        assert answer.survival is not None
        return replace(answer, survival=answer.survival / answer.survival.max())


class NeedsFullTables(Honest):
    def fit(self, train: SurvivalTraining) -> None:
        super().fit(train)
        if np.isnan(train.clinical).all(axis=0).any():
            raise ValueError("a column without a value")


class Remembers(Honest):
    fits = 0

    def fit(self, train: SurvivalTraining) -> None:
        super().fit(train)
        self.fits += 1
        self.middle *= self.fits


class GlobalDraw(Honest):
    def fit(self, train: SurvivalTraining) -> None:
        super().fit(train)
        random.random()


class GlobalSeed(Honest):
    def fit(self, train: SurvivalTraining) -> None:
        np.random.seed(0)  # noqa: NPY002 - the fault that is planted
        super().fit(train)


class TilesWithoutEncoder(Honest):
    card = replace(Honest.card, encoder=None)


class TruthUndeclared(Honest):
    def predict(self, test: PatientInputs) -> SurvivalPrediction:
        return SurvivalPrediction(test.oracle("all"))


class TruthInTraining(TruthUndeclared):
    card = replace(Honest.card, needs=("oracle",))

    def fit(self, train: SurvivalTraining) -> None:
        train.oracle("all")


class AsksForFollowUp(Honest):
    def predict(self, test: PatientInputs) -> SurvivalPrediction:
        return SurvivalPrediction(-test.time)  # type: ignore[attr-defined]


def failures(model: Any) -> str:
    return problems(model, "survival")


def test_honest_model_conforms() -> None:
    assert failures(Honest) == ""


@pytest.mark.parametrize("name", CLASSIC)
def test_classic_models_conform(name: str) -> None:
    model: Any = load_model_class(name, {}, Path())
    assert problems(model, "survival", name) == ""


@pytest.mark.parametrize(
    ("model", "named"),
    [
        (Unnamed, "card.name is 'other'"),
        (OfTheOtherTask, "card.task is 'expression'"),
        (BareArray, "predict returned a ndarray"),
        (NotANumber, "a risk is NaN"),
        (RisingCurves, "a curve rises"),
        (Unseeded, "the same seed gives the same bytes twice: two runs differ"),
        (UnseededCurves, "the same seed gives the same bytes twice: two runs differ"),
        (ByPosition, "the order of test patients does not matter: answers move"),
        (RankedAmongCompanions, "a patient alone is answered differently"),
        (CurvesAmongCompanions, "a patient alone is answered differently"),
        (NeedsFullTables, "holes in the tables are accepted: ValueError"),
        (Remembers, "fitting again starts afresh: a second fit"),
        (GlobalDraw, "global random state is left as found: random"),
        (GlobalSeed, "global random state is left as found: random"),
        (TilesWithoutEncoder, "bag() was called without an encoder"),
        (TruthUndeclared, "oracle() was called without a known truth"),
        (TruthInTraining, "oracle() was called without a known truth"),
        (AsksForFollowUp, "no attribute 'time'"),
    ],
)
def test_broken_contract_is_named(model: type, named: str) -> None:
    assert named in failures(model)


def test_a_model_that_keeps_test_follow_up_is_a_leak(monkeypatch: pytest.MonkeyPatch) -> None:
    """The views give no way to it, so the way is opened here: a training view with all patients in it."""
    from protocols.survival import checks

    class Peeks(Honest):
        def fit(self, train: SurvivalTraining) -> None:
            super().fit(train)
            self.middle = float(train.time.max())

    monkeypatch.setattr(checks._Run, "_training", lambda _, data: data)
    assert "changes nothing: answers moved when test follow-up was changed: a leak" in failures(Peeks)
    assert failures(Honest).count("a leak") == 1  # its time grid: everybody's follow-up is in it here


def test_a_class_without_a_card_fails_one_check_and_keeps_the_others() -> None:
    class Cardless:
        def fit(self, train: SurvivalTraining) -> None: ...

        def predict(self, test: PatientInputs) -> SurvivalPrediction:
            return SurvivalPrediction(np.zeros(len(test)))

    assert failures(Cardless).startswith("the card is complete")
    assert " | " not in failures(Cardless)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_way_risks_point_is_said_and_not_required(sign: int) -> None:
    class Pointing(Honest):
        def predict(self, test: PatientInputs) -> SurvivalPrediction:
            return SurvivalPrediction(sign * super().predict(test).risk)

    subject: Any = Pointing
    last = results(subject, "survival")[-1]
    right, of = (int(word) for word in last.said.split() if word.isdigit())
    assert last.problem == ""
    assert (right > 0.6 * of) if sign > 0 else (right < 0.4 * of)


RISK, TIMES = np.array([0.0, 1.0]), np.array([1.0, 2.0, 3.0])
CURVES = np.array([[1.0, 0.5, 0.5], [0.9, 0.2, 0.0]])


def test_a_sound_answer_comes_back_as_float64() -> None:
    answer = checked(
        SurvivalPrediction(RISK.astype(np.float32), TIMES.astype(int), CURVES.astype(np.float32)), 2, "m", "0"
    )
    assert answer.times is not None
    assert answer.survival is not None
    assert {array.dtype for array in (answer.risk, answer.times, answer.survival)} == {np.dtype(np.float64)}
    np.testing.assert_allclose(answer.survival, CURVES, atol=1e-7)
    assert checked(SurvivalPrediction(RISK), 2, "m", "0").times is None


def test_rounding_that_makes_a_curve_rise_is_levelled() -> None:
    curves = np.array([[0.5, 0.5 + 1e-12]])
    answer = checked(SurvivalPrediction(RISK[:1], TIMES[:2], curves), 1, "m", "0")
    np.testing.assert_array_equal(answer.survival, [[0.5, 0.5]])


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (None, "returned a NoneType"),
        (RISK, "returned a ndarray"),
        (SurvivalPrediction(RISK[:1]), r"risk has shape \(1,\)"),
        (SurvivalPrediction(RISK[:, None]), r"risk has shape \(2, 1\)"),
        (SurvivalPrediction(np.array([0.0, np.inf])), "a risk is NaN or infinite"),
        (SurvivalPrediction(np.array(["a", "b"])), "a risk is NaN or infinite"),
        (SurvivalPrediction(RISK, TIMES), "times without curves"),
        (SurvivalPrediction(RISK, None, CURVES), "times without curves"),
        (SurvivalPrediction(RISK, TIMES, CURVES.T), r"curves \(3, 2\)"),
        (SurvivalPrediction(RISK, TIMES[::-1], CURVES), "times do not ascend"),
        (SurvivalPrediction(RISK, np.array([1.0, 1.0, 2.0]), CURVES), "times do not ascend"),
        (SurvivalPrediction(RISK, TIMES - 2, CURVES), "times do not ascend"),
        (SurvivalPrediction(RISK, np.array([1.0, 2.0, np.nan]), CURVES), "times do not ascend"),
        (SurvivalPrediction(RISK, TIMES, CURVES + 0.01), r"leaves \[0, 1\]"),
        (SurvivalPrediction(RISK, TIMES, CURVES - 0.01), r"leaves \[0, 1\]"),
        (SurvivalPrediction(RISK, TIMES, np.where(CURVES == 0.2, np.nan, CURVES)), r"leaves \[0, 1\]"),
        (SurvivalPrediction(RISK, TIMES, CURVES[:, ::-1]), "a curve rises"),
    ],
)
def test_a_malformed_answer_names_model_and_fold(answer: object, says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        checked(answer, 2, "my_model", "luad 3")
    assert "model my_model, fold luad 3" in str(caught.value)
    assert "slide2omics check my_model" in str(caught.value)
    assert "\n" not in str(caught.value)
