"""From score folders of ``gbm_spatial`` and the stored sections to the page of maps and the figure of co-expression."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from protocols.errors import UserError
from protocols.records import UNITS_FILE, ScoreRecord
from protocols.spatial.store import SectionsStore
from reports.cells import titles_by_model
from reports.co_expression import co_expression_figure
from reports.metrics import best_first
from reports.spatial_page import SCORES, SectionMaps

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TILE = "tile"
"""The unit of boards of maps."""
STEPS_A_PERCENT = 2
"""Maps are kept in half percents."""
MOST_MODELS = 7
"""Models in the figure of co-expression beside the truth."""
Cells = Sequence[tuple[ScoreRecord, Path]]


def spatial_cells(cells: Cells) -> list[tuple[ScoreRecord, Path]]:
    """The scored cells of boards of maps of sections, best first, controls after models.

    Tiles alone do not make a section: a cohort of proteins may have tiles, too, and keeps no map of each.
    """
    found = [
        (record, folder)
        for record, folder in cells
        if record.cohort.get("unit") == TILE and record.status == "scored" and any(folder.glob("section_*.parquet"))
    ]
    return sorted(found, key=lambda cell: best_first(cell[0]))


def _titled(cells: Cells) -> list[tuple[str, ScoreRecord, Path]]:
    """Cells with the title that names each on the page: where two models share one, with their names behind it."""
    titles = titles_by_model([record for record, _ in cells])
    return [(titles[record.model], record, folder) for record, folder in cells]


def section_maps(cells: Cells, sections: Path) -> list[SectionMaps]:
    """Every section with the genes that all models were scored on; the best predicted genes come first.

    ``cells``: those of one board, as for :func:`co_expression`.
    """
    found = spatial_cells(cells)
    if not found:  # the sections themselves may not be there yet
        return []
    store = SectionsStore(sections)
    return [_section(found, store, number) for number in range(len(store.slides))]


def _section(cells: Cells, store: SectionsStore, number: int) -> SectionMaps:
    name, patient = store.slides[number].slide, store.slides[number].patient
    titled = _titled(cells)
    tables = {title: _read(folder / f"section_{name}.parquet") for title, _, folder in titled}
    first = next(iter(tables.values()))
    shared = [gene for gene in _genes(first) if all(f"truth:{gene}" in table for table in tables.values())]
    units = {title: _scores(folder, name) for title, _, folder in titled}
    models = [title for title, record, _ in titled if record.kind == "model"]
    best = {gene: _mean([units[title].get(gene, {}).get("pearson") for title in models]) for gene in shared}
    genes = tuple(sorted(shared, key=lambda gene: (-best[gene], gene)))
    kinds: dict[str, Any] = {title: record.kind for title, record, _ in titled}
    picture = store.thumbnail(number)
    return SectionMaps(
        section=name,
        patient=patient,
        phantom=store.phantom,
        thumbnail=picture.jpeg,
        thumbnail_size=picture.size,
        um_per_pixel=picture.um_per_pixel,
        tile_um=store.tile_um,
        row=first["row"].to_numpy(np.int64),
        column=first["column"].to_numpy(np.int64),
        genes=genes,
        truth=_values(first, "truth", genes),
        models={title: _values(table, "predicted", genes) for title, table in tables.items()},
        scores={title: [units[title].get(gene, {}) for gene in genes] for title in tables},
        modules=_modules(cells),
        kinds=kinds,
    )


def co_expression(cells: Cells) -> Figure | None:
    """Truth, oracle and the best models; None without meta-modules."""
    found = [
        (title, record.kind, record.details.get("co_expression")) for title, record, _ in _titled(spatial_cells(cells))
    ]
    listed = [(title, part) for title, kind, part in found if part and kind != "control"][:MOST_MODELS]
    if not listed:
        return None
    genes = listed[0][1]["genes"]
    same = {title: np.array(part["model"]) for title, part in listed if part["genes"] == genes}
    figure, _ = co_expression_figure(genes, listed[0][1]["modules"], np.array(listed[0][1]["truth"]), same)
    return figure


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except Exception as error:  # pyarrow raises many kinds for a damaged file
        raise UserError(
            f"unreadable maps ({type(error).__name__})", where=path, expected="a Parquet table", remedy="score again"
        ) from error


def _genes(table: pd.DataFrame) -> list[str]:
    return [str(name).removeprefix("truth:") for name in table.columns if str(name).startswith("truth:")]


def _values(table: pd.DataFrame, side: str, genes: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return table[[f"{side}:{gene}" for gene in genes]].to_numpy(np.float64) / STEPS_A_PERCENT


def _scores(folder: Path, section: str) -> dict[str, dict[str, float | None]]:
    """Gene to its scores on one section."""
    table = pd.read_parquet(folder / UNITS_FILE)
    rows = table[table["section"] == section].to_dict("records")
    return {
        str(row["gene"]): {key: float(row[key]) if np.isfinite(row[key]) else None for key in SCORES} for row in rows
    }


def _modules(cells: Cells) -> dict[str, tuple[str, ...]]:
    for record, _ in cells:
        found = (record.details.get("co_expression") or {}).get("modules")
        if found:
            return {str(gene): tuple(names) for gene, names in found.items()}
    return {}


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else -1.0
