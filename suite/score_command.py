"""``slide2omics score``: answers handed in, scored, and the place that each would have on its board."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from protocols.records import RECORD_FILE
from protocols.registry import load_task
from suite.config import Config
from suite.engine.prepare import add_controls, narrowed, prepare
from suite.engine.store import sweep
from suite.engine.submit import handed_in, laid_out, score
from suite.places import SCORES, SUBMISSIONS, found


def score_predictions(config: Config, protocol: str, predictions: Path, model: str | None, note: str) -> Iterator[str]:
    """Lines for the terminal: each board's headline, then the board's table with this model in its place.

    What was handed in is read before any cohort is, and checked whole before any control is fitted.
    """
    from reports.cells import load_records
    from reports.leaderboard import build_leaderboards, placed
    from suite.engine.report import contracts

    sweep()
    (asked,) = narrowed(config, protocol).protocols.values()
    given = handed_in(config, load_task(asked.task), predictions, model, note)
    run = prepare(config, protocol)
    with laid_out(run, asked, given) as laid:
        add_controls(run)
        records = score(run, asked, laid)
    folders = [
        path.parent
        for root, depth in ((SCORES, "*/*/*"), (SUBMISSIONS, "*/*"))
        for path in found(root / asked.name, f"{depth}/{RECORD_FILE}")
    ]
    found_boards = build_leaderboards(load_records(folders), config.seed, contracts=contracts(config))
    boards = {board.board: board for board in found_boards}
    for record in records:
        headline = record.headline
        interval = "" if headline.low is None else f" (95 % CI {headline.low:.3f} to {headline.high:.3f})"
        mean = "undefined" if headline.mean is None else f"{headline.mean:.3f}"
        yield (
            f"{record.model} on {asked.name} {record.board}: {asked.headline.title} {mean}{interval}, "
            f"{headline.n_patients} patients"
        )
        if record.board in boards:
            yield placed(boards[record.board], record)
