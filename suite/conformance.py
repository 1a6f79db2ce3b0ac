"""The contract tests: the same for built-in models (in ``tests/``) and for a newcomer (``slide2omics check``)."""

from __future__ import annotations

import io
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace

import numpy as np

from protocols.contract import Card, FloatArray, Model, Pretrains, Settings, Task
from protocols.toy import inputs_of, toy_training
from protocols.views import TrainingView
from suite.stages.predict import checked_answer

_UNLIKELY_SEED = 1_969_417_013


@dataclass(frozen=True)
class CheckResult:
    """One contract test of one model; ``problem`` is empty where it passes."""

    check: str
    problem: str


def check_model(model_class: type[Model], name: str, settings: Settings | None = None) -> Iterator[CheckResult]:
    """Run every contract test; one failing does not hide the others."""
    run = _Run(model_class, name, settings or Settings())
    checks: list[tuple[str, Callable[[], None]]] = [
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
    yield from results_of(checks)


def results_of(checks: Sequence[tuple[str, Callable[[], None]]]) -> Iterator[CheckResult]:
    """Run named checks; an error of any kind is that check's problem, with the line where it came up."""
    for check, action in checks:
        try:
            with redirect_stdout(io.StringIO()):
                action()
            yield CheckResult(check, "")
        except Exception as error:
            if isinstance(error, AssertionError) and str(error):  # a check's own words; a model's bare assert has none
                yield CheckResult(check, str(error))
                continue
            last = traceback.extract_tb(error.__traceback__)[-1]
            yield CheckResult(check, f"{type(error).__name__}: {error} ({last.filename}:{last.lineno})")


def check_card(model_class: type, name: str, task: Task) -> None:
    """The card is there, whole, of the right task and carries the model's name; fit and predict can be called."""
    card = getattr(model_class, "card", None)
    require(isinstance(card, Card), f"no class attribute card = Card(...), found {card!r}")
    require(card is not None and card.name == name, f"card.name is {card and card.name!r}, expected {name!r}")
    require(bool(card and card.title), "card.title is empty")
    require(card is not None and card.task == task, f"card.task is {card and card.task!r}, expected {task!r}")
    for method in ("fit", "predict"):
        require(callable(getattr(model_class, method, None)), f"no method {method}")


class _Run:
    """State shared by the checks: a toy cohort, 80 units to train on and 40 to answer for."""

    def __init__(self, model_class: type[Model], name: str, settings: Settings) -> None:
        self.model_class, self.name = model_class, name
        self.data = toy_training(settings=settings)
        order = np.random.default_rng(1).permutation(len(self.data))
        self.train_at, self.test_at = np.sort(order[:80]), np.sort(order[80:])
        self._first: FloatArray | None = None

    def card(self) -> None:
        check_card(self.model_class, self.name, "expression")

    def answers(self) -> None:
        self._answer(self.data)

    def deterministic(self) -> None:
        first, second = self._once(), self._answer(self.data)
        require(first.tobytes() == second.tobytes(), f"two runs differ by up to {np.abs(first - second).max():.3g}")

    def order(self) -> None:
        reverse = np.arange(len(self.test_at))[::-1]
        swapped = self._answer(self.data, test_at=self.test_at[reverse])
        _close(swapped[reverse], self._once(), "reversing the test units changes answers")

    def alone(self) -> None:
        half = len(self.test_at) // 2
        _close(
            self._answer(self.data, test_at=self.test_at[:half]),
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
        model, test = self._fitted(self.data), inputs_of(self.data, self.test_at)
        model.fit(_training(self.data, self.train_at))
        again = np.asarray(model.predict(test), dtype=np.float32)
        _close(again, self._once(), "a second fit on the same instance answers differently")

    def global_state(self) -> None:
        with known_global_state() as untouched:
            self._answer(self.data)
            require(untouched(), "random or numpy.random was drawn from or seeded: use train.settings.seed")

    def _once(self) -> FloatArray:
        if self._first is None:
            self._first = self._answer(self.data)
        return self._first

    def _fitted(self, data: TrainingView) -> Model:
        train = _training(data, self.train_at)
        model = self.model_class()
        if isinstance(model, Pretrains):
            model.pretrain(train)
        model.fit(train)
        return model

    def _answer(self, data: TrainingView, test_at: np.ndarray | None = None) -> FloatArray:
        test = inputs_of(data, self.test_at if test_at is None else test_at)
        shape = (len(test), len(test.genes))
        return checked_answer(self._fitted(data).predict(test), shape, self.name, "of the contract tests")


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


@contextmanager
def known_global_state() -> Iterator[Callable[[], bool]]:
    """Put the generators that nobody should touch into a known state; yields whether they still are, and restores."""
    import random

    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - to be restored
    random.seed(_UNLIKELY_SEED)
    np.random.seed(_UNLIKELY_SEED)  # noqa: NPY002 - a model that seeds or draws moves away from it
    known = _fingerprint()
    try:
        yield lambda: _fingerprint() == known
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


def _fingerprint() -> tuple[object, bytes, int]:
    import random

    state = np.random.get_state(legacy=False)["state"]  # noqa: NPY002
    return random.getstate(), state["key"].tobytes(), int(state["pos"])


def require(condition: bool, message: str) -> None:
    """A failed contract; kept apart from ``assert``, which ``python -O`` removes."""
    if not condition:
        raise AssertionError(message)


def _close(left: FloatArray, right: FloatArray, message: str) -> None:
    gap = float(np.abs(left - right).max()) if left.shape == right.shape else float("inf")
    require(gap < 1e-4, f"{message} (by up to {gap:.3g})")
