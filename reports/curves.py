"""Kaplan-Meier curves of the halves by predicted risk: the static figure, and what the page draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from reports.leaderboard import Leaderboard, Row
from reports.tables import number, p_value

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"high": "#c8374a", "low": "#3556c8"}
SMALL_MULTIPLES = 6
"""At most this many models in the figure; the best ranked come first."""


def curves_of(row: Row) -> dict[str, Any]:
    """One model's curves for the page, rounded to what a screen shows: months to 0.1, probabilities to 0.001."""
    groups = [
        {
            "group": curve["group"],
            "n": curve["n"],
            "events": curve["events"],
            "time": [round(value, 1) for value in curve["time"]],
            **{key: curve[key] and [round(value, 3) for value in curve[key]] for key in ("survival", "low", "high")},
        }
        for curve in row.curves
    ]
    p = row.summary.get("logrank_p")
    return {"groups": groups, "at_risk": row.details["at_risk"], "p": None if p is None else p_value(p)}


def curves_figure(board: Leaderboard) -> Figure | None:
    """Small multiples, one a model: both halves with their bands, the log-rank p, and patients still followed."""
    from matplotlib.figure import Figure

    rows = [row for row in board.rows if row.curves]
    rows = sorted(rows, key=lambda row: row.kind != "model")[:SMALL_MULTIPLES]
    if not rows:
        return None
    across = min(3, len(rows))
    down = -(-len(rows) // across)
    figure = Figure(figsize=(3.1 * across + 0.5, 3.0 * down + 0.6), layout="constrained")
    grid = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
    for place, axes in enumerate(grid.flat):
        if place < len(rows):
            _draw(axes, rows[place])
        else:
            axes.set_axis_off()
    figure.supxlabel("months")
    figure.supylabel("survival")
    figure.suptitle(f"{board.title}: halves by median risk of each test fold", x=0.02, ha="left")
    return figure


def _draw(axes: Axes, row: Row) -> None:
    for curve in row.curves:
        colour = COLOURS[curve["group"]]
        time = np.asarray(curve["time"])
        axes.step(time, curve["survival"], where="post", color=colour, linewidth=1.4)
        if curve["low"] is not None:  # few patients have a curve without a band
            axes.fill_between(time, curve["low"], curve["high"], step="post", color=colour, alpha=0.15, linewidth=0)
    table = row.details["at_risk"]
    axes.set_xticks(table["times"])
    axes.set_xlim(0, table["times"][-1])
    axes.set_ylim(0, 1.02)
    for group, y in (("high", -0.24), ("low", -0.34)):
        for time, count in zip(table["times"], table[group], strict=True):
            axes.text(
                time, y, str(count), color=COLOURS[group], ha="center", fontsize=7, transform=axes.get_xaxis_transform()
            )
    p = row.summary.get("logrank_p")
    axes.set_title(f"{row.title}\nC {number(row.headline.mean)}, log-rank p {p_value(p)}", fontsize=8)
