"""Figures of ``ihc4bc``: grids of H&E, true and generated IHC, and H-scores against the labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from protocols.errors import UserError
from protocols.records import ScoreRecord
from reports.cells import board_key, title_of
from reports.figures import COLOURS
from reports.metrics import best_first, metrics_of
from reports.tables import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PATCH = "patch"
"""The unit of boards of virtual staining."""
SAMPLES_FILE = "samples.npy"
ACROSS = 5
"""Small multiples of H-scores in a row."""
MAXIMUM = 300.0


def ihc_cells(cells: Sequence[tuple[ScoreRecord, Path]]) -> dict[str, list[tuple[ScoreRecord, Path]]]:
    """Scored cells by board key: the oracle, models with the best first, controls."""
    found: dict[str, list[tuple[ScoreRecord, Path]]] = defaultdict(list)
    for record, folder in cells:
        if record.cohort.get("unit") == PATCH and record.status == "scored":
            found[board_key(record.protocol, record.board)].append((record, folder))
    for board in found.values():
        board.sort(key=lambda cell: best_first(cell[0]))
    return dict(sorted(found.items()))


def grid_figure(board: str, cells: Sequence[tuple[ScoreRecord, Path]]) -> Figure | None:
    """Tiles down; H&E, the scanned IHC and every model's answer across, with headline and SSIM over all patients."""
    from matplotlib.figure import Figure

    columns: list[tuple[str, Any]] = []
    titles = ""
    for record, folder in cells:
        path = folder / SAMPLES_FILE
        if not path.exists():
            continue
        samples = _samples(path)
        if not columns:
            columns += [("H&E", samples[:, 0]), ("IHC, scanned", samples[:, 1])]
        first = metrics_of([record]).first
        titles = f"{first.title} / SSIM"
        score = f"{number(record.headline.mean, 1)} {first.unit}".strip()
        columns.append((f"{_wrapped(record)}\n{score} / {number(record.summary.get('ssim'), 2)}", samples[:, 2]))
    if not columns:
        return None
    down, side = len(columns[0][1]), 1.15
    figure = Figure(figsize=(side * len(columns) + 0.1, side * down + 1.05))
    grid = figure.subplots(down, len(columns), squeeze=False)
    top = 1 - 0.95 / (side * down + 1.05)
    figure.subplots_adjust(0.005, 0.005, 0.995, top, wspace=0.04, hspace=0.04)
    for column, (title, images) in enumerate(columns):
        for row in range(down):
            axes = grid[row, column]
            axes.imshow(images[row], interpolation="nearest")
            axes.set_axis_off()
        grid[0, column].set_title(title, fontsize=6.5)
    figure.suptitle(f"{board}: {titles}, mean over patients", x=0.01, ha="left")
    return figure


def h_score_grid(board: str, cells: Sequence[tuple[ScoreRecord, Path]]) -> Figure | None:
    """H-scores of generated images against labels, a panel a model; first the true image: the pipeline itself."""
    from matplotlib.figure import Figure

    shown = [(record, _points(record, "h_predicted")) for record, _ in cells if record.details.get("patches")]
    shown = [(record, points) for record, points in shown if len(points) > 2 or _labelled(record)]
    if not shown:
        return None
    true = _points(shown[0][0], "h_truth")
    panels = [("the scanned IHC itself", shown[0][0].summary.get("h_score_pipeline_r"), true, "#7a828e")]
    panels += [
        (_wrapped(record), record.summary.get("h_score_r"), points, COLOURS.get(record.kind, COLOURS["model"]))
        for record, points in shown
    ]
    shares = [None, *(record.summary.get("h_score_answered") for record, _ in shown)]
    across = min(ACROSS, len(panels))
    down = -(-len(panels) // across)
    high = 1.85 * down + 1.0
    figure = Figure(figsize=(1.75 * across + 0.6, high))
    grid = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
    figure.subplots_adjust(0.09, 0.5 / high, 0.99, 1 - 0.85 / high, wspace=0.1, hspace=0.4)
    for place, axes in enumerate(grid.flat):
        if place >= len(panels):
            axes.set_axis_off()
            continue
        title, r, points, colour = panels[place]
        axes.scatter(points[:, 0], points[:, 1], s=7, color=colour, alpha=0.65, linewidths=0)
        axes.axline((0, 0), slope=1, color="#999999", linewidth=0.7, linestyle="--")
        axes.set_xlim(-8, MAXIMUM + 8)
        axes.set_ylim(-8, MAXIMUM + 8)
        axes.set_title(title + ("" if r is None else f"\nr {r:.2f}") + _unanswered(shares[place]), fontsize=7)
    figure.supxlabel("H-score of the label", fontsize=8)
    figure.supylabel("H-score of the image", fontsize=8)
    figure.suptitle(f"{board}: clinical read-out, one dot a patch", x=0.01, ha="left")
    return figure


def _labelled(record: ScoreRecord) -> bool:
    """A model that drew no nucleus at all has a panel without dots, not none."""
    return record.summary.get("h_score_answered") is not None


def _unanswered(share: float | None) -> str:
    """Dots are patches with an answer; r counts the others, too, as the farther end of the scale."""
    return "" if share is None or share == 1 else f", {share:.0%} answered"


def _points(record: ScoreRecord, side: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    rows = [row for row in record.details.get("patches", []) if row.get("h_reference") is not None]
    pairs = [(row["h_reference"], row[side]) for row in rows if row.get(side) is not None]
    return np.array(pairs, dtype=np.float64).reshape(-1, 2)


def _wrapped(record: ScoreRecord) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(title_of(record), 20)[:2])


def _samples(path: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
    try:
        samples: np.ndarray[Any, np.dtype[np.uint8]] = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise UserError(
            f"unreadable samples ({error})", where=path, expected="uint8 images", remedy="score again"
        ) from None
    return samples
