"""``slide2omics check``: an honest newcomer passes, and each way to break the contract is named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from protocols.contract import Card, FloatArray, Inputs, TrainingData
from protocols.errors import UserError
from suite.new_model import write_new_model
from tests.suite.conformance_results import problems

ROOT = Path(__file__).resolve().parents[2]


class Honest:
    card = Card(name="subject", title="Honest")

    def fit(self, train: TrainingData) -> None:
        self.mean = train.filled_targets().mean(axis=0)

    def predict(self, test: Inputs) -> FloatArray:
        redness = test.crops()[..., 0].mean(axis=(1, 2)) / 255
        return (self.mean + redness[:, None]).astype(np.float32)


class Unnamed(Honest):
    card = Card(name="other", title="Honest")


class WrongShape(Honest):
    def predict(self, test: Inputs) -> FloatArray:
        return super().predict(test)[:, 1:]


class NotANumber(Honest):
    def predict(self, test: Inputs) -> FloatArray:
        return super().predict(test) * np.float32("nan")


class Unseeded(Honest):
    def predict(self, test: Inputs) -> FloatArray:
        return super().predict(test) + np.random.default_rng().normal(size=(len(test), 1)).astype(np.float32)


class GlobalDraw(Honest):
    def fit(self, train: TrainingData) -> None:
        np.random.seed(0)  # noqa: NPY002 - the fault that is planted
        super().fit(train)


class BatchStatistics(Honest):
    def predict(self, test: Inputs) -> FloatArray:
        answer = super().predict(test)
        return answer - answer.mean(axis=0)


class ByPosition(Honest):
    def predict(self, test: Inputs) -> FloatArray:
        return super().predict(test) + np.arange(len(test), dtype=np.float32)[:, None]


class ZeroForHoles(Honest):
    def fit(self, train: TrainingData) -> None:
        self.mean = train.targets.mean(axis=0)


class BareAssert(Honest):
    def fit(self, train: TrainingData) -> None:
        raise AssertionError  # what `assert` raises outside a test file, where pytest gives it words


class Remembers(Honest):
    mean: FloatArray | float = 0.0

    def fit(self, train: TrainingData) -> None:
        self.mean = self.mean + train.filled_targets().mean(axis=0)


def failures(model: type) -> str:
    return problems(model, "expression")


def test_honest_model_conforms() -> None:
    assert failures(Honest) == ""


def test_a_models_bare_assert_fails_the_check_at_its_line() -> None:
    """It has no words of its own, and no words were once taken for no problem."""
    first = "fit and predict answer with finite numbers of the right shape"
    assert failures(BareAssert).startswith(f"{first}: AssertionError:  ({__file__}:")
    assert f"the same seed gives the same bytes twice: as in: {first}" in failures(BareAssert)


@pytest.mark.parametrize(
    ("model", "named"),
    [
        (Unnamed, "card.name is 'other'"),
        (WrongShape, "predict returned shape"),
        (NotANumber, "NaN or infinity"),
        (Unseeded, "two runs differ"),
        (GlobalDraw, "global random state"),
        (BatchStatistics, "does not depend on its companions"),
        (ByPosition, "order of test units"),
        (ZeroForHoles, "holes"),
        (Remembers, "fitting again"),
    ],
)
def test_broken_contract_is_named(model: type, named: str) -> None:
    assert named in failures(model)


def test_new_model_refuses_a_name_that_is_no_identifier(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="lower_case_words"):
        write_new_model("My-Model", tmp_path)


def test_an_unknown_model_fails_with_the_nearest_name_and_a_verdict() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "suite.cli", "check", "unii"], capture_output=True, text=True, cwd=ROOT
    )
    assert result.returncode == 1
    _, told, verdict = (result.stdout + result.stderr).splitlines()
    assert "unknown model 'unii'" in told
    assert "did you mean 'uni'?" in told
    assert verdict == "unii: 1 contract tests fail"
