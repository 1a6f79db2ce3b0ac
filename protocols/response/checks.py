"""The contract tests of response models: the same for built-in ones and for a newcomer."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np

from protocols.contract import Settings
from protocols.contract_checks import check_card, known_global_state, require
from protocols.metrics.binary import auc
from protocols.response.answers import checked
from protocols.response.contract import Probability, ResponseModel
from protocols.response.toy import inputs_of, take, toy_response
from protocols.response.views import TrainingView
from protocols.task import Check

CLOSE = 1e-6


def checks(model_class: type[ResponseModel], name: str, settings: Settings) -> list[tuple[str, Check]]:
    """Every contract test on made-up patients; the last reports and never fails."""
    run = _Run(model_class, name, settings)
    return [
        ("the card is complete and carries the model's name", lambda: check_card(model_class, name, "response")),
        ("fit and predict answer with probabilities", run.answers),
        ("the same seed gives the same bytes twice", run.deterministic),
        ("the order of test patients does not matter", run.order),
        ("a test patient's answer does not depend on their companions", run.alone),
        ("outcomes of patients outside the training rows change nothing", run.blind),
        ("holes in the tables are accepted", run.holes),
        ("fitting again starts afresh", run.refit),
        ("global random state is left as found", run.global_state),
        ("a higher probability means a response (reported, never required)", run.direction),
    ]


class _Run:
    """A hundred patients to train on, fifty to answer for; a model gets the truth only if its card needs it."""

    def __init__(self, model_class: type[ResponseModel], name: str, settings: Settings) -> None:
        self.model_class, self.name = model_class, name
        data = toy_response(settings=settings)
        needs = getattr(getattr(model_class, "card", None), "needs", ())
        self.data = data if "oracle" in needs else replace(data, oracle_reader=None)
        order = np.random.default_rng(1).permutation(len(data))
        self.train_at, self.test_at = np.sort(order[:100]), np.sort(order[100:])

    @cached_property
    def fitted(self) -> ResponseModel:
        return self._fitted(self.data)

    @cached_property
    def first(self) -> Probability:
        return self._ask(self.fitted, self.data, self.test_at)

    @cached_property
    def second(self) -> tuple[Probability, bool]:
        """What a second instance answers, and whether it left the global generators as they were."""
        with known_global_state() as untouched:
            answer = self._ask(self._fitted(self.data), self.data, self.test_at)
            return answer, untouched()

    def answers(self) -> None:
        require(len(self.first) == len(self.test_at), "not one answer a patient")

    def deterministic(self) -> None:
        gap = float(np.abs(self.first - self.second[0]).max())
        require(self.first.tobytes() == self.second[0].tobytes(), f"two runs differ by up to {gap:.3g}")

    def order(self) -> None:
        backwards = self._ask(self.fitted, self.data, self.test_at[::-1])
        self._same(backwards[::-1], self.first, "answers move when the test patients come in another order")

    def alone(self) -> None:
        for row in range(len(self.test_at)):
            answer = self._ask(self.fitted, self.data, self.test_at[row : row + 1])
            self._same(answer, self.first[row : row + 1], "a patient alone is answered differently than in company")

    def blind(self) -> None:
        response = self.data.response.copy()
        response[self.test_at] = ~response[self.test_at]
        data = replace(self.data, response=response)
        answer = self._ask(self._fitted(data), data, self.test_at)
        require(answer.tobytes() == self.first.tobytes(), "answers moved when test outcomes were changed: a leak")

    def holes(self) -> None:
        """A column nobody has, a column that test patients lack, and a patient of whom nothing is known."""
        clinical, proteins = self.data.clinical.copy(), self.data.proteins.copy()
        clinical[:, 0] = proteins[:, 0] = np.nan
        clinical[self.test_at, 1] = proteins[self.test_at, 1] = np.nan
        clinical[self.test_at[0]] = proteins[self.test_at[0]] = np.nan
        data = replace(self.data, clinical=clinical, proteins=proteins)
        self._ask(self._fitted(data), data, self.test_at)

    def refit(self) -> None:
        model = self._fitted(self.data)
        model.fit(self._training(self.data))
        answer = self._ask(model, self.data, self.test_at)
        self._same(answer, self.first, "a second fit on the same instance answers differently")

    def global_state(self) -> None:
        require(self.second[1], "random or numpy.random was drawn from or seeded: use train.settings.seed")

    def direction(self) -> str:
        """The AUC of the answers; below one half says that a model answers the other outcome."""
        try:
            found = auc(self.data.response[self.test_at], self.first)
        except Exception:  # it is the problem of the checks above
            return "unknown, for want of an answer"
        return f"AUC {found:.2f} on the toy's test patients"

    def _same(self, answer: Probability, before: Probability, message: str) -> None:
        gap = float(np.abs(answer - before).max())
        require(gap < CLOSE, f"{message} (by up to {gap:.3g})")

    def _fitted(self, data: TrainingView) -> ResponseModel:
        model = self.model_class()
        model.fit(self._training(data))
        return model

    def _training(self, data: TrainingView) -> TrainingView:
        view: TrainingView = take(replace(data, oracle_reader=None), self.train_at)
        return view

    def _ask(self, model: ResponseModel, data: TrainingView, at: np.ndarray) -> Probability:
        test = take(inputs_of(data), at)
        return checked(model.predict(test), len(test), self.name, "of the contract tests")
