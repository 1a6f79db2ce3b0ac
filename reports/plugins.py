"""What a task adds to the reports: figures, tables and pages of its own, found by its name and listed nowhere.

A task's plug-in is ``reports/tasks/<task>.py`` with ``PLUGIN``; a third party's package brings its own through the
entry points ``slide2omics.reports`` (name: the task). A task without one still has its leaderboards, ranks, genes and
maps: those are made of what every record holds.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from protocols.errors import UserError
from protocols.records import ScoreRecord
from reports.cells import ScoredCell
from reports.direction import best_first
from reports.leaderboard import Leaderboard, board_key

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HERE = Path(__file__).parent / "tasks"
GROUP = "slide2omics.reports"
BOTH = ("png", "svg")


@dataclass(frozen=True)
class Material:
    """What a plug-in may read: the task's boards, and its cells (one a board and model, whatever the seeds).

    ``sections``: by board, the folder of the sections that its models were asked for maps of.
    """

    boards: Sequence[Leaderboard]
    cells: Sequence[ScoredCell]
    sections: Mapping[str, Path]

    def shown(self, board: Leaderboard) -> list[ScoredCell]:
        """The board's scored cells as figures show them: the oracle, models by the headline, controls."""
        own = [cell for cell in self.cells if board_key(cell[0].protocol, cell[0].board) == board.key]
        return sorted((cell for cell in own if cell[0].status == "scored"), key=lambda cell: _order(board, cell[0]))


def _order(board: Leaderboard, record: ScoreRecord) -> tuple[int, float, str]:
    kind = {"oracle": 0, "control": 2}.get(record.kind, 1)
    return kind, best_first(board.headline, record.headline.mean), record.model


@dataclass(frozen=True)
class Drawing:
    """A figure ``<family>_<board's key>``, or ``<family>`` where ``board`` is empty; ``draw`` may find nothing to draw.

    Grids of photographs gain nothing as vectors, so they are ``kinds=("png",)``.
    """

    family: str
    board: str
    draw: Callable[[], Figure | None]
    kinds: tuple[str, ...] = BOTH


@dataclass(frozen=True)
class File:
    """A table or a page beside ``index.html``; ``link`` says what it is, where the index links to it."""

    name: str
    text: str
    link: str = ""


@dataclass(frozen=True)
class Plugin:
    """Everything is optional. ``families`` and ``files`` name all that may be written, so that what an earlier run
    wrote and this one does not can be removed.

    ``tab``: how boards are called where the protocol's title is long. ``staircase``: what the plot of protocols in
    their order says of them; empty: they are no staircase. ``guide``: (title, text) for "How to read". ``panels``:
    trusted HTML that stands below a board's plots. ``data``: what the page's script reads of a board.
    """

    tab: str = ""
    staircase: str = ""
    guide: tuple[tuple[str, str], ...] = ()
    families: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    draw: Callable[[Material], Sequence[Drawing]] = lambda _: ()
    write: Callable[[Material], Sequence[File]] = lambda _: ()
    panels: Callable[[Material, Leaderboard], Sequence[str]] = lambda _, __: ()
    data: Callable[[Leaderboard], Mapping[str, Any]] = lambda _: {}


def plugin_of(task: str) -> Plugin:
    """The plug-in of a task; an empty one where there is none."""
    place = plugin_modules().get(task)
    return Plugin() if place is None else _load(place)


def all_plugins() -> list[Plugin]:
    return [_load(place) for place in plugin_modules().values()]


def plugin_modules() -> dict[str, str]:
    """Task to the module of its plug-in; a name that is there twice is an error."""
    found = {path.stem: f"reports.tasks.{path.stem}" for path in sorted(HERE.glob("[!_]*.py"))}
    for point in entry_points(group=GROUP):
        if point.name in found:
            raise UserError(
                f"plug-in {point.name!r} is brought by {found[point.name]} and by {point.value}",
                where=f"entry points {GROUP}",
                expected="one a task",
                remedy="uninstall one of them",
            )
        found[point.name] = point.value
    return found


@cache
def _load(place: str) -> Plugin:
    module, _, attribute = place.partition(":")
    found = getattr(importlib.import_module(module), attribute or "PLUGIN", None)
    if not isinstance(found, Plugin):
        raise UserError("no PLUGIN", where=module, expected="PLUGIN = Plugin(…)", remedy="declare it there")
    return found
