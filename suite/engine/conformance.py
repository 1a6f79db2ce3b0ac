"""Conformance: the contract tests of any model, built in or from outside, and always a verdict."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from protocols.cards import card_problems
from protocols.contract import Card, Settings
from protocols.contract_checks import CheckResult, results_of
from protocols.errors import UserError
from protocols.registry import load_task
from suite.config import Config
from suite.engine.undeclared import home_of, reading, refuse_undeclared

DECLARED = "it reads no file beside its own that its card does not declare"


def check(name: str, config: Config | None, settings: Settings | None = None) -> Iterator[CheckResult]:
    """Every check of the model's task, after those of its card; one failing does not hide the others.

    ``name``: a listed or built-in name, or ``file.py:Class``. A model that does not import is one failed check.
    """
    from baselines.encoders.entries import known_encoders
    from baselines.registry import UNNAMED, is_outside, load_model_class, start_of
    from suite.engine.facts import task_facts

    adapters = dict(config.adapters) if config else {}
    given = ":" in name or "@" in name
    if given:
        adapters[UNNAMED] = name
    asked = UNNAMED if given else name
    home = None
    try:
        home = home_of(start_of(asked, adapters, Path.cwd())) if is_outside(asked, adapters) else None
        with reading(home) as read:
            model_class = load_model_class(asked, adapters, Path.cwd())
    except UserError as error:
        yield CheckResult("the model can be imported", str(error))
        return
    yield CheckResult("the model can be imported", "")
    card: Card = model_class.card
    problems = card_problems(card, tasks=task_facts(), encoders=known_encoders(config.encoders if config else {}))
    yield CheckResult("the card conforms: its kind, task, needs, encoder and claims are known", "; ".join(problems))
    tasks = task_facts()
    if card.task not in tasks:
        return
    checks = load_task(card.task).checks(model_class, card.name if given else name, settings or Settings())
    with reading(home) as later:
        yield from results_of(checks, model_class)
    if home is not None:
        yield from results_of([(DECLARED, lambda: refuse_undeclared(card, home, {**read, **later}))])
