"""Survival: Kaplan-Meier curves of the halves by predicted risk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from reports.curves import curves_figure, curves_in, curves_of
from reports.leaderboard import Leaderboard
from reports.plugins import Drawing, Material, Plugin

PANEL = """\
<figure class="card wide curves">
  <figcaption><h3>Survival of the halves by predicted risk</h3><p>Kaplan-Meier with 95 % bands; each patient is \
above or below the median risk of their own test fold. Below: patients still followed.</p></figcaption>
  <div class="controls"><label>Model <select class="curve-model"></select></label><label>Against \
<select class="curve-against"></select></label></div>
  <div class="plot curves-plot"></div>
</figure>
"""


def draw(material: Material) -> list[Drawing]:
    return [Drawing("curves", board.key, partial(curves_figure, board)) for board in material.boards]


def panels(_: Material, board: Leaderboard) -> Sequence[str]:
    return [PANEL] if any(curves_in(row) for row in board.rows) else []


def data(board: Leaderboard) -> Mapping[str, Any]:
    return {"curves": {row.model: curves_of(row) for row in board.rows if curves_in(row)}}


PLUGIN = Plugin(
    tab="Survival",
    guide=(
        (
            "Survival",
            "Harrell's C is the share of comparable pairs of patients in which the one with the higher risk has the "
            "event first; 0.5 is chance. Its interval resamples patients inside each fold. Uno's C also weighs pairs "
            "for censoring. The p of the log-rank test describes the picture: the folds' training patients overlap, "
            "and nothing corrects for the number of models.",
        ),
    ),
    families=("curves",),
    draw=draw,
    panels=panels,
    data=data,
)
