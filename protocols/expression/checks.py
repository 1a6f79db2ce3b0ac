"""The contract tests of expression models: the same for built-in ones and for a newcomer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from protocols.contract import FloatArray, Model, Pretrains, Settings
from protocols.contract_checks import check_card, known_global_state, require
from protocols.expression.answers import checked
from protocols.expression.toy import inputs_of, toy_training
from protocols.expression.views import TrainingView
from protocols.task import Check


def checks(model_class: type[Model], name: str, settings: Settings) -> list[tuple[str, Check]]:
    """Every contract test on a toy cohort."""
    run = _Run(model_class, name, settings)
    return [
        ("the card is complete and carries the model's name", run.card),
        ("fit and predict answer with finite numbers of the right shape", run.answers),
        ("the same seed gives the same bytes twice", run.deterministic),
        ("the order of test units does not matter", run.order),
        ("a test unit's answer does not depend on its companions", run.alone),
        ("expression of units outside the training rows changes nothing", run.blind),
        ("genes that a slide's panel lacks are holes, not zeros", run.holes),
        ("fitting again starts afresh", run.refit),
        ("global random state is left as found", run.global_state),
    ]


class _Run:
    """State shared by the checks: a toy cohort, 80 units to train on and 40 to answer for."""

    def __init__(self, model_class: type[Model], name: str, settings: Settings) -> None:
        self.model_class, self.name = model_class, name
        self.data = toy_training(settings=settings)
        order = np.random.default_rng(1).permutation(len(self.data))
        self.train_at, self.test_at = np.sort(order[:80]), np.sort(order[80:])
        self._model: Model | None = None
        self._first: FloatArray | None = None
        self._again: FloatArray | None = None
        self._untouched = True

    def card(self) -> None:
        check_card(self.model_class, self.name, "expression")

    def answers(self) -> None:
        self._once()

    def deterministic(self) -> None:
        first, second = self._once(), self._second()
        require(first.tobytes() == second.tobytes(), f"two runs differ by up to {np.abs(first - second).max():.3g}")

    def order(self) -> None:
        reverse = np.arange(len(self.test_at))[::-1]
        swapped = self._ask(self._fitted_once(), self.data, self.test_at[reverse])
        _close(swapped[reverse], self._once(), "reversing the test units changes answers")

    def alone(self) -> None:
        half = len(self.test_at) // 2
        _close(
            self._ask(self._fitted_once(), self.data, self.test_at[:half]),
            self._once()[:half],
            "half the test set alone changes answers",
        )

    def blind(self) -> None:
        targets, counts = self.data.targets.copy(), self.data.count_matrix.copy()
        targets[self.test_at] = 99.0
        counts[self.test_at] = 12345
        poisoned = self._answer(replace(self.data, targets=targets, count_matrix=counts))
        require(poisoned.tobytes() == self._once().tobytes(), "answers moved when test expression was changed: a leak")

    def holes(self) -> None:
        all_holes = self.data.targets.copy()
        all_holes[:, -1] = np.nan
        self._answer(replace(self.data, targets=all_holes))

    def refit(self) -> None:
        self._once()
        model, self._model = self._fitted_once(), None  # who asks later gets one fitted once
        test = inputs_of(self.data, self.test_at)
        model.fit(_training(self.data, self.train_at))
        again = np.asarray(model.predict(test), dtype=np.float32)
        _close(again, self._once(), "a second fit on the same instance answers differently")

    def global_state(self) -> None:
        self._second()
        require(self._untouched, "random or numpy.random was drawn from or seeded: use train.settings.seed")

    def _once(self) -> FloatArray:
        if self._first is None:
            self._first = self._ask(self._fitted_once(), self.data, self.test_at)
        return self._first

    def _second(self) -> FloatArray:
        """What a second instance answers, watched for what it does to the global generators."""
        if self._again is None:
            with known_global_state() as untouched:
                self._again = self._answer(self.data)
                self._untouched = untouched()
        return self._again

    def _fitted_once(self) -> Model:
        if self._model is None:
            self._model = self._fitted(self.data)
        return self._model

    def _fitted(self, data: TrainingView) -> Model:
        train = _training(data, self.train_at)
        model = self.model_class()
        if isinstance(model, Pretrains):
            model.pretrain(train)
        model.fit(train)
        return model

    def _answer(self, data: TrainingView) -> FloatArray:
        return self._ask(self._fitted(data), data, self.test_at)

    def _ask(self, model: Model, data: TrainingView, at: np.ndarray) -> FloatArray:
        test = inputs_of(data, at)
        return checked(model.predict(test), (len(test), len(test.genes)), self.name, "of the contract tests")


def _training(data: TrainingView, at: np.ndarray) -> TrainingView:
    view = inputs_of(data, at)
    given = {name: value for name, value in vars(view).items() if name != "oracle_reader"}
    return TrainingView(
        **given,
        targets=data.targets[at],
        count_matrix=data.count_matrix[at],
        measured=data.measured[at],
        all_genes=data.all_genes,
    )


def _close(left: FloatArray, right: FloatArray, message: str) -> None:
    gap = float(np.abs(left - right).max()) if left.shape == right.shape else float("inf")
    require(gap < 1e-4, f"{message} (by up to {gap:.3g})")
