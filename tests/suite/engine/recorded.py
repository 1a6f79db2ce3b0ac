"""Which files a key hashed: what was asked of the closure while the key was computed, and not what should have been."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from suite.engine import keys
from suite.engine.closure import Closure


@contextmanager
def recorded() -> Iterator[list[Closure]]:
    found: list[Closure] = []
    known = keys.closure

    def closure(*starts: str | Path) -> Closure:
        found.append(known(*starts))
        return found[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "closure", closure)
        yield found


def hashed_by(ask: Callable[[], Any]) -> set[str]:
    """Every file whose bytes went into what ``ask`` computes."""
    with recorded() as closures:
        ask()
    assert closures
    return {str(path) for closure in closures for path in closure.files}
