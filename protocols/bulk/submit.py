"""A stranger's tables of bulk expression and of maps, laid out as a model's own answers.

A table alone has no untrained twin, so its well-predicted genes are counted without the comparisons that need one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from protocols.bulk.aligned import aligned
from protocols.bulk.answers import TRAINED, shared_genes, slides_file
from protocols.bulk.roles import named
from protocols.bulk.store import BulkStore
from protocols.errors import UserError, look_up
from protocols.metrics.spatial_maps import TileGrid
from protocols.protocol import Board
from protocols.spatial.store import SectionsStore
from protocols.spatial.windows import lay_windows
from protocols.task import Question

EXTERNAL = "external"
"""The fold under which a cohort is handed in that no model was fitted on."""


def boards_in(table: pd.DataFrame, boards: Mapping[str, Board], where: str) -> dict[str, pd.DataFrame]:
    """Rows by cohort; rows of external cohorts (fold ``external``) stay with every board, which takes its own.

    Of maps: sections name no cohort, so all rows are of the one board that there is.
    """
    if any(board.cohort != board.fitted_on for board in boards.values()):
        _refuse_columns(table, ("section", "row", "column"), where)
        if len(boards) > 1 and "cohort" not in table.columns:
            raise UserError("no column 'cohort'", where=where, expected=f"one of {', '.join(boards)}", remedy="add it")
        if "cohort" not in table.columns:
            return {next(iter(boards)): table}
        return {str(name): part for name, part in table.groupby(table["cohort"].astype(str), sort=True)}
    _refuse_columns(table, ("cohort", "fold"), where)
    outside = table["fold"].astype(str) == EXTERNAL
    inside = table[~outside]
    found = {}
    for name, part in inside.groupby(inside["cohort"].astype(str), sort=True):
        look_up(str(name), boards, kind="cohort", where=where)
        found[str(name)] = pd.concat([part, table[outside]])
    if not found:
        names = ", ".join(sorted(table["cohort"].astype(str).unique()))
        raise UserError(
            f"{names} without the cohort whose models answer it",
            where=where,
            expected="both, since genes found in one are sought in the other",
            remedy="hand in the folds of that cohort, too",
        )
    return found


def lay_out(question: Question, table: pd.DataFrame, folder: Path, where: str) -> None:
    """The files of a cell, of the rows of one board."""
    if question.board.cohort != question.board.fitted_on:
        _lay_out_maps(question, table, folder, where)
    else:
        _lay_out_slides(question, table, folder, where)


def _lay_out_slides(question: Question, table: pd.DataFrame, folder: Path, where: str) -> None:
    store, name = question.cohort.store, question.cohort.name
    folds = {fold.name: fold for fold in question.split.folds}
    cohort = table["cohort"].astype(str)
    own, at = table[cohort == name], f"{where}, {name}"
    labels = own["fold"].astype(str)
    for label in labels.unique():
        look_up(label, folds, kind="fold", where=at)
    for number, fold in enumerate(question.split.folds):
        part = own[labels == fold.name]
        if not len(part):
            raise UserError(f"no row for fold {fold.name!r}", where=at, expected="every fold", remedy="predict it too")
        rows = store.slides_of(fold.test)
        _write(folder / slides_file(number, TRAINED), part, store, rows, store.genes, f"{at} fold {fold.name}")
    externals = named(question, "external")
    for other in sorted(set(cohort) - {name}):
        part = table[cohort == other]
        if other not in externals:
            continue  # it belongs to another cohort of the table; one that belongs to none is refused by refuse_strays
        found: BulkStore = question.companions[other].store
        rows = found.slides_of(pd.RangeIndex(len(found.patients)).to_numpy())
        genes = shared_genes(store.genes, found.genes)
        _write(folder / other / slides_file(0, TRAINED), part, found, rows, genes, f"{where}, {other} fold {other}")


def _write(path: Path, part: pd.DataFrame, store: BulkStore, rows: object, genes: tuple[str, ...], where: str) -> None:
    slides = [store.slides[row].slide for row in rows]  # type: ignore[attr-defined]
    ordered = _by_slide(part, store, where)
    aligned(ordered, slides, genes, where)  # refused here, before anything is scored
    path.parent.mkdir(parents=True, exist_ok=True)
    ordered[["slide", *genes]].to_parquet(path, compression="zstd", index=False)


def _lay_out_maps(question: Question, table: pd.DataFrame, folder: Path, where: str) -> None:
    sections: SectionsStore = question.opened(question.board.cohort).store
    parts = {str(name): part for name, part in table.groupby(table["section"].astype(str), sort=True)}
    for name in parts:
        look_up(name, dict.fromkeys(sections.names), kind="section", where=where)
    for number, name in enumerate(sections.names):
        at = f"{where}, {name}"
        if name not in parts:
            raise UserError("no row of this section", where=at, expected="every section", remedy="predict it too")
        section = sections.section(number)
        covered = lay_windows(section.row, section.column, sections.window, sections.stride).covered
        _refuse_strange_tiles(parts[name], TileGrid(section.row[covered], section.column[covered]), at)
        for gene in parts[name].columns.drop(["section", "row", "column", "cohort"], errors="ignore"):
            if not pd.api.types.is_numeric_dtype(parts[name][gene]):
                raise UserError(f"gene {gene} is not numeric", where=at, expected="numbers", remedy="mend it")
        path = folder / question.board.cohort / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        parts[name].drop(columns=["section", "cohort"], errors="ignore").to_parquet(
            path, compression="zstd", index=False
        )


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
            remedy="see `slide2omics units gbm_spatial`",
        )
