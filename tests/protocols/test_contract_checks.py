"""What all contract tests share: a failure of any kind is a verdict, at the line of the model's author, told once."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable

import numpy as np
import pytest

from protocols.contract import Card
from protocols.contract_checks import CheckResult, check_card, known_global_state, require, results_of
from protocols.errors import UserError


class Subject:
    card = Card(name="subject", title="Subject", task="bulk")

    def fit(self, _train: object) -> None:
        raise AssertionError  # as a model's own assert does, without a word

    def predict(self, _test: object) -> None:
        np.linalg.inv(np.zeros((2, 3)))


def line_of(method: Callable[..., object]) -> int:
    """The line below the method's first."""
    return method.__code__.co_firstlineno + 1


def results(*actions: Callable[[], str | None]) -> list[CheckResult]:
    return list(results_of([(str(number), action) for number, action in enumerate(actions)], Subject))


def test_a_models_bare_assertion_is_no_pass() -> None:
    (found,) = results(lambda: Subject().fit(None))
    assert found.problem == f"AssertionError:  ({__file__}:{line_of(Subject.fit)})"


def test_an_error_inside_a_library_is_told_at_the_models_line() -> None:
    (found,) = results(lambda: Subject().predict(None))
    assert found.problem.startswith("LinAlgError: ")
    assert found.problem.endswith(f"({__file__}:{line_of(Subject.predict)})")


def test_without_a_line_of_the_models_the_last_one_is_told() -> None:
    (found,) = results_of([("a", lambda: str(np.linalg.inv(np.zeros((2, 3)))))], int)
    assert "LinAlgError" in found.problem
    assert __file__ not in found.problem


def test_a_model_that_ends_the_process_has_failed() -> None:
    def leaves() -> None:
        sys.exit(3)

    (found,) = results(leaves)
    assert found.problem.startswith("SystemExit: 3")


def test_a_users_error_keeps_its_one_line() -> None:
    def refused() -> None:
        raise UserError("no file", where="here", expected="a file", remedy="bring one")

    (found,) = results(refused)
    assert found.problem.startswith("here: no file; expected a file; bring one")


def test_one_cause_is_told_once_and_another_in_full() -> None:
    found = results(*[lambda: require(False, "broken")] * 3, lambda: require(False, "other"), lambda: None)
    assert [one.problem for one in found] == ["broken", "as in: 0", "as in: 0", "other", ""]


def test_what_a_check_says_never_fails_it() -> None:
    assert results(lambda: "mean r 0.1") == [CheckResult("0", "", "mean r 0.1")]


def test_what_a_model_prints_is_kept_from_the_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    results(lambda: print("epoch 1"))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("name", "task", "problem"),
    [
        ("subject", "bulk", ""),
        ("other", "bulk", "card.name is 'subject', expected 'other'"),
        ("subject", "survival", "card.task is 'bulk', expected 'survival'"),
    ],
)
def test_a_card_is_of_its_task_and_name(name: str, task: str, problem: str) -> None:
    (found,) = results(lambda: check_card(Subject, name, task))
    assert found.problem == problem


@pytest.mark.parametrize("draw", [random.random, np.random.rand, lambda: np.random.seed(0), lambda: random.seed(0)])  # noqa: NPY002
def test_a_draw_from_the_global_generators_shows_and_they_are_restored(draw: Callable[[], object]) -> None:
    python, numpy = random.getstate(), np.random.get_state()[1].tobytes()  # type: ignore[index, union-attr] # noqa: NPY002
    with known_global_state() as untouched:
        assert untouched()
        draw()
        assert not untouched()
    assert random.getstate() == python
    assert np.random.get_state()[1].tobytes() == numpy  # type: ignore[index, union-attr] # noqa: NPY002
