"""``slide2omics check`` of bulk models: an honest one passes, and each way to break the contract is named."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from baselines.registry import load_model_class
from protocols.bulk.contract import SlideInputs, SlideTraining
from protocols.contract import Card, FloatArray
from tests.suite.conformance_results import problems, results

CLASSIC = ("bulk_oracle", "bulk_train_mean", "bulk_shuffled", "ridge_mean_feature", "nearest_slides")


class Honest:
    """Least squares on the mean of the super-tiles that are there."""

    card: ClassVar[Card] = Card(name="subject", title="Honest", task="bulk", encoder="uni")

    def fit(self, train: SlideTraining) -> None:
        self.genes = train.genes
        self.start(train)
        targets = train.targets.astype(np.float64)
        self.weights_ = np.asarray(np.linalg.lstsq(self.x(train), targets, rcond=None)[0], dtype=np.float64)

    def start(self, train: SlideTraining) -> None: ...

    def predict(self, test: SlideInputs) -> FloatArray:
        return self.answer(test, self.weights_)

    def answer(self, test: SlideInputs, weights: NDArray[np.float64]) -> FloatArray:
        place = {gene: k for k, gene in enumerate(self.genes)}
        found = self.x(test) @ weights
        return found[:, [place[gene] for gene in test.genes]].astype(np.float32)

    def x(self, data: SlideInputs) -> NDArray[np.float64]:
        tiles = data.super_tiles()
        shown = np.where(tiles.present[..., None], tiles.features, 0.0)
        mean = shown.sum(axis=1) / tiles.present.sum(axis=1, keepdims=True)
        return np.column_stack([np.ones(len(data)), mean])


class WithTwin(Honest):
    def predict_untrained(self, test: SlideInputs) -> FloatArray:
        weights = np.random.default_rng(0).normal(size=self.weights_.shape)
        return self.answer(test, weights)


class Pretrained(Honest):
    """Learns a direction of features from normal tissue and starts from it."""

    card = replace(Honest.card, needs=("normal",))
    shift: NDArray[np.float32] | None = None

    def pretrain(self, normal: SlideTraining) -> dict[str, NDArray[np.float32]]:
        assert normal.targets.min() < 0
        return {"shift": self.x(normal).mean(axis=0).astype(np.float32)}

    def start_from(self, pretrained: dict[str, NDArray[np.float32]]) -> None:
        self.shift = pretrained["shift"]

    def start(self, train: SlideTraining) -> None:
        assert self.shift is not None, "was not pre-trained"


class Unnamed(Honest):
    card = replace(Honest.card, name="other")


class OfTheOtherTask(Honest):
    card = replace(Honest.card, task="expression")


class WrongShape(Honest):
    def predict(self, test: SlideInputs) -> FloatArray:
        return super().predict(test)[:, :-1]


class NotANumber(Honest):
    def predict(self, test: SlideInputs) -> FloatArray:
        answer = super().predict(test)
        answer[0, 0] = np.nan
        return answer


class Unseeded(Honest):
    def start(self, train: SlideTraining) -> None:
        self.genes = tuple(np.random.default_rng().permutation(train.genes).tolist())


class UnseededAnswers(Honest):
    def predict(self, test: SlideInputs) -> FloatArray:
        return super().predict(test) + np.random.default_rng().normal(size=(len(test), 1)).astype(np.float32)


class ByPosition(Honest):
    def predict(self, test: SlideInputs) -> FloatArray:
        return super().predict(test) + np.arange(len(test), dtype=np.float32)[:, None]


class ScaledAmongCompanions(Honest):
    def predict(self, test: SlideInputs) -> FloatArray:
        answer = super().predict(test)
        return np.asarray(answer - answer.mean(axis=0))


class MixesWindows(Honest):
    def predict(self, test: SlideInputs) -> FloatArray:
        answer = super().predict(test)
        return answer - answer.mean(axis=0) if test.windows else answer


class AllGenes(Honest):
    def predict(self, test: SlideInputs) -> FloatArray:
        return (self.x(test) @ self.weights_).astype(np.float32)


class FirstGenes(Honest):
    def predict(self, test: SlideInputs) -> FloatArray:
        return (self.x(test) @ self.weights_)[:, : len(test.genes)].astype(np.float32)


class NoWindows(Honest):
    def predict(self, test: SlideInputs) -> FloatArray:
        if test.windows:
            raise NotImplementedError("maps")
        return super().predict(test)


class FirstPlaceAlone(Honest):
    """No answer where the first place is a hole, which it never is on a slide."""

    def predict(self, test: SlideInputs) -> FloatArray:
        answer = super().predict(test)
        answer[~test.super_tiles().present[:, 0]] = np.nan
        return answer


class NeedsTwoTiles(Honest):
    def x(self, data: SlideInputs) -> NDArray[np.float64]:
        tiles = data.super_tiles()
        if (tiles.present.sum(axis=1) < 2).any():
            raise ValueError("a spread of one tile")
        return super().x(data)


class HookWithoutNeed(Pretrained):
    card = Honest.card


class NeedWithoutHook(Honest):
    card = Pretrained.card


class UnseededPretraining(Pretrained):
    def pretrain(self, normal: SlideTraining) -> dict[str, NDArray[np.float32]]:
        return {"shift": np.random.default_rng().normal(size=3).astype(np.float32)}


class PretrainsToAList(Pretrained):
    def pretrain(self, normal: SlideTraining) -> Any:
        return [1.0]


class PretrainsToNaN(Pretrained):
    def pretrain(self, normal: SlideTraining) -> dict[str, NDArray[np.float32]]:
        return {"shift": np.array([np.nan], dtype=np.float32)}


class TwinIsTheModel(WithTwin):
    def predict_untrained(self, test: SlideInputs) -> FloatArray:
        return self.predict(test)


class UnseededTwin(WithTwin):
    noise = 0.0

    def start(self, train: SlideTraining) -> None:
        self.noise = float(np.random.default_rng().normal())

    def predict_untrained(self, test: SlideInputs) -> FloatArray:
        return super().predict_untrained(test) + np.float32(self.noise)


class TwinStays(WithTwin):
    def predict_untrained(self, test: SlideInputs) -> FloatArray:
        answer = super().predict_untrained(test)
        self.weights_ = self.weights_ + 1.0
        return answer


class Remembers(Honest):
    seen: NDArray[np.float64] | None = None

    def fit(self, train: SlideTraining) -> None:
        super().fit(train)
        if self.seen is not None:
            self.weights_ = (self.weights_ + self.seen) / 2
        self.seen = self.weights_


class GlobalDraw(Honest):
    def start(self, train: SlideTraining) -> None:
        random.random()


class GlobalSeed(Honest):
    def start(self, train: SlideTraining) -> None:
        np.random.seed(0)  # noqa: NPY002 - the fault that is planted


class TilesWithoutEncoder(Honest):
    card = replace(Honest.card, encoder=None)


class TruthUndeclared(Honest):
    def predict(self, test: SlideInputs) -> FloatArray:
        return test.oracle()


class TruthInTraining(TruthUndeclared):
    card = replace(Honest.card, needs=("oracle",))

    def start(self, train: SlideTraining) -> None:
        train.oracle()


class AsksForExpression(Honest):
    def predict(self, test: SlideInputs) -> FloatArray:
        return np.asarray(test.targets)  # type: ignore[attr-defined]


def failures(model: Any) -> str:
    return problems(model, "bulk")


def said(model: Any) -> list[str]:
    return [one.said for one in results(model, "bulk")]


@pytest.mark.parametrize("model", [Honest, WithTwin, Pretrained])
def test_honest_models_conform(model: type) -> None:
    assert failures(model) == ""
    assert "absent places: ignored (reported, never required)" in said(model)


@pytest.mark.parametrize("name", CLASSIC)
def test_classic_models_conform(name: str) -> None:
    model: Any = load_model_class(name, {}, Path())
    assert problems(model, "bulk", name) == ""


@pytest.mark.parametrize(
    ("model", "named"),
    [
        (Unnamed, "card.name is 'other'"),
        (OfTheOtherTask, "card.task is 'expression'"),
        (WrongShape, "predict returned shape (23, 23); expected (23, 24)"),
        (NotANumber, "predict returned NaN or infinity"),
        (Unseeded, "the same seed gives the same bytes twice: two runs differ"),
        (UnseededAnswers, "the same seed gives the same bytes twice: two runs differ"),
        (ByPosition, "the order of test slides does not matter: answers move"),
        (ScaledAmongCompanions, "a slide alone is answered differently"),
        (MixesWindows, "a window's answer depends on the windows beside it"),
        (AllGenes, "fewer genes, in another order, can be asked for: model subject, slides of the contract tests"),
        (FirstGenes, "it does not answer in test.genes' order"),
        (NoWindows, "windows of a section are answered, each for itself: NotImplementedError"),
        (FirstPlaceAlone, "windows of a section are answered, each for itself: model subject, windows of the contract"),
        (NeedsTwoTiles, "absent places are accepted, wherever they are: ValueError"),
        (HookWithoutNeed, "the card has no needs="),
        (NeedWithoutHook, "no methods pretrain and start_from"),
        (UnseededPretraining, "pretrain returns another ['shift'] the second time"),
        (PretrainsToAList, "pretrain returned list, not arrays by name"),
        (PretrainsToNaN, "pretrain's 'shift' holds NaN"),
        (TwinIsTheModel, "the untrained twin answers like the trained model"),
        (UnseededTwin, "twins of two fits differ"),
        (TwinStays, "asking the twin changes the trained model's answer"),
        (Remembers, "fitting again starts afresh: a second fit"),
        (GlobalDraw, "global random state is left as found: random"),
        (GlobalSeed, "global random state is left as found: random"),
        (TilesWithoutEncoder, "super_tiles() was called without an encoder"),
        (TruthUndeclared, "oracle() was called without a known truth"),
        (TruthInTraining, "oracle() was called without a known truth"),
        (AsksForExpression, "no attribute 'targets'"),
    ],
)
def test_broken_contract_is_named(model: type, named: str) -> None:
    assert named in failures(model)


def test_a_model_that_keeps_test_expression_is_a_leak(monkeypatch: pytest.MonkeyPatch) -> None:
    """The views give no way to it, so the way is opened here: a training view with all slides in it."""
    from protocols.bulk import checks

    assert "a leak" not in failures(Honest)
    monkeypatch.setattr(checks._Run, "_training", lambda _, data: data)
    assert "changes nothing: answers moved when test expression was changed: a leak" in failures(Honest)


def test_a_class_without_a_card_fails_one_check_and_keeps_the_others() -> None:
    class Cardless:
        def fit(self, train: SlideTraining) -> None: ...

        def predict(self, test: SlideInputs) -> FloatArray:
            return np.zeros((len(test), len(test.genes)), dtype=np.float32)

    assert failures(Cardless).startswith("the card is complete")
    assert " | " not in failures(Cardless)


def test_tiles_of_zeros_and_read_nonsense_are_said() -> None:
    class CountsThem(Honest):
        def x(self, data: SlideInputs) -> NDArray[np.float64]:
            tiles = data.super_tiles()
            shown = np.where(tiles.present[..., None], tiles.features, 0.0)
            return np.column_stack([np.ones(len(data)), shown.mean(axis=1)])

    class ReadsThem(Honest):
        def x(self, data: SlideInputs) -> NDArray[np.float64]:
            return np.column_stack([np.ones(len(data)), data.super_tiles().features.mean(axis=1)])

    class ReadsNone(Honest):
        def x(self, data: SlideInputs) -> NDArray[np.float64]:
            return np.column_stack([np.ones(len(data)), data.mean_feature()])

    told = {"count as tiles of zeros": CountsThem, "what lies in them is read": ReadsThem}
    for what, model in {**told, "no super-tiles are read": ReadsNone}.items():
        assert failures(model) == ""
        assert f"absent places: {what} (reported, never required)" in said(model)


def test_the_mean_r_says_whether_anything_was_learned() -> None:
    class Constant(Honest):
        def x(self, data: SlideInputs) -> NDArray[np.float64]:
            return np.ones((len(data), 1))

    def r(model: Any) -> tuple[float, float]:
        last = said(model)[-1].replace(",", "").split()
        return tuple(float(word) for word in last if word.replace(".", "").isdigit())  # type: ignore[return-value]

    assert 0.3 < r(Honest)[0] <= r(Honest)[1]
    assert r(Constant)[0] == 0
