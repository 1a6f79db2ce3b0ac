"""A run resolved: its tasks, protocols, cohorts, boards and models, each checked by whoever knows it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from protocols.contract import Card
from protocols.errors import UserError, did_you_mean
from protocols.manifest import card_of
from protocols.names import safe_name, safe_names
from protocols.protocol import Board, Protocol
from protocols.registry import load_protocol, load_reader, load_task, protocol_modules, start_of_protocol, task_modules
from protocols.task import CohortRequest, Task
from suite.config import Config, validated
from suite.engine.closure import closure_of


@dataclass(frozen=True)
class ModelEntry:
    """A listed model before it is run. ``start``: where its import closure begins; ``outside``: it is imported by the
    process that runs it and by no other."""

    name: str
    card: Card
    start: str | Path
    outside: bool

    @property
    def parts(self) -> tuple[str, ...]:
        """Names whose ``weights`` and ``encoders`` entries are this model's."""
        return self.card.parts


class Run:
    """What a run's file asks for. Nothing is read, and no model of somebody else is imported, to find out."""

    def __init__(self, config: Config, root: Path | None = None) -> None:
        self.config, self.root = config, root or Path.cwd()
        self._requests: dict[str, dict[str, dict[str, CohortRequest]]] = {}

    @cached_property
    def protocols(self) -> dict[str, Protocol]:
        """The listed protocols by name, in order; a protocol may be a file."""
        found: dict[str, Protocol] = {}
        for listed in self.config.protocols:
            one = load_protocol(listed)
            if one.name in found or (listed != one.name and one.name in protocol_modules()):
                raise UserError(
                    f"its protocol is named {one.name!r}, as another is", where=listed,
                    expected="a name of its own", remedy="rename it in that file",
                )  # fmt: skip
            found[one.name] = one
        safe_names(found, kind="protocol", where="protocols")
        return found

    @cached_property
    def starts(self) -> dict[str, str | Path]:
        """Where the import closure of each protocol begins, listed or answering."""
        known = {load_protocol(one).name: start_of_protocol(one) for one in self.config.protocols}
        return {**{name: start_of_protocol(name) for name in self.fitting if name not in known}, **known}

    @cached_property
    def fitting(self) -> dict[str, Protocol]:
        """The protocols whose fits answer the listed ones: themselves, but for one that another answers."""
        names = {one.answered_by or one.name: one for one in self.protocols.values()}
        return {name: one if one.name == name else load_protocol(name) for name, one in names.items()}

    @cached_property
    def tasks(self) -> dict[str, Task]:
        """The tasks of the listed protocols; no other's cohorts, settings or models are looked at."""
        for section, given in (("cohorts", self.config.cohorts), ("tasks", self.config.tasks)):
            for name in given:
                if name not in task_modules():
                    raise UserError(
                        f"unknown task {name!r}", where=section, expected="a known task",
                        remedy=did_you_mean(name, task_modules()),
                    )  # fmt: skip
        return {name: load_task(name) for name in dict.fromkeys(one.task for one in self.protocols.values())}

    def task(self, name: str) -> Task:
        """A task by name, whether or not a listed protocol asks it."""
        return load_task(name)

    def told(self, *protocols: str) -> str:
        """The run's file for a process that is asked about these protocols alone: what it imports, and so what its
        result depends on, is theirs and no other task's."""
        listed = {load_protocol(one).name: one for one in self.config.protocols}
        asked = tuple(listed.get(name, name) for name in protocols)
        return self.config.model_copy(update={"protocols": asked}).model_dump_json()

    def requests(self, task: str, *, scoring: bool = False, auditing: bool = False) -> dict[str, CohortRequest]:
        """The cohorts of a task by name. What scoring alone reads is None unless ``scoring``; what the audit alone
        reads, unless ``auditing``, which sees all."""
        if task not in self._requests:
            whole = self._requests_of(load_task(task))
            scored = {name: _without(request, "audit_only") for name, request in whole.items()}
            before = {name: _without(request, "score_only") for name, request in scored.items()}
            self._requests[task] = {"audit": whole, "score": scored, "before": before}
        return self._requests[task]["audit" if auditing else "score" if scoring else "before"]

    def _requests_of(self, task: Task) -> dict[str, CohortRequest]:
        cohorts = self.config.cohorts.get(task.name, {})
        if not cohorts:
            asking = ", ".join(one.name for one in self.protocols.values() if one.task == task.name)
            raise UserError(
                f"no cohort of the task {task.name}", where=f"cohorts.{task.name}", expected="at least one",
                remedy=f"add one, or drop {asking}",
            )  # fmt: skip
        return {cohort: self._request(task, cohort, values) for cohort, values in cohorts.items()}

    def _request(self, task: Task, name: str, values: Mapping[str, Any]) -> CohortRequest:
        where = f"cohorts.{task.name}.{name}"
        entry = validated(task.cohort, dict(values or {}), where=where)
        _refuse_other_options(task, entry, where)
        brought = _filled(task.settings.SIZES.get(self.config.profile, {}), self.config.tasks.get(task.name) or {})
        merged = _merged(brought, entry.settings)
        settings = validated(task.settings, merged, where=f"tasks.{task.name}")
        return CohortRequest(task.name, name, entry, settings, self.config.seed, self.config.workers)

    @cached_property
    def boards(self) -> list[Board]:
        """Every board of the listed protocols, in the order of the run's file."""
        return [board for one in self.protocols.values() for board in self.boards_of(one)]

    def boards_of(self, protocol: Protocol) -> list[Board]:
        task, cohorts = self.tasks[protocol.task], self.requests(protocol.task)
        if task.boards is None:
            found = [Board(protocol.name, name, name, name) for name in cohorts]
        else:
            found = task.boards(protocol, cohorts)
        safe_names([board.name for board in found], kind="board", where=f"protocol {protocol.name}")
        return list(found)

    @cached_property
    def fit_boards(self) -> list[tuple[Protocol, Board]]:
        """The boards whose cells are fitted: those of the answering protocols that a listed board needs."""
        found: dict[tuple[str, str], tuple[Protocol, Board]] = {}
        for protocol in self.protocols.values():
            fitter = self.fitting[protocol.answered_by or protocol.name]
            own = {board.name: board for board in self.boards_of(fitter)}
            wanted = [board.fitted_on for board in self.boards_of(protocol)] if protocol.answered_by else list(own)
            for name in wanted:
                found.setdefault((fitter.name, name), (fitter, own[name]))
        return list(found.values())

    def companions(self, protocol: Protocol, cohort: str) -> list[str]:
        """Other cohorts that a cohort's fits are asked about or learn from."""
        task = self.tasks[protocol.task]
        if task.companions is None:
            return []
        return list(task.companions(protocol, cohort, self.requests(protocol.task)))

    @cached_property
    def cohorts(self) -> list[CohortRequest]:
        """Every cohort that a listed board touches, in the order of the run's file."""
        found = []
        for task in self.tasks:
            touched = {
                name
                for protocol, board in self.fit_boards
                if protocol.task == task
                for name in (board.cohort, board.fitted_on, *self.companions(protocol, board.fitted_on))
            }
            touched |= {board.cohort for board in self.boards if self.protocols[board.protocol].task == task}
            found += [request for name, request in self.requests(task).items() if name in touched]
        return found

    @cached_property
    def models(self) -> dict[str, ModelEntry]:
        """Every listed model; a name that leads nowhere, or a card that does not conform, is an error."""
        from suite.engine.facts import problems_of, task_facts

        facts, found = task_facts(self.protocols.values()), {}
        for name in self.config.models:
            entry = self.model(name)
            problems = problems_of(entry.card, entry.start, facts, self.config.encoders)
            if problems:
                raise UserError(
                    problems[0], where=f"the card of {name}", expected="a card that conforms",
                    remedy=f"run `slide2omics check {name}`",
                )  # fmt: skip
            found[name] = entry
        return found

    def model(self, name: str) -> ModelEntry:
        """One model's entry; of a model from outside the card is read by a process of its own."""
        from baselines.registry import is_outside, load_model_class, start_of

        adapters = self.config.adapters
        start = start_of(name, adapters, self.root)
        if is_outside(name, adapters):
            if isinstance(start, Path) and start.is_file():
                closure_of(start)  # refuses a name that two modules have, before either is imported
            return ModelEntry(name, card_from_outside(name, adapters, self.root), start, True)
        return ModelEntry(name, load_model_class(name, adapters, self.root).card, start, False)

    def models_of(self, task: str) -> list[ModelEntry]:
        return [entry for entry in self.models.values() if entry.card.task == task]

    @cached_property
    def not_asked(self) -> list[str]:
        """Listed models whose task no listed protocol asks."""
        return [entry.name for entry in self.models.values() if entry.card.task not in self.tasks]


