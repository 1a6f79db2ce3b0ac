"""Work on several processes where that pays; results never depend on how many."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")
WORTH_STARTING_SECONDS = 8.0
"""Work left, by the first item's time, from which a second process earns its start (imports take seconds)."""


def in_parallel(
    work: Callable[[Item], Answer],
    items: Sequence[Item],
    workers: int,
    *,
    at_once: bool = False,
    worth_seconds: float = WORTH_STARTING_SECONDS,
) -> Iterator[tuple[Item, Answer]]:
    """Yield (item, answer) as they are done, in no fixed order.

    ``work`` and the items must be importable and picklable. The first item runs here, and processes are started only
    if what is left is worth it (``worth_seconds`` by the time of the first, which is the largest where items are sorted
    so), or ``at_once`` if it is known to be. An error in a process is raised here.
    """
    left = list(items)
    if not at_once or workers == 1:
        while left:
            start = time.monotonic()
            item = left.pop(0)
            yield item, work(item)
            if workers > 1 and (time.monotonic() - start) * len(left) > worth_seconds:
                break
    if not left:
        return
    with ProcessPoolExecutor(min(workers, len(left)), multiprocessing.get_context("spawn")) as pool:
        futures = {pool.submit(work, item): item for item in left}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
