"""``slide2omics compare``: two models on every board that has both."""

from __future__ import annotations

from collections.abc import Iterator

from protocols.errors import UserError
from suite.config import Config
from suite.engine.report import cells
from suite.engine.run import Run


def compared(config: Config, one: str, other: str) -> Iterator[str]:
    from reports.compare import compare, table
    from reports.leaderboard import load_cells

    found: dict[tuple[str, str], dict[str, object]] = {}
    for record, folder in load_cells(cells(Run(config))):
        if record.model in (one, other) and record.status == "scored":
            found.setdefault((record.protocol, record.board), {}).setdefault(record.model, (record, folder))
    pairs = {key: both for key, both in found.items() if len(both) == 2}
    if not pairs:
        raise UserError(
            f"no board has both {one!r} and {other!r}",
            where="runs/scores",
            expected="two scored models",
            remedy="see `slide2omics leaderboards`",
        )
    for (protocol, board), both in pairs.items():
        yield f"{protocol}, {board}"
        yield table(compare(both[one][0], both[other][0], seed=config.seed))  # type: ignore[index]
