"""The page's data: what its plots draw and its tables sort by, rounded to what a screen can show."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from reports.curves import curves_of
from reports.leaderboard import Leaderboard, Row
from reports.tables import columns

MOST_GENES = 1500
"""Genes drawn per protocol; all of them stand in genes.csv."""
COLOUR_STOPS = 33


def page_data(
    boards: Sequence[Leaderboard],
    maps: Mapping[str, list[dict[str, Any]]],
    short: Mapping[str, str],
    staircases: Sequence[Sequence[Leaderboard]] = (),
) -> dict[str, Any]:
    """Everything that the page's script reads, as JSON values."""
    return {
        "boards": [{**_board(b, maps.get(b.key, [])), "short": short[b.key]} for b in boards],
        "staircases": [[board.key for board in steps] for steps in staircases],
        "viridis": viridis(),
    }


def to_script(data: Mapping[str, Any]) -> str:
    """JSON that may stand inside ``<script>``: no character that could end the element or open a comment."""
    text = json.dumps(data, separators=(",", ":"), sort_keys=True, allow_nan=False, ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def viridis() -> list[list[int]]:
    """Evenly spaced RGB stops of matplotlib's viridis."""
    import matplotlib

    colours = matplotlib.colormaps["viridis"]
    return [[round(255 * c) for c in colours(i / (COLOUR_STOPS - 1))[:3]] for i in range(COLOUR_STOPS)]


def _board(board: Leaderboard, maps: list[dict[str, Any]]) -> dict[str, Any]:
    shown = columns(board)
    return {
        "protocol": board.key,
        "axis": board.metrics.axis,
        "nothing": board.metrics.nothing,
        "low_first": [column.key for column in shown if column.low_first],
        "title": board.title,
        "rows": [
            {
                "model": row.model,
                "title": row.title,
                "kind": row.kind,
                "group": row.group,
                "rank": row.rank,
                "mean": _round(row.headline.mean),
                "low": _round(row.headline.low),
                "high": _round(row.headline.high),
                "patients": [[name, _round(value)] for name, value in row.per_patient.items()],
                "sort": {column.key: _sortable(column.value(row)) for column in shown},
            }
            for row in board.rows
        ],
        "genes": _genes([row for row in board.rows if row.per_gene]),
        "maps": maps,
        "curves": {row.model: curves_of(row) for row in board.rows if row.curves},
    }


def _genes(rows: Sequence[Row]) -> dict[str, Any]:
    """Per gene: name, reachable r, visible share; per model: r in thousandths (None where undefined)."""
    facts: dict[str, dict[str, Any]] = {}
    for row in rows:
        for gene in row.per_gene:
            facts.setdefault(str(gene["gene"]), gene)
    names = sorted(facts)
    # Every k-th gene keeps the spread of the alphabet, which has nothing to do with the score.
    step = -(-len(names) // MOST_GENES) or 1
    kept = names[::step]
    return {
        "names": kept,
        "all": len(names),
        "reachable": [_thousandths(facts[name].get("reachable")) for name in kept],
        "visible": [_thousandths(facts[name].get("visible_share")) for name in kept],
        "r": {row.model: _in_order(row, kept) for row in rows},
    }


def _in_order(row: Row, names: Sequence[str]) -> list[int | None]:
    values = {str(gene["gene"]): gene.get("pearson") for gene in row.per_gene}
    return [_thousandths(values.get(name)) for name in names]


def _thousandths(value: float | None) -> int | None:
    return None if value is None else round(1000 * value)


def _round(value: float | None) -> float | None:
    """Many more places than are shown: rounding twice could show another last digit than the table does."""
    return None if value is None else round(value, 8)


def _sortable(value: float | str | None) -> float | str | None:
    return round(value, 6) if isinstance(value, float) else value
