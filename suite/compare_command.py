"""``slide2omics compare``: two models on every board that has both."""

from __future__ import annotations

from collections.abc import Iterator

from suite.config import Config
from suite.engine.report import cells
from suite.engine.run import Run


def compared(config: Config, one: str, other: str) -> Iterator[str]:
    from reports.cells import load_records
    from reports.compare import compare_all, table

    for found in compare_all(load_records(cells(Run(config))), one, other, seed=config.seed):
        yield f"{found.protocol}, {found.board}"
        yield table(found)
