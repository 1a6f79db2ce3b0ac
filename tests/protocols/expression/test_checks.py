"""A crash of a model in the contract tests: told once, at the line of its author and not inside the library."""

from __future__ import annotations

import numpy as np

from protocols.contract import Card, FloatArray, Inputs, Settings, TrainingData
from protocols.contract_checks import results_of
from protocols.registry import load_task


class Crashes:
    card = Card(name="subject", title="Crashes")

    def fit(self, train: TrainingData) -> None:
        np.linalg.inv(train.targets)  # not square: numpy raises

    def predict(self, test: Inputs) -> FloatArray:
        return np.zeros((len(test), len(test.genes)), dtype=np.float32)


class AsksForTheTruth(Crashes):
    def fit(self, train: TrainingData) -> None:
        train.oracle()


def problems(model: type) -> list[str]:
    checks = load_task("expression").checks(model, "subject", Settings())
    return [result.problem for result in results_of(checks, model) if result.problem]


def test_a_crash_is_told_once_at_the_models_own_line() -> None:
    first, *others = problems(Crashes)
    assert first.startswith("LinAlgError")
    assert first.endswith(f"({__file__}:{Crashes.fit.__code__.co_firstlineno + 1})")
    assert set(others) == {"as in: fit and predict answer with finite numbers of the right shape"}
    assert len(others) == 7


def test_what_the_data_refuse_is_at_the_models_line_too() -> None:
    first = problems(AsksForTheTruth)[0]
    assert "only reference lines may use it" in first
    assert first.endswith(f"({__file__}:{AsksForTheTruth.fit.__code__.co_firstlineno + 1})")
