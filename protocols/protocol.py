"""What a protocol is: a question put to the cohorts of a task, its folds, and what decides the rank."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from protocols.contract import Card
from protocols.metric import Metric
from protocols.splits import Split

SplitFunction = Callable[..., Split]
"""(store, settings of the task, seed) -> the split; a function, or a :class:`protocols.task.Part` that names one."""


@dataclass(frozen=True)
class Protocol:
    """A question, one file each in ``protocols/questions`` (or a third party's). A change that moves a score raises
    ``version``.

    ``metrics``: the headline first, then what else a board shows. ``disjoint``: what training and test may never share
    besides pixels; the audit checks it. ``split``: None where ``answered_by`` names the protocol whose fits answer this
    one. ``controls``: cards of controls that read the truth and are therefore made where scores are, not by a model.
    ``place``: boards are shown in this order, and by name within it.
    """

    name: str
    version: str
    task: str
    title: str
    question: str
    source: str
    target: str
    metrics: tuple[Metric, ...]
    split: SplitFunction | None = None
    disjoint: tuple[str, ...] = ("patient",)
    answered_by: str = ""
    controls: tuple[Card, ...] = ()
    place: int = 100

    @property
    def headline(self) -> Metric:
        return self.metrics[0]

    def metric(self, key: str) -> Metric:
        """The metric of that key; an unknown one fails with the nearest."""
        from protocols.errors import look_up

        return look_up(key, {one.key: one for one in self.metrics}, kind="metric", where=f"protocol {self.name}")


@dataclass(frozen=True)
class Board:
    """One leaderboard: a protocol on one cohort (or on a part of it that is asked by itself, as one stain is).

    ``fits``: name of the board whose fits answer this one (its own name, but for a protocol that is ``answered_by``
    another); ``cohort`` is where the truth is, ``fitted_on`` where models learn.
    """

    protocol: str
    name: str
    cohort: str
    fitted_on: str
    part: Any = ""
