"""Progress on the terminal; plain lines where there is none (DVC and CI logs)."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
_SECONDS_BETWEEN_LINES = 10.0


def track(items: Sequence[T], label: str) -> Iterator[T]:
    """Yield the items behind a progress bar on standard error; off a terminal, a line every ten seconds."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import track as bar

        yield from bar(items, description=label, console=Console(stderr=True), transient=True)
        return
    last = time.monotonic()
    for done, item in enumerate(items):
        if time.monotonic() - last > _SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            print(f"{label}: {done} of {len(items)}", file=sys.stderr, flush=True)
        yield item


@contextmanager
def steps(total: int, label: str) -> Iterator[Callable[[int], None]]:
    """A bar over ``total`` steps; what is yielded is called with the number of steps done so far."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task(label, total=total)
            yield lambda done: progress.update(task, completed=done)
        return
    last = time.monotonic()

    def report(done: int) -> None:
        nonlocal last
        if time.monotonic() - last > _SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            print(f"{label}: {done} of {total}", file=sys.stderr, flush=True)

    print(label, file=sys.stderr, flush=True)
    yield report
