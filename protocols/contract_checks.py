"""What the contract tests of every task share: a check, its result, and the global generators that nobody may touch."""

from __future__ import annotations

import io
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass

import numpy as np

from protocols.contract import Card
from protocols.errors import NotThere, UserError
from protocols.own_lines import own_line

KIND = "contract"
CONTRACT_FILE = "contract.json"
"""What the results of one model's contract tests are sealed as, and where they lie in that folder."""
_UNLIKELY_SEED = 1_969_417_013


class Broken(AssertionError):
    """A contract was found broken by a check: what it says is the whole verdict. Raised by :func:`require` alone."""


@dataclass(frozen=True)
class CheckResult:
    """One contract test of one model; ``problem`` is empty where it passes, ``said`` what it reports beside that.

    ``unable``: the problem is a file that the model needs and that is not there; the contract was not tested.
    """

    check: str
    problem: str
    said: str = ""
    unable: bool = False


def results_of(
    checks: Sequence[tuple[str, Callable[[], str | None]]], model_class: type | None = None
) -> Iterator[CheckResult]:
    """Run named checks; an error of any kind is that check's problem, at the line of the model's own file.

    One cause is told once: a later check that fails in the same words says so. A model that ends the process
    (``sys.exit``) has failed the check like any other.
    """
    told: dict[str, str] = {}
    for check, action in checks:
        problem, said, unable = "", None, False
        try:
            with redirect_stdout(io.StringIO()):
                said = action()
        except Broken as error:
            problem = str(error)
        except UserError as error:
            unable = isinstance(error, NotThere)
            line = own_line(error, model_class)
            problem = f"{error} ({line})" if line else str(error)
        except (Exception, SystemExit) as error:
            unable = isinstance(error, FileNotFoundError)
            problem = f"{type(error).__name__}: {error} ({own_line(error, model_class) or _last_line(error)})"
        if problem and problem in told:
            problem = f"as in: {told[problem]}"
        elif problem:
            told[problem] = check
        yield CheckResult(check, problem, said or "", unable)


def _last_line(error: BaseException) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{last.filename}:{last.lineno}"


def check_card(model_class: type, name: str, task: str) -> None:
    """The card is there, whole, of the right task and carries the model's name; fit and predict can be called."""
    card = getattr(model_class, "card", None)
    require(isinstance(card, Card), f"no class attribute card = Card(...), found {card!r}")
    require(card is not None and card.name == name, f"card.name is {card and card.name!r}, expected {name!r}")
    require(bool(card and card.title), "card.title is empty")
    require(card is not None and card.task == task, f"card.task is {card and card.task!r}, expected {task!r}")
    for method in ("fit", "predict"):
        require(callable(getattr(model_class, method, None)), f"no method {method}")


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
        raise Broken(message)
