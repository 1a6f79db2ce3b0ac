"""Runs the contract tests of one model, or of several that are one code: what a worker process does for the stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from protocols.contract import Card, Settings
from protocols.contract_checks import CheckResult
from suite.engine.conformance import check


@dataclass(frozen=True)
class CheckItem:
    """``models``: names that share their code, of which the first is tested; ``settings``: what it is handed."""

    config: str
    root: Path
    models: tuple[str, ...]
    settings: Settings

    def __str__(self) -> str:
        return f"contract tests: {', '.join(self.models)}"


def check_job(item: CheckItem) -> list[tuple[str, list[CheckResult]]]:
    """Each model's results, one a check."""
    from suite.config import Config

    config = Config.model_validate_json(item.config)
    first, *others = item.models
    results = list(check(first, config, item.settings))
    return [(first, results), *((name, _as_of(first, results)) for name in others)]


def _as_of(first: str, results: Sequence[CheckResult]) -> list[CheckResult]:
    """The results of a model whose class is that of another but for its card."""
    return [replace(one, said="; ".join(filter(None, [one.said, f"tested as {first}"]))) for one in results]


class _Nothing:
    """A class that says nothing of its own: what it has, every class has."""

    card: Card


def one_code(model_class: type[Any]) -> tuple[object, ...]:
    """Equal for models that the contract tests cannot tell apart: one class but for a card that asks for the same.

    The made-up data of the tests come with tiles or without, with the truth or without; which encoder a card names, and
    what the model is called, makes no difference to them.
    """
    card: Card = model_class.card
    own = set(vars(model_class)) - set(vars(_Nothing))
    code = model_class.__mro__[1] if own == {"card"} and len(model_class.__bases__) == 1 else model_class
    return (code, card.task, card.needs, bool(card.encoder), card.starts_from, card.checkpoints)
