"""Figures and tables of ``tcga_expression``: violins of r with well-predicted genes, and tests between models."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from protocols.metrics.gene_correlation import mann_whitney, top_genes
from protocols.records import AVERAGE, ScoreRecord
from reports.cells import titles_by_model
from reports.violins import ViolinEntry, violin_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIELDS = ("protocol", "cohort", "model", "against", "top_genes", "median", "median_against", "share_above", "p")


def bulk_records(records: Sequence[ScoreRecord]) -> list[ScoreRecord]:
    """Scored records of single cohorts."""
    return [
        r
        for r in records
        if r.status == "scored" and r.board != AVERAGE and r.per_gene and "well_predicted" in r.per_gene[0]
    ]


def violins(records: Sequence[ScoreRecord]) -> Figure | None:
    """As SEQUOIA's Figure 1d: r of every gene by model and cohort, with the number of well-predicted genes.

    ``records``: those of one protocol.
    """
    shown = bulk_records(records)
    titles = titles_by_model(shown)
    entries = [
        ViolinEntry(
            cohort=record.board,
            model=titles[record.model],
            r=np.array([gene["pearson"] for gene in record.per_gene]),
            well_predicted=sum(bool(gene["well_predicted"]) for gene in record.per_gene),
            genes=len(record.per_gene),
            kind=record.kind,
        )
        for record in shown
    ]
    return violin_figure(entries) if entries else None


def mann_whitney_csv(records: Sequence[ScoreRecord]) -> str:
    """As SEQUOIA's Figure A2: is r over the top genes of one model larger than over those of another?

    Each model's own top genes by r over joined folds, as published: chosen on the data that they are compared on, and
    genes are not independent, so p describes and tests nothing.
    """
    by_board: dict[tuple[str, str], list[ScoreRecord]] = defaultdict(list)
    for record in bulk_records(records):
        by_board[record.protocol, record.board].append(record)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(FIELDS)
    for board in sorted(by_board):
        top = {record.model: _top(record) for record in sorted(by_board[board], key=lambda record: record.model)}
        for model, r in top.items():
            for other, against in top.items():
                if other != model:
                    found = mann_whitney(r, against)
                    medians = (float(np.median(r)), float(np.median(against)))
                    writer.writerow([*board, model, other, len(r), *medians, found.share, found.p])
    return text.getvalue()


def _top(record: ScoreRecord) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    r = np.array([gene["pearson_pooled"] for gene in record.per_gene])
    return r[top_genes(r, int(record.details.get("top_genes", len(r))))]
