"""The contract tests of survival models: the same for built-in ones and for a newcomer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from protocols.contract import Card, Settings
from protocols.contract_checks import check_card, known_global_state, require
from protocols.metrics.concordance import harrell
from protocols.survival.answers import checked
from protocols.survival.contract import SurvivalModel, SurvivalPrediction
from protocols.survival.toy import inputs_of, take, toy_survival
from protocols.survival.views import SurvivalTrainingView
from protocols.task import Check

CLOSE = 1e-5


def checks(model_class: type[SurvivalModel], name: str, settings: Settings) -> list[tuple[str, Check]]:
    """Every contract test on a made-up cohort.

    The last says how many pairs of the toy's test patients the risks put in order, and never fails: a model may read
    what the toy does not have, but one that answers survival instead of risk shows by less than half.
    """
    run = _Run(model_class, name, settings)
    return [
        ("the card is complete and carries the model's name", lambda: check_card(model_class, name, "survival")),
        ("fit and predict answer with finite risks and valid curves", run.answers),
        ("the same seed gives the same bytes twice", run.deterministic),
        ("the order of test patients does not matter", run.order),
        ("a test patient's answer does not depend on their companions", run.alone),
        ("follow-up of patients outside the training rows changes nothing", run.blind),
        ("holes in the tables are accepted", run.holes),
        ("fitting again starts afresh", run.refit),
        ("global random state is left as found", run.global_state),
        ("higher risk means an earlier event (reported, never required)", run.direction),
    ]


class _Run:
    """A toy cohort: 90 patients to train on, 30 to answer for. As in the pipeline, a model gets what its card names."""

    def __init__(self, model_class: type[SurvivalModel], name: str, settings: Settings) -> None:
        self.model_class, self.name = model_class, name
        self.data = _as_declared(toy_survival(settings=settings), getattr(model_class, "card", None))
        order = np.random.default_rng(1).permutation(len(self.data))
        self.train_at, self.test_at = np.sort(order[:90]), np.sort(order[90:])
        self._model: SurvivalModel | None = None
        self._first: SurvivalPrediction | None = None
        self._again: SurvivalPrediction | None = None
        self._untouched = True

    def answers(self) -> None:
        self._once()

    def deterministic(self) -> None:
        first, second = self._once(), self._second()
        require(_bytes(first) == _bytes(second), f"two runs differ by up to {_gap(first, second):.3g}")

    def order(self) -> None:
        backwards = self._ask(self._fitted_once(), self.data, self.test_at[::-1])
        back = np.arange(len(self.test_at))[::-1]
        self._same(_rows(backwards, back), "answers move when the test patients come in another order")

    def alone(self) -> None:
        model = self._fitted_once()
        for row in range(len(self.test_at)):
            answer = self._ask(model, self.data, self.test_at[row : row + 1])
            self._same(answer, "a patient alone is answered differently than in company", np.array([row]))

    def blind(self) -> None:
        time, event = self.data.time.copy(), self.data.event.copy()
        time[self.test_at], event[self.test_at] = 1e6, True
        poisoned = self._answer(replace(self.data, time=time, event=event))
        require(_bytes(poisoned) == _bytes(self._once()), "answers moved when test follow-up was changed: a leak")

    def holes(self) -> None:
        genomic, clinical, proteins = (getattr(self.data, name).copy() for name in ("genomic", "clinical", "proteins"))
        genomic[:, 0], clinical[:, -1] = np.nan, np.nan
        proteins[:, 0] = np.nan
        genomic[self.test_at[0]] = proteins[self.test_at[0]] = np.nan
        self._answer(replace(self.data, genomic=genomic, clinical=clinical, proteins=proteins))

    def refit(self) -> None:
        self._once()
        model, self._model = self._fitted_once(), None  # who asks later gets one fitted once
        model.fit(self._training(self.data))
        self._same(self._ask(model, self.data, self.test_at), "a second fit on the same instance answers differently")

    def global_state(self) -> None:
        self._second()
        require(self._untouched, "random or numpy.random was drawn from or seeded: use train.settings.seed")

    def direction(self) -> str:
        """How many pairs of patients the risks put in the order of their events."""
        try:
            risk = self._once().risk
        except Exception:  # it is the problem of the checks above
            return "unknown, for want of an answer"
        found = harrell(self.data.time[self.test_at], self.data.event[self.test_at], risk)
        shown = f"{found.concordant + found.tied_risk / 2:.0f} of {found.comparable} pairs"
        return f"{shown} of the toy's test patients"

    def _once(self) -> SurvivalPrediction:
        if self._first is None:
            self._first = self._ask(self._fitted_once(), self.data, self.test_at)
        return self._first

    def _second(self) -> SurvivalPrediction:
        """What a second instance answers, watched for what it does to the global generators."""
        if self._again is None:
            with known_global_state() as untouched:
                self._again = self._answer(self.data)
                self._untouched = untouched()
        return self._again

    def _fitted_once(self) -> SurvivalModel:
        if self._model is None:
            self._model = self._fitted(self.data)
        return self._model

    def _same(self, answer: SurvivalPrediction, message: str, rows: np.ndarray | None = None) -> None:
        first = self._once()
        gap = _gap(answer, first if rows is None else _rows(first, rows))
        require(gap < CLOSE, f"{message} (by up to {gap:.3g})")

    def _fitted(self, data: SurvivalTrainingView) -> SurvivalModel:
        model = self.model_class()
        model.fit(self._training(data))
        return model

    def _training(self, data: SurvivalTrainingView) -> SurvivalTrainingView:
        training: SurvivalTrainingView = take(replace(data, oracle_reader=None), self.train_at)
        return training

    def _answer(self, data: SurvivalTrainingView, at: np.ndarray | None = None) -> SurvivalPrediction:
        return self._ask(self._fitted(data), data, self.test_at if at is None else at)

    def _ask(self, model: SurvivalModel, data: SurvivalTrainingView, at: np.ndarray) -> SurvivalPrediction:
        test = take(inputs_of(data), at)
        return checked(model.predict(test), len(test), self.name, "of the contract tests")


def _as_declared(toy: SurvivalTrainingView, card: object) -> SurvivalTrainingView:
    """Tiles only for a card with an encoder, tokens and truth only for one that needs them: views say so to others."""
    if not isinstance(card, Card):
        return toy
    if not card.encoder:
        toy = replace(toy, bag_reader=None, bag_dim=0)
    if "protein_tokens" not in card.needs:
        toy = replace(toy, token_reader=None)
    return toy if "oracle" in card.needs else replace(toy, oracle_reader=None)


def _bytes(answer: SurvivalPrediction) -> bytes:
    arrays = (answer.risk, answer.times, answer.survival)
    return b"|".join(b"" if array is None else array.tobytes() for array in arrays)


def _rows(answer: SurvivalPrediction, at: np.ndarray) -> SurvivalPrediction:
    return replace(answer, risk=answer.risk[at], survival=None if answer.survival is None else answer.survival[at])


def _gap(left: SurvivalPrediction, right: SurvivalPrediction) -> float:
    """Largest difference of two answers' risks, times and curves; infinite where they do not match in shape."""
    gaps = []
    for name in ("risk", "times", "survival"):
        one, other = getattr(left, name), getattr(right, name)
        if one is None and other is None:
            continue
        if one is None or other is None or one.shape != other.shape:
            return float("inf")
        gaps.append(float(np.abs(one - other).max(initial=0)))
    return max(gaps)
