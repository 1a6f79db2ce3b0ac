"""Kernels of a GPU that promise no equal answer twice: whoever runs them tells it here, whoever keeps a record asks.

Without torch, so that a model which needs none does not import it to say that it used no such kernel.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_LISTENING: list[set[str]] = []


def unpromised(kernel: str) -> None:
    """A kernel without a deterministic version was used."""
    for names in _LISTENING:
        names.add(kernel)


@contextmanager
def kernels_heard() -> Iterator[set[str]]:
    """Yield a set that fills with the names of such kernels while the block runs."""
    names: set[str] = set()
    _LISTENING.append(names)
    try:
        yield names
    finally:
        _LISTENING[:] = [one for one in _LISTENING if one is not names]


def as_note(kernels: tuple[str, ...]) -> str:
    """What a reader of a board is told of a cell whose training or answers used some."""
    return f"not deterministic on this GPU: {', '.join(kernels)}; a second run may differ"
