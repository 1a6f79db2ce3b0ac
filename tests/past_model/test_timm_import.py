"""The import of timm beside a torchvision whose operators are missing."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from past_model import timm_import


@pytest.mark.slow
def test_timm_is_imported_without_a_warning_in_a_fresh_process() -> None:
    code = (
        "from past_model.timm_import import import_timm; timm = import_timm();"
        "print(timm is import_timm(), callable(timm.create_model))"
    )
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True
    )
    assert run.stdout.split() == ["True", "True"], run.stderr


def answering(monkeypatch: pytest.MonkeyPatch, errors: list[Exception | None]) -> list[str]:
    """Make imports of torchvision fail with each of ``errors`` in turn; return the log of what was asked for."""
    asked: list[str] = []

    def import_module(name: str) -> ModuleType:
        asked.append(name)
        error = errors.pop(0) if name == "torchvision" else None
        if error is not None:
            raise error
        return ModuleType(name)

    monkeypatch.delitem(sys.modules, "timm", raising=False)
    monkeypatch.setattr(importlib, "import_module", import_module)
    monkeypatch.setattr(timm_import, "_kept_libraries", [])
    return asked


def test_missing_operators_are_declared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    declared: list[str] = []
    monkeypatch.setattr(timm_import, "_declare_missing_operators", lambda: declared.append("both"))
    monkeypatch.setattr(timm_import, "_forget_half_imported", lambda package: declared.append(package))
    asked = answering(monkeypatch, [RuntimeError("operator torchvision::nms does not exist")])
    assert timm_import.import_timm().__name__ == "timm"
    assert declared == ["torchvision", "both"]
    assert asked == ["torchvision", "timm"]


def test_another_failure_of_torchvision_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, [RuntimeError("out of disk")])
    with pytest.raises(RuntimeError, match="out of disk"):
        timm_import.import_timm()


def test_absent_torchvision_is_timms_affair(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, [ImportError("no torchvision")])
    assert timm_import.import_timm().__name__ == "timm"
