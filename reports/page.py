"""The page: one self-contained HTML file that sorts, filters and plots, and asks nothing of the network."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reports.claims import Claim
from reports.figures import safe
from reports.leaderboard import Leaderboard, Row
from reports.page_data import page_data, to_script
from reports.tables import (
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
    interval,
    number,
    published,
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

    zero: float
    low: float | None
    mean: float | None
    high: float | None


def page(
    boards: Sequence[Leaderboard],
    claims: Sequence[Claim],
    maps: Mapping[str, list[dict[str, Any]]],
    pending: Mapping[str, Sequence[str]] | None = None,
    *,
    spatial: bool = False,
    figures: Collection[str] = (),
) -> str:
    """Render the page. All text of records is escaped; ``maps`` come from :func:`reports.maps.encode_maps`, ``pending``
    from :func:`reports.leaderboard.without_records`.

    ``spatial``: the page of spatial maps stands beside this one; ``figures``: names of the files below ``figures``,
    since a link to what was not drawn leads nowhere.
    """
    from markupsafe import Markup

    templates = environment()
    templates.globals.update(
        count=count,
        device_text=device_text,
        headline_claims=headline_claims,
        interval=interval,
        number=number,
        published=published,
        tie_lines=tie_lines,
        verdict=verdict,
        weights_text=weights_text,
        means=[(board.metrics.headline, board.metrics.means) for board in _firsts(boards)],
        units={board.cohort.unit for board in boards if not board.cohort.target},
        BAR_WIDTH=BAR_WIDTH,
        nothing=NOTHING,
        safe=safe,
        spatial=spatial,
        figures=frozenset(figures),
    )
    return templates.get_template("page.html.j2").render(
        boards=boards,
        columns=columns,
        cohort_text=cohort_text,
        counted=counted,
        bar=_bar,
        shared_notices=shared_notices(boards),
        grouped_notices=grouped_notices(boards),
        short=short_titles(boards),
        cohorts=sorted({f"{board.cohort.name}, {board.cohort.nature}" for board in boards}),
        profiles=sorted({board.profile for board in boards}),
        staircases=staircases(boards),
        matrices=[(own[0].metrics, own, matrix(own)) for own in _same_headline(boards)],
        pending=dict(pending or {}),
        claim_titles=CLAIM_TITLES,
        claims=[(claim, claim_cells(claim)) for claim in claims],
        style=style(),
        script=Markup("\n".join(_asset(name) for name in SCRIPTS)),
        data=Markup(to_script(page_data(boards, maps, short_titles(boards), staircases(boards)))),
    )


def environment() -> Environment:
    """Templates that escape all text and refuse a name that they were not given."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def style(names: Sequence[str] = STYLES) -> Markup:
    from markupsafe import Markup

    return Markup("\n".join(_asset(name) for name in names))


def short_titles(boards: Sequence[Leaderboard]) -> dict[str, str]:
    """Titles by board for tabs and axes: the protocol's, less the closing words that all protocols of its task share,
    and the board's name where the protocol has several."""
    found = {}
    for board in boards:
        of_task = [one.title.removesuffix(f": {one.board}") for one in boards if one.task == board.task]
        shared = _shared_words(list(dict.fromkeys(of_task)))
        words = board.title.removesuffix(f": {board.board}").split()
        title = " ".join(words[: len(words) - shared])
        several = sum(one.protocol == board.protocol for one in boards) > 1
        found[board.key] = f"{title}, {board.board}" if several else title
    return found


def _shared_words(titles: Sequence[str]) -> int:
    """How many words at the end all titles share; none where there is one title."""
    words = [title.split() for title in titles]
    shared = 0
    while len(words) > 1 and all(len(w) > shared + 1 for w in words) and len({w[-1 - shared] for w in words}) == 1:
        shared += 1
    return shared


def staircases(boards: Sequence[Leaderboard]) -> list[list[Leaderboard]]:
    """Boards of one cohort by several protocols of one task and headline, in the protocols' order; a list a cohort."""
    groups: dict[tuple[str, str, str], list[Leaderboard]] = {}
    for board in boards:
        groups.setdefault((board.task, board.board, board.metrics.key), []).append(board)
    return [own for own in groups.values() if len(own) > 1]


def _same_headline(boards: Sequence[Leaderboard]) -> list[list[Leaderboard]]:
    """Boards that one matrix can show: of one task and one headline, in order."""
    groups: dict[tuple[str, str], list[Leaderboard]] = {}
    for board in boards:
        groups.setdefault((board.task, board.metrics.key), []).append(board)
    return list(groups.values())


def _firsts(boards: Sequence[Leaderboard]) -> list[Leaderboard]:
    return [own[0] for own in _same_headline(boards)]


def matrix(boards: Sequence[Leaderboard]) -> list[tuple[str, str, list[Row | None]]]:
    """Models down, boards across: ``(title, kind, one row or None a board)``, the best mean over boards first."""
    cells = {(board.key, row.model): row for board in boards for row in board.rows}
    lines = []
    for model in {row.model for board in boards for row in board.rows}:
        line = [cells.get((board.key, model)) for board in boards]
        there = [row for row in line if row is not None]
        means = [row.headline.mean for row in there if row.headline.mean is not None]
        reference = there[0].kind != "model"
        mean = boards[0].metrics.sign * sum(means) / max(len(means), 1)
        lines.append(((reference, not means, -mean, model), there[0], line))
    return [(row.title, row.kind, line) for _, row, line in sorted(lines, key=lambda item: item[0])]


def _asset(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _bar(board: Leaderboard, row: Row) -> Bar:
    """Place a row's interval on the scale that all rows share; the value of no insight is always on it."""
    nothing = board.metrics.nothing
    values = [nothing]
    for other in board.rows:
        values += [v for v in (other.headline.low, other.headline.mean, other.headline.high) if v is not None]
    low, high = min(values), max(values)
    span = (high - low) or 1.0

    def place(value: float | None) -> float | None:
        return None if value is None else round(4 + (BAR_WIDTH - 8) * (value - low) / span, 1)

    zero = place(nothing) or 0.0
    return Bar(zero, place(row.headline.low), place(row.headline.mean), place(row.headline.high))
