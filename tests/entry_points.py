"""Installed packages that are not: what their entry points would say."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from protocols import entry_points


def install(monkeypatch: pytest.MonkeyPatch, *points: EntryPoint) -> None:
    monkeypatch.setattr(entry_points, "_installed", lambda group: tuple(one for one in points if one.group == group))
