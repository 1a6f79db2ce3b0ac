"""Conformance: the contract tests of any model, built in or from outside, and always a verdict."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from protocols.contract import Card, Settings
from protocols.contract_checks import CheckResult, results_of
from protocols.errors import UserError
from protocols.registry import load_protocol, load_task
from suite.config import Config
from suite.engine.closure import closure_of
from suite.engine.facts import problems_of, task_facts
from suite.engine.undeclared import home_of, reading, refuse_undeclared

IMPORTED = "the model can be imported"
CONFORMS = "the card conforms: its kind, task, needs, encoder, files and claims are known"
DECLARED = "it reads no file beside its own that its card does not declare"


def check(name: str, config: Config | None, settings: Settings | None = None) -> Iterator[CheckResult]:
    """Every check of the model's task, after those of its card; one failing does not hide the others.

    ``name``: a listed or built-in name, or ``file.py:Class``. A model that does not import is one failed check.
    """
    from baselines.registry import UNNAMED, is_outside, load_model_class, start_of

    files = [load_protocol(listed) for listed in (config.protocols if config else ()) if listed.endswith(".py")]
    adapters = dict(config.adapters) if config else {}
    given = ":" in name or "@" in name
    if given:
        adapters[UNNAMED] = name
    asked = UNNAMED if given else name
    home = None
    try:
        start = start_of(asked, adapters, Path.cwd())
        home = home_of(start) if is_outside(asked, adapters) else None
        if home is not None and isinstance(start, Path) and start.is_file():
            closure_of(start)  # refuses a name that two modules have, before either is imported
        with reading(home) as read:
            model_class = load_model_class(asked, adapters, Path.cwd())
    except UserError as error:
        yield CheckResult(IMPORTED, str(error))
        return
    yield CheckResult(IMPORTED, "")
    card: Card = model_class.card
    try:
        facts = task_facts(files)
        problems = problems_of(card, start, facts, config.encoders if config else {})
    except UserError as error:  # a name that is taken, or an encoder of the run's file: no card can be judged
        yield CheckResult(CONFORMS, str(error))
        return
    yield CheckResult(CONFORMS, "; ".join(problems))
    if card.task not in facts:
        return
    handed = settings or Settings(parts=card.parts)
    checks = load_task(card.task).checks(model_class, card.name if given else name, handed)
    with reading(home) as later:
        yield from results_of(checks, model_class)
    if home is not None:
        yield from results_of([(DECLARED, lambda: refuse_undeclared(card, home, {**read, **later}))])
