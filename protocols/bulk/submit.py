"""A stranger's tables of bulk expression and of maps, laid out as a model's own answers.

A table alone has no untrained twin, so its well-predicted genes are counted without the comparisons that need one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from protocols import declared
from protocols.bulk.aligned import aligned
from protocols.bulk.answers import TRAINED, part_of, shared_genes, slides_file, write_slides
from protocols.bulk.roles import named
from protocols.bulk.store import BulkStore
from protocols.contract import RowArray
from protocols.declared import empty_rows
from protocols.errors import UserError, look_up
from protocols.float32 import refuse_lost
from protocols.metrics.spatial_maps import TileGrid
from protocols.protocol import Board
from protocols.spatial.aligned import aligned_map, tile_name
from protocols.spatial.asked import asked_sections
from protocols.task import CohortRequest, Question

EXTERNAL = "external"
"""The fold under which a cohort is handed in that no model was fitted on."""


def boards_in(
    table: pd.DataFrame, boards: Mapping[str, Board], cohorts: Mapping[str, CohortRequest], where: str
) -> dict[str, pd.DataFrame]:
    """Rows by board; those of an external cohort (fold ``external``) go with the cohort whose models answer it.

    A cohort that occurs must be there whole; others count as not handed in. Of maps, a column ``cohort`` is needed
    only where there are several sets of sections.
    """
    if any(board.cohort != board.fitted_on for board in boards.values()):
        return _sets_of_sections(table, boards, where)
    _refuse_columns(table, ("cohort", "fold"), where)
    asked = {name: request for name, request in cohorts.items() if name in boards or request.entry.external}
    parts = {str(name): part for name, part in table.groupby(table["cohort"].astype(str), sort=True)}
    answered_by = {name: look_up(name, asked, kind="cohort", where=where).entry.external for name in parts}
    found: dict[str, list[pd.DataFrame]] = {name: [part] for name, part in parts.items() if name in boards}
    for name, of in answered_by.items():
        if of is None:
            continue
        if of not in found:
            raise UserError(
                f"{name} without {of}, whose models answer it",
                where=where,
                expected="both, since genes found in one are sought in the other",
                remedy=f"hand in the folds of {of}, too",
            )
        for label in parts[name]["fold"].astype(str).unique():
            look_up(label, {EXTERNAL: None}, kind="fold", where=f"{where}, {name}")
        found[of].append(parts[name])
    return {name: pd.concat(listed) for name, listed in found.items()}


def _sets_of_sections(table: pd.DataFrame, boards: Mapping[str, Board], where: str) -> dict[str, pd.DataFrame]:
    _refuse_columns(table, ("section", "row", "column"), where)
    if len(boards) == 1 and "cohort" not in table.columns:
        return {next(iter(boards)): table}
    _refuse_columns(table, ("cohort",), where)
    found = {str(name): part for name, part in table.groupby(table["cohort"].astype(str), sort=True)}
    for name in found:
        look_up(name, boards, kind="cohort", where=where)
    return found


def lay_out(question: Question, table: pd.DataFrame, folder: Path, where: str) -> None:
    """The files of a cell, of the rows of one board; whatever is wrong with them is refused before any is scored."""
    if question.board.cohort != question.board.fitted_on:
        _lay_out_maps(question, table, folder, where)
    else:
        _lay_out_slides(question, table, folder, where)


def _lay_out_slides(question: Question, table: pd.DataFrame, folder: Path, where: str) -> None:
    store, name = question.cohort.store, question.cohort.name
    parts = {str(of): part for of, part in table.groupby(table["cohort"].astype(str), sort=True)}
    folds = {fold.name: fold for fold in question.split.folds}
    own, at = parts[name], f"{where}, {name}"
    missing: dict[str, frozenset[str]] = {}
    asked = 0
    labels = own["fold"].astype(str)
    for label in labels.unique():
        look_up(label, folds, kind="fold", where=at)
    for number, fold in enumerate(question.split.folds):
        part = own[labels == fold.name]
        if not len(part):
            raise UserError(f"no row for fold {fold.name!r}", where=at, expected="every fold", remedy="predict it too")
        rows = store.slides_of(fold.test)
        here = f"{at} fold {fold.name}"
        missing[part_of(name, fold.name)] = _write(
            folder / slides_file(number, TRAINED), part, store, rows, store.genes, here
        )
        asked += len(rows)
    for other in named(question, "external"):
        if other in parts:
            found: BulkStore = question.companions[other].store
            rows = np.arange(len(found.slides), dtype=np.int64)
            genes = shared_genes(store.genes, found.genes)
            missing[part_of(other, other)] = _write(
                folder / other / slides_file(0, TRAINED), parts[other], found, rows, genes, f"{where}, {other}"
            )
            asked += len(rows)
    declared.write(folder, missing, asked, at)


def _write(
    path: Path, part: pd.DataFrame, store: BulkStore, rows: RowArray, genes: tuple[str, ...], where: str
) -> frozenset[str]:
    """One answer, in the form and order of a model's own; the slides whose row is empty are declared missing."""
    slide = np.array([store.slides[row].slide for row in rows.tolist()])
    patient = np.array([store.slides[row].patient for row in rows.tolist()])
    table = _by_slide(part, store, where)
    there = [gene for gene in genes if gene in table.columns]
    missing = empty_rows(table[there], table["slide"].astype(str).tolist()) if there else frozenset()
    if missing:  # a column of nothing is read as objects
        table = table.assign(**{gene: table[gene].astype(np.float64) for gene in there if table[gene].isna().all()})
    values = aligned(table, slide.tolist(), genes, where, missing)
    refuse_lost(table[there].to_numpy(), there, where)
    write_slides(path, slide, patient, genes, values)
    return missing


