"""One small finished run of every task that the registry knows, and each task's part of it."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from protocols.registry import load_protocol, protocol_modules, task_modules
from suite.config import Config
from suite.engine.run import Run
from tests.suite.engine_run import default_params

TASKS = list(task_modules())
PROTOCOLS = [(load_protocol(name).task, name) for name in protocol_modules()]
LOADED = "loaded.json"
"""What each process of the run had imported at its end, beside the run's file."""
JOINED = ("models", "protocols", "adapters")
SECTIONS = ("tasks", "cohorts")


def write_data(folder: Path) -> dict[str, Any]:
    """Every task's data below ``folder``; returns the run's file of all of them."""
    merged: dict[str, Any] = default_params() | {"workers": 1}
    merged |= {"models": [], "protocols": [], "adapters": {}, "tasks": {}, "cohorts": {}}
    for task in TASKS:
        told = part_of(task).write(folder / task)
        for key in SECTIONS:
            merged[key][task] = told[key][task]
        merged["models"] += told["models"]
        merged["protocols"] += told["protocols"]
        merged["adapters"] |= told["adapters"]
    return merged


def part_of(task: str) -> Any:
    name = f"tests.suite.engine.small.{task}"
    assert find_spec(name), f"the task {task} has no small run: write {name.replace('.', '/')}.py"
    return import_module(name)


@dataclass(frozen=True)
class SmallRun:
    """A working folder with a finished run of every task."""

    folder: Path

    def values(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads((self.folder / "params.yaml").read_text(encoding="utf-8"))
        return told

    def config(self, task: str | None = None, **changes: Any) -> Config:
        """The run's file; of one task alone, if it is named."""
        told = self.values() | changes
        if task is not None:
            told["protocols"] = [name for of, name in PROTOCOLS if of == task]
            told["models"] = part_of(task).MODELS
        return Config.model_validate(told)

    def run(self, task: str | None = None, **changes: Any) -> Run:
        return Run(self.config(task, **changes), self.folder)

    def loaded(self) -> dict[str, list[str]]:
        told: dict[str, list[str]] = json.loads((self.folder / LOADED).read_text(encoding="utf-8"))
        return told

    def copied(self, to: Path) -> SmallRun:
        """By links: whoever alters a file removes it first (see :func:`rewritten`)."""
        return SmallRun(Path(shutil.copytree(self.folder, to, copy_function=os.link)))


def rewritten(path: Path, content: bytes) -> None:
    """Another file in its place; what a link of the same name leads to stays as it was."""
    path.unlink()
    path.write_bytes(content)
