"""Static figures for papers and READMEs: ranks with intervals; each gene's r against the reachable r."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from protocols.files import written_whole
from reports.curves import curves_figure
from reports.leaderboard import Leaderboard, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"model": "#3556c8", "control": "#7a828e", "oracle": "#b7791f"}
INVISIBLE = "#c8374a"
DPI = 130
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "slide2omics",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "figure.titlesize": 10,
    "figure.labelsize": 9,
    # A model's name may hold a dollar sign, which would otherwise begin mathematics.
    "text.parse_math": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
SMALL_MULTIPLES = 8
"""At most this many models in the figure of genes; the best ranked come first."""


def write_figures(board: Leaderboard, folder: Path) -> list[Path]:
    """Write ``ranks_<board>`` and, where there is something to draw, ``genes_<board>`` (r against the reachable r) and
    ``curves_<board>`` (Kaplan-Meier by median risk), as PNG and SVG."""
    import matplotlib

    written: list[Path] = []
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        # A model's name may hold characters that the font lacks; the figure then shows a box, which is no error.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figures = (("ranks", ranks_figure(board)), ("genes", genes_figure(board)), ("curves", curves_figure(board)))
        for name, figure in figures:
            if figure is not None:
                written += [_save(figure, folder / f"{name}_{safe(board.key)}.{kind}") for kind in ("png", "svg")]
    return written


def save_figures(
    drawn: Mapping[str, Callable[[], Figure | None]], out: Path, kinds: Sequence[str] = ("png", "svg")
) -> list[Path]:
    """Draw and save figures by name below ``<out>/figures``; None draws nothing."""
    import matplotlib

    written: list[Path] = []
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        for name, draw in drawn.items():
            figure = draw()
            if figure is not None:
                written += [_save(figure, out / "figures" / f"{name}.{kind}") for kind in kinds]
    return written


def ranks_figure(board: Leaderboard) -> Figure | None:
    """A dot with its interval for each scored row; controls and oracle also as vertical lines."""
    from matplotlib.figure import Figure

    rows = [row for row in board.rows if row.group != "skipped" and row.headline.mean is not None]
    if not rows:
        return None
    figure = Figure(figsize=(7, 1.1 + 0.3 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for y, row in enumerate(rows):
        mean, colour = row.headline.mean or 0.0, COLOURS.get(row.kind, COLOURS["model"])
        if row.kind != "model":
            axes.axvline(mean, color=colour, linewidth=0.8, linestyle=(0, (4, 3)), alpha=0.7, zorder=0)
        if row.headline.low is not None and row.headline.high is not None:
            axes.plot([row.headline.low, row.headline.high], [y, y], color=colour, linewidth=2, alpha=0.6)
        axes.plot([mean], [y], marker="o" if row.kind == "model" else "D", color=colour, markersize=5)
    axes.set_yticks(range(len(rows)), [_label(row) for row in rows])
    axes.invert_yaxis()
    axes.axvline(board.metrics.nothing, color="#cccccc", linewidth=0.8, zorder=0)
    axes.set_xlabel(f"{board.metrics.means} (95 % CI over patients)")
    figure.suptitle(f"{board.title}\ncohort {board.cohort.name}, {board.cohort.nature}", x=0.02, ha="left")
    return figure


def genes_figure(board: Leaderboard) -> Figure | None:
    """Small multiples, one a model: r against the reachable r, with the identity and the invisible genes."""
    from matplotlib.figure import Figure

    rows = [row for row in board.rows if _reachable_points(row)][:SMALL_MULTIPLES]
    if not rows:
        return None
    across = min(4, len(rows))
    down = -(-len(rows) // across)
    wide, high = 2.1 * across + 0.7, 2.1 * down + 0.9
    # Margins by hand: an automatic layout would measure every axis twice, which takes longer than all the drawing.
    figure = Figure(figsize=(wide, high))
    grid = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
    figure.subplots_adjust(0.65 / wide, 0.5 / high, 1 - 0.1 / wide, 1 - 0.6 / high, wspace=0.12, hspace=0.22)
    for place, axes in enumerate(grid.flat):
        if place < len(rows):
            _draw_genes(axes, rows[place])
        else:
            axes.set_axis_off()
    figure.supxlabel("reachable Pearson r", y=0.06 / high, va="bottom")
    figure.supylabel("measured Pearson r", x=0.08 / wide, ha="left")
    figure.suptitle(f"{board.title}: each gene (red: no visible share)", x=0.1 / wide, ha="left")
    return figure


def _draw_genes(axes: Axes, row: Row) -> None:
    points = _reachable_points(row)
    for hidden, colour in ((False, COLOURS.get(row.kind, COLOURS["model"])), (True, INVISIBLE)):
        x = [reachable for reachable, _, invisible in points if invisible is hidden]
        y = [r for _, r, invisible in points if invisible is hidden]
        axes.scatter(x, y, s=7, color=colour, alpha=0.6, linewidths=0)
    axes.axline((0, 0), slope=1, color="#999999", linewidth=0.8, linestyle="--")
    axes.axhline(0, color="#cccccc", linewidth=0.6, zorder=0)
    axes.set_title(row.title, fontsize=8)


def _reachable_points(row: Row) -> list[tuple[float, float, bool]]:
    return [
        (float(g["reachable"]), float(g["pearson"]), g.get("visible_share") == 0)
        for g in row.per_gene
        if g.get("reachable") is not None and g.get("pearson") is not None
    ]


def _label(row: Row) -> str:
    return f"{row.title}  {row.rank}" if row.rank is not None else f"{row.title}  ({row.kind})"


def _save(figure: Figure, path: Path) -> Path:
    metadata: dict[str, str | None] = {"Software": None} if path.suffix == ".png" else {"Date": None, "Creator": None}
    with written_whole(path) as part:
        figure.savefig(part, format=path.suffix[1:], dpi=DPI, metadata=metadata)
    return path


def safe(name: str) -> str:
    """A board's key as part of a file's name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name)