def _lay_out_maps(question: Question, table: pd.DataFrame, folder: Path, where: str) -> None:
    asked = {one.section.name: one for one in asked_sections(question)}
    parts = {str(name): part for name, part in table.groupby(table["section"].astype(str), sort=True)}
    missing: dict[str, frozenset[str]] = {}
    for name in parts:
        look_up(name, asked, kind="section", where=where)
    for name, one in asked.items():
        at = f"{where}, {name}"
        if name not in parts:
            raise UserError("no row of this section", where=at, expected="every section", remedy="predict it too")
        _refuse_strange_tiles(parts[name], one.grid, at)
        for gene in one.genes:
            if gene in table.columns and not pd.api.types.is_numeric_dtype(table[gene]):
                raise UserError(f"gene {gene} is not numeric", where=at, expected="numbers", remedy="mend it")
        there = [gene for gene in one.genes if gene in table.columns]
        places = [tile_name(*place) for place in zip(parts[name]["row"], parts[name]["column"], strict=True)]
        missing[name] = empty_rows(parts[name][there], places) if there else frozenset()
        # Not rounded to float32 as a model's answers are: two tiles that differ keep their order.
        values = pd.DataFrame(aligned_map(parts[name], one.grid, one.genes, at, missing[name]), columns=list(one.genes))
        path = folder / question.board.cohort / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        grid = pd.DataFrame({"row": one.grid.row, "column": one.grid.column})
        pd.concat([grid, values], axis=1).to_parquet(path, compression="zstd", index=False)
    declared.write(folder, missing, sum(len(one.grid.row) for one in asked.values()), where)


def _refuse_columns(table: pd.DataFrame, names: tuple[str, ...], where: str) -> None:
    for name in names:
        if name not in table.columns:
            expected = f"{', '.join(names)} and one column a gene"
            raise UserError(f"no column {name!r}", where=where, expected=expected, remedy="add it")
        if table[name].isna().any():
            raise UserError(f"a row without {name}", where=where, expected="every row whole", remedy="fill it in")


def _by_slide(table: pd.DataFrame, store: BulkStore, where: str) -> pd.DataFrame:
    """One row a slide. A table of patients answers for each of their slides; where it has both, they must agree."""
    owner = {slide.slide: slide.patient for slide in store.slides}
    if "slide" in table.columns:
        if "patient" in table.columns:
            given = table["slide"].astype(str).map(owner)
            wrong = table[given.notna() & (given != table["patient"].astype(str))]
            if len(wrong):
                raise UserError(
                    f"slide {wrong['slide'].iloc[0]} is not of patient {wrong['patient'].iloc[0]}", where=where,
                    expected="the patients of `slide2omics units`", remedy="mend the rows, or drop column patient",
                )  # fmt: skip
        return table
    if "patient" not in table.columns:
        raise UserError("no column 'slide'", where=where, expected="slide, or patient", remedy="add one of them")
    patient = table["patient"].astype(str)
    if patient.duplicated().any():
        twice = patient[patient.duplicated()].iloc[0]
        raise UserError(f"patient {twice} twice", where=where, expected="each once", remedy="average or drop")
    known = set(owner.values())
    strangers = [one for one in patient if one not in known]
    if strangers:
        raise UserError(
            f"{len(strangers)} patients are not of the cohort, first {strangers[0]}", where=where,
            expected="the patients of `slide2omics units`", remedy="drop them",
        )  # fmt: skip
    asked = set(patient)
    slides = pd.DataFrame([one for one in owner.items() if one[1] in asked], columns=["slide", "patient"])
    return slides.merge(table.assign(patient=patient), on="patient", how="left", validate="many_to_one")


def _refuse_strange_tiles(table: pd.DataFrame, grid: TileGrid, where: str) -> None:
    asked = pd.MultiIndex.from_arrays([grid.row, grid.column])
    given = pd.MultiIndex.from_frame(table[["row", "column"]])
    strange = given[~given.isin(asked)]
    if len(strange):
        raise UserError(
            f"{len(strange)} tiles are not asked for, first row {strange[0][0]}, column {strange[0][1]}",
            where=where,
            expected="tiles that a window covers",
            remedy="see `slide2omics units` for what is asked",
        )
