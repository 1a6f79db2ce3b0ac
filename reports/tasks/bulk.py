"""Bulk expression: violins of r with well-predicted genes, tests between models, and the page of spatial maps."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from protocols.metrics.gene_correlation import mann_whitney, top_genes
from protocols.records import AVERAGE, ScoreRecord
from reports.leaderboard import Leaderboard
from reports.plugins import Drawing, File, Material, Plugin
from reports.spatial import co_expression, map_cells, section_maps
from reports.spatial_page import spatial_page
from reports.titles import titles_by_model
from reports.violins import ViolinEntry, violin_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIELDS = ("protocol", "cohort", "model", "against", "top_genes", "median", "median_against", "share_above", "p")
SPATIAL_PAGE = "spatial.html"
PANEL = (
    f'<div class="card"><h3>The maps themselves</h3><p><a href="{SPATIAL_PAGE}">Choose a section and a gene</a>: '
    "H&amp;E, truth and every model's map side by side.</p></div>"
)


def bulk_records(records: Sequence[ScoreRecord]) -> list[ScoreRecord]:
    """Scored records of single cohorts whose genes were tested: no average, no maps."""
    tested = [r for r in records if r.status == "scored" and r.board != AVERAGE and r.per_gene]
    return [r for r in tested if all("well_predicted" in gene for gene in r.per_gene)]


def violins(records: Sequence[ScoreRecord]) -> Figure | None:
    """As SEQUOIA's Figure 1d: r of every gene by model and cohort, with the number of well-predicted genes."""
    titles = titles_by_model(bulk_records(records))
    entries = [
        ViolinEntry(
            cohort=record.board,
            model=titles[record.model],
            r=np.array([gene["pearson"] for gene in record.per_gene]),
            well_predicted=sum(bool(gene["well_predicted"]) for gene in record.per_gene),
            genes=len(record.per_gene),
            kind=record.kind,
        )
        for record in bulk_records(records)
    ]
    return violin_figure(entries) if entries else None


def mann_whitney_csv(records: Sequence[ScoreRecord]) -> str:
    """As SEQUOIA's Figure A2: is r over the top genes of one model larger than over those of another?

    Each model's own top genes by r over joined folds, as published: chosen on the data that they are compared on, and
    genes are not independent, so p describes and tests nothing.
    """
    by_cohort: dict[tuple[str, str], list[ScoreRecord]] = defaultdict(list)
    for record in bulk_records(records):
        by_cohort[record.protocol, record.board].append(record)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(FIELDS)
    for cohort in sorted(by_cohort):
        top = {record.model: _top(record) for record in sorted(by_cohort[cohort], key=lambda record: record.model)}
        for model, r in top.items():
            for other, against in top.items():
                if other != model:
                    found = mann_whitney(r, against)
                    medians = (float(np.median(r)), float(np.median(against)))
                    writer.writerow([*cohort, model, other, len(r), *medians, found.share, found.p])
    return text.getvalue()


def _top(record: ScoreRecord) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    r = np.array([gene["pearson_pooled"] for gene in record.per_gene])
    return r[top_genes(r, int(record.details.get("top_genes", len(r))))]


def draw(material: Material) -> list[Drawing]:
    records = [record for record, _ in material.cells]
    protocols = sorted({record.protocol for record in bulk_records(records)})
    drawings = [
        Drawing("violins", protocol, partial(violins, [r for r in records if r.protocol == protocol]))
        for protocol in protocols
    ]
    for board in material.boards:
        cells = map_cells(material, board)
        drawings += [Drawing("co_expression", board.key, partial(co_expression, cells))] if cells else []
    return drawings


def write(material: Material) -> list[File]:
    records = [record for record, _ in material.cells]
    files = [File("mann_whitney.csv", mann_whitney_csv(records))] if bulk_records(records) else []
    boards = [board for board in material.boards if on_the_page(material, board)]
    shown = [
        one
        for board in boards
        for one in section_maps(
            map_cells(material, board), material.sections[board.board], f"{board.board}: " if len(boards) > 1 else ""
        )
    ]
    if shown:
        said = dict.fromkeys(notice.text for board in boards for notice in board.notices)
        link = "Spatial maps: H&E, truth and every model's map side by side"
        files.append(File(SPATIAL_PAGE, spatial_page(shown, notices=list(said)), link))
    return files


def on_the_page(material: Material, board: Leaderboard) -> bool:
    return board.board in material.sections and bool(map_cells(material, board))


def panels(material: Material, board: Leaderboard) -> list[str]:
    return [PANEL] if on_the_page(material, board) else []


PLUGIN = Plugin(
    tab="Bulk RNA",
    guide=(
        (
            "Bulk expression",
            "Papers join the folds before they correlate and count slides; joining pushes a model that knows nothing "
            "below zero, and two slides of one patient are one answer. Both forms stand beside the headline. A gene is "
            "well predicted if r is above zero (p < .05) and above the r of the same network before training (p < .05, "
            "and false discovery rate < .2).",
        ),
        (
            "Spatial maps",
            "Neighbouring tiles are alike, so p comes from shifting the prediction around the section. The Earth "
            "Mover's Distance stands beside r because papers print it; a constant map is near every map.",
        ),
    ),
    families=("violins", "co_expression"),
    files=("mann_whitney.csv", SPATIAL_PAGE),
    draw=draw,
    write=write,
    panels=panels,
)
