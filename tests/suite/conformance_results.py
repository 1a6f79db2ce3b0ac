"""The contract tests of one model of any task, without a process for it."""

from __future__ import annotations

from typing import Any

from protocols.contract import Settings
from protocols.contract_checks import CheckResult, results_of
from protocols.registry import load_task


def results(model: Any, task: str, name: str = "subject") -> list[CheckResult]:
    return list(results_of(load_task(task).checks(model, name, Settings()), model))


def problems(model: Any, task: str, name: str = "subject") -> str:
    return " | ".join(f"{one.check}: {one.problem}" for one in results(model, task, name) if one.problem)
