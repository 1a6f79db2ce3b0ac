"""Who is trained on and who must be answered for, and the genes that are asked.

Of slides: cohort, fold, role, slide, patient, external cohorts under the fold ``external``. Of maps: section, row,
column, x_um, y_um (a tile's centre on the section's image) of the tiles that a window covers.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from protocols.bulk.answers import section_genes, shared_genes
from protocols.bulk.roles import named
from protocols.bulk.store import BulkStore
from protocols.bulk.submit import EXTERNAL
from protocols.contract import RowArray
from protocols.spatial.asked import covered, evaluated_genes, module_genes
from protocols.spatial.store import SectionsStore
from protocols.task import Question


def units(question: Question) -> Iterator[pd.DataFrame]:
    if question.board.cohort != question.board.fitted_on:
        yield from _tiles(question.opened(question.board.cohort).store)
        return
    store, name = question.cohort.store, question.cohort.name
    for fold in question.split.folds:
        for role, patients in fold.roles().items():
            yield _slides_of(store, name, fold.name, role, store.slides_of(patients))
    for other in named(question, "external"):
        found = question.companions[other].store
        yield _slides_of(found, other, EXTERNAL, "test", np.arange(len(found.slides), dtype=np.int64))


def targets(question: Question) -> pd.DataFrame:
    """The genes to predict: all that a cohort measures, and of an external one those that both have."""
    if question.board.cohort != question.board.fitted_on:
        return _genes_of_sections(question)
    genes = question.cohort.store.genes
    parts = [pd.DataFrame({"cohort": question.cohort.name, "gene": list(genes)})]
    for other in named(question, "external"):
        shared = shared_genes(genes, question.companions[other].store.genes)
        parts.append(pd.DataFrame({"cohort": other, "gene": list(shared)}))
    return pd.concat(parts)


def _slides_of(store: BulkStore, cohort: str, fold: str, role: str, rows: RowArray) -> pd.DataFrame:
    slides = [store.slides[row] for row in rows.tolist()]
    named_columns = {"slide": [one.slide for one in slides], "patient": [one.patient for one in slides]}
    return pd.DataFrame({"cohort": cohort, "fold": fold, "role": role, **named_columns})


def _tiles(store: SectionsStore) -> Iterator[pd.DataFrame]:
    for number, name in enumerate(store.names):
        section = store.section(number)
        kept = covered(store, section)
        row, column = section.row[kept], section.column[kept]
        # Tiles lie side by side from the image's corner.
        centre = {"x_um": (column + 0.5) * store.tile_um, "y_um": (row + 0.5) * store.tile_um}
        yield pd.DataFrame({"section": name, "row": row, "column": column, **centre})


def _genes_of_sections(question: Question) -> pd.DataFrame:
    """Those that every model is scored on and those of the meta-modules, where section and cohort measure them."""
    opened = question.opened(question.board.cohort)
    wanted = {*evaluated_genes(question), *module_genes(opened.entry.modules)}
    parts = []
    for number, name in enumerate(opened.store.names):
        both = section_genes(question.cohort.store.genes, opened.store.section(number).genes)
        parts.append(pd.DataFrame({"section": name, "gene": [gene for gene in both if gene in wanted]}))
    return pd.concat(parts)
