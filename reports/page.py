"""The page: one self-contained HTML file that sorts, filters and plots, and asks nothing of the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from protocols.metric import Metric
from reports.claims import Claim
from reports.direction import best_first, direction
from reports.leaderboard import Leaderboard, Row
from reports.page_data import page_data, staircase, to_script
from reports.plugins import File, plugin_of
from reports.tables import (
    CLAIM_NUMBERS,
    CLAIM_TITLES,
    NOTHING,
    claim_cells,
    cohort_text,
    columns,
    count,
    counted,
    device_text,
    grouped_notices,
    headline_claims,
    headline_text,
    interval,
    metric_title,
    number,
    pending_lines,
    published,
    seeds_text,
    shared_notices,
    tie_lines,
    verdict,
    weights_text,
)

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"
STYLES = ("page.css", "plots.css")
SCRIPTS = ("core.js", "table.js", "ranks.js", "genes.js", "maps.js", "curves.js", "staircase.js", "start.js")
BAR_WIDTH = 112
"""Width of the small interval bar in the table, in CSS pixels."""


@dataclass(frozen=True)
class Bar:
    """A small interval bar: positions in pixels from the left of :data:`BAR_WIDTH`; None where undefined."""

    zero: float | None
    low: float | None
    mean: float | None
    high: float | None


def page(
    boards: Sequence[Leaderboard],
    claims: Sequence[Claim],
    maps: Mapping[str, list[dict[str, Any]]],
    *,
    panels: Mapping[str, Sequence[str]] | None = None,
    links: Sequence[File] = (),
    pending: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """Render the page. All text of records is escaped; ``maps`` come from :func:`reports.maps.encode_maps`.

    By a board's key, ``panels`` are trusted HTML of the task's plug-in; ``links``: pages that stand beside this one;
    ``pending``: boards without any record, and the models that are to be scored there.
    """
    from markupsafe import Markup

    made = environment()
    made.globals.update(
        count=count,
        device_text=device_text,
        headline_claims=headline_claims,
        interval=interval,
        metric_title=metric_title,
        number=number,
        published=published,
        seeds_text=seeds_text,
        tie_lines=tie_lines,
        verdict=verdict,
        weights_text=weights_text,
        BAR_WIDTH=BAR_WIDTH,
    )
    steps = staircase(boards)
    return made.get_template("page.html.j2").render(
        boards=boards,
        columns=columns,
        cohort_text=cohort_text,
        counted=counted,
        headline_text=headline_text,
        bar=_bar,
        nothing="" if boards else NOTHING,
        pending=pending_lines(pending or {}),
        links=[one for one in links if one.link],
        shared_notices=shared_notices(boards),
        grouped_notices=grouped_notices(boards),
        short=short_titles(boards),
        cohorts=sorted({f"{board.cohort.name}, {board.cohort.nature}" for board in boards}),
        profiles=sorted({board.profile for board in boards}),
        steps=steps,
        staircase=plugin_of(steps[0].task).staircase if steps else "",
        matrices=[(own[0].headline, headline_text(own[0]), own, matrix(own)) for own in comparable(boards)],
        panels={key: [Markup(text) for text in own] for key, own in (panels or {}).items()},
        guide=guide(boards),
        claim_titles=CLAIM_TITLES,
        claim_numbers=[CLAIM_TITLES.index(title) for title in CLAIM_NUMBERS],
        claims=[(claim, claim_cells(claim)) for claim in claims],
        style=page_style(),
        script=Markup("\n".join(_asset(name) for name in SCRIPTS)),
        data=Markup(to_script(page_data(boards, maps, short_titles(boards)))),
    )


def environment() -> Environment:
    """Templates that escape all text and stop at a name that they do not know."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def page_style(names: Sequence[str] = STYLES) -> Markup:
    from markupsafe import Markup

    return Markup("\n".join(_asset(name) for name in names))


def short_titles(boards: Sequence[Leaderboard]) -> dict[str, str]:
    """What tabs and axes call a board: its protocol's title without the closing words that all of its task share, or
    the task's own short word; and behind it the board where a protocol has several."""
    titles: dict[str, dict[str, str]] = {}
    for board in boards:
        titles.setdefault(board.task, {})[board.protocol] = board.protocol_title
    short: dict[str, str] = {}
    for task, own in titles.items():
        tab = plugin_of(task).tab
        short |= dict.fromkeys(own, tab) if tab and len(own) == 1 else _without_shared_end(own)
    several = {board.protocol for board in boards if sum(board.protocol == one.protocol for one in boards) > 1}
    return {b.key: short[b.protocol] + (f", {b.board}" if b.protocol in several else "") for b in boards}


def _without_shared_end(titles: Mapping[str, str]) -> dict[str, str]:
    words = {name: title.split() for name, title in titles.items()}
    shared = 0
    while (
        len(words) > 1
        and all(len(w) > shared + 1 for w in words.values())
        and len({w[-1 - shared] for w in words.values()}) == 1
    ):
        shared += 1
    return {name: " ".join(w[: len(w) - shared]) for name, w in words.items()}


def comparable(boards: Sequence[Leaderboard]) -> list[list[Leaderboard]]:
    """Boards that may stand in one matrix: of one task, with one headline."""
    found: dict[tuple[str, Metric], list[Leaderboard]] = {}
    for board in boards:
        found.setdefault((board.task, board.headline), []).append(board)
    return list(found.values())


def matrix(boards: Sequence[Leaderboard]) -> list[tuple[str, str, list[Row | None]]]:
    """Models down, boards across: ``(title, kind, one row or None a board)``, the best mean first, controls last."""
    cells = {(board.key, row.model): row for board in boards for row in board.rows}
    lines = []
    for model in {row.model for board in boards for row in board.rows}:
        line = [cells.get((board.key, model)) for board in boards]
        there = [row for row in line if row is not None]
        means = [row.headline.mean for row in there if row.headline.mean is not None]
        mean = sum(means) / len(means) if means else None
        lines.append(((there[0].kind != "model", best_first(boards[0].headline, mean), model), there[0], line))
    return [(row.title, row.kind, line) for _, row, line in sorted(lines, key=lambda item: item[0])]


def guide(boards: Sequence[Leaderboard]) -> list[tuple[str, str]]:
    """(title, text): each headline in its protocol's words, then what its task says of it."""
    found: dict[tuple[str, str], None] = {}
    for own in comparable(boards):
        named = dict.fromkeys(board.protocol_title for board in own)
        headline = own[0].headline
        found[headline.title, f"{headline.hint}; {direction(headline)}. Headline of: {', '.join(named)}."] = None
        found |= dict.fromkeys(plugin_of(own[0].task).guide)
    return list(found)


def _asset(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _bar(board: Leaderboard, row: Row) -> Bar:
    """Place a row's interval on the scale that all rows share; a value of no insight is always on it."""
    nothing = board.headline.nothing
    values = [] if nothing is None else [nothing]
    for other in board.rows:
        values += [v for v in (other.headline.low, other.headline.mean, other.headline.high) if v is not None]
    low, high = min(values, default=0.0), max(values, default=0.0)
    span = (high - low) or 1.0

    def place(value: float | None) -> float | None:
        return None if value is None else round(4 + (BAR_WIDTH - 8) * (value - low) / span, 1)

    return Bar(place(nothing), place(row.headline.low), place(row.headline.mean), place(row.headline.high))