def card_from_outside(name: str, adapters: Mapping[str, str], root: Path) -> Card:
    """The card of somebody else's model, read by a process that does nothing else with it."""
    asked = json.dumps({"name": name, "adapters": dict(adapters), "root": str(root), "parent": os.getpid()})
    command = [sys.executable, "-m", "suite.engine.card_of"]
    answer = subprocess.run(command, input=asked, capture_output=True, text=True, check=False)
    try:
        told = json.loads(answer.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        last = (answer.stderr.strip().splitlines() or ["no word"])[-1]
        raise UserError(
            f"importing it ended with status {answer.returncode}: {last}", where=f"model {name}",
            expected="a model that imports", remedy=f"run `slide2omics check {name}`",
        ) from None  # fmt: skip
    if "error" in told:
        raise UserError(**told["error"])
    return card_of(told["card"])


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """``changes`` laid over ``base``, mappings within mappings."""
    merged = dict(base)
    for key, value in changes.items():
        inner = merged.get(key)
        merged[key] = _merged(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return merged


def _filled(sizes: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """``given``, with what a profile brings where it says nothing: an absent or an empty key."""
    filled = {**given}
    for key, value in sizes.items():
        inner = given.get(key)
        if inner is None:
            filled[key] = value
        elif isinstance(inner, Mapping) and isinstance(value, Mapping):
            filled[key] = _filled(value, inner)
    return filled


def _without(request: CohortRequest, mark: str) -> CohortRequest:
    return replace(request, entry=_emptied(request.entry, mark), settings=_emptied(request.settings, mark))


def _emptied(model: Any, mark: str) -> Any:
    """The same with every field of that mark set to None: no other stage can depend on it."""
    later = {
        name: None
        for name, field in type(model).model_fields.items()
        if isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get(mark)
    }
    return model.model_copy(update=later) if later else model


def _refuse_other_options(task: Task, entry: Any, where: str) -> None:
    """The reader exists, has what it needs, and no key is set that it would ignore."""
    reader = load_reader(task.name, entry.reader)
    given = {key for key in entry.model_fields_set if getattr(entry, key) is not None}
    special = {key for other in _all_options(task.name) for key in other}
    for key in sorted(given & special - set(reader.options) - set(reader.required)):
        raise UserError(
            f"{key} is set", where=where,
            expected=f"of the reader {reader.name} only {', '.join((*reader.required, *reader.options)) or 'no path'}",
            remedy=f"drop {key}, or choose another reader",
        )  # fmt: skip
    for key in reader.required:
        if key not in given:
            raise UserError(f"no {key}", where=where, expected=f"it, for the reader {reader.name}", remedy="set it")


def _all_options(task: str) -> list[tuple[str, ...]]:
    from protocols.registry import reader_modules

    readers = [load_reader(task, name) for name in reader_modules(task)]
    return [(*reader.required, *reader.options) for reader in readers]


def checked_model_name(name: str, config: Config, where: object) -> str:
    """A name under which answers are handed in: plain, and no listed model's."""
    safe_name(name, kind="model", where=where)
    if name.lower() in {listed.lower() for listed in config.models}:
        raise UserError(
            f"{name!r} is a model of params.yaml", where=where, expected="a name of its own", remedy="rename it"
        )
    return name
