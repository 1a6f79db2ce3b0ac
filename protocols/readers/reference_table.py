"""SEQUOIA's reference tables: one row a slide, columns ``rna_<SYMBOL>`` that already are log2(v + 1).

The released code takes every column whose name *contains* ``rna_``; here only those that begin with it are genes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from protocols.bulk.cohort import UNKNOWN_TYPE, BulkCohort, checked, is_known
from protocols.contract import FloatArray
from protocols.errors import UserError, did_you_mean
from protocols.readers.bulk_tables import (
    Duplicates,
    GeneRule,
    GeneTable,
    read_gene_list,
    refuse_bad_expression,
    same_sample,
    slide_key,
    tidy_genes,
)
from protocols.readers.patient_tables import read_csv, read_slides
from protocols.splits import Exclusion
from protocols.survival.cohort import SlideFile

SLIDE, PATIENT, PROJECT = "wsi_file_name", "patient_id", "tcga_project"
PREFIX = "rna_"


def read_reference_table(
    name: str,
    root: Path,
    *,
    table: str,
    slides: str,
    project: str | None = None,
    gene_list: str | None = None,
    gene_rule: GeneRule = "all",
    duplicates: Duplicates = "highest_mean",
) -> BulkCohort:
    """A cohort from ``table`` (CSV, plain or gzipped) and the list of slide files; paths are relative to ``root``.

    Rows of one patient must agree on every gene. ``gene_list`` (CSV: gene, perhaps gene_type) chooses among the
    genes and says their types; the list is the table's rule, hence ``gene_rule="all"``. A slide without a row and a
    row without a slide are left out by name.
    """
    path = root / table
    rows = _of_project(_read_rows(path), path, project)
    patients, values = _one_row_a_patient(rows, path)
    genes = _chosen(_genes_of(rows, values), root / gene_list if gene_list else None, path)
    genes = tidy_genes(genes, rule=gene_rule, duplicates=duplicates, where=path)
    used, excluded = _slides_with_a_row(read_slides(root / slides, root), rows, root / slides)
    return checked(
        BulkCohort(
            name=name,
            patients=patients,
            genes=genes.symbols,
            gene_types=genes.types,
            expression=genes.values,
            slides=tuple(used),
            excluded=tuple(excluded),
        )
    )


def data_files(root: Path, *, table: str, slides: str, gene_list: str | None = None, **_options: object) -> list[Path]:
    """The tables and the slides that the list names."""
    tables = [root / name for name in (table, slides, gene_list) if name]
    return [*tables, *(root / slide.path for slide in read_slides(root / slides, root))]


def _read_rows(path: Path) -> pd.DataFrame:
    rows = read_csv(path, dtype=dict.fromkeys((SLIDE, PATIENT, PROJECT), str))
    genes = [str(column) for column in rows.columns if str(column).startswith(PREFIX)]
    for column in (SLIDE, PATIENT):
        if column not in rows.columns:
            raise UserError(f"no column {column!r}", where=path, expected=f"{SLIDE}, {PATIENT}", remedy="add it")
    if not genes:
        raise UserError("no gene", where=path, expected=f"columns {PREFIX}<SYMBOL>", remedy="check the table")
    text = rows[genes].select_dtypes(exclude="number").columns
    if len(text):
        raise UserError(f"text in column {text[0]}", where=path, expected="numbers", remedy="mend the table")
    for column in (SLIDE, PATIENT):
        if not rows[column].map(is_known).all():
            row = int(np.argmin(rows[column].map(is_known)))
            raise UserError(f"row {row + 2} has no {column}", where=path, expected="one in every row", remedy="fill it")
    keys = rows[SLIDE].map(slide_key)
    if keys.duplicated().any():
        raise UserError(
            f"slide {keys[keys.duplicated()].iloc[0]} twice", where=path, expected="each once", remedy="drop one"
        )
    return rows


def _of_project(rows: pd.DataFrame, path: Path, project: str | None) -> pd.DataFrame:
    if project is None and PROJECT not in rows.columns:
        return rows
    projects = sorted(set(rows[PROJECT].dropna())) if PROJECT in rows.columns else []
    if project is None and len(projects) > 1:
        raise UserError(
            f"{len(projects)} projects ({', '.join(projects)})",
            where=path,
            expected="one cancer a cohort",
            remedy="name one as project",
        )
    if project is not None and project not in projects:
        raise UserError(
            f"no project {project!r}", where=path, expected="a project here", remedy=did_you_mean(project, projects)
        )
    return rows if project is None else rows[rows[PROJECT] == project].reset_index(drop=True)


def _one_row_a_patient(rows: pd.DataFrame, path: Path) -> tuple[tuple[str, ...], FloatArray]:
    """Patients, sorted, and each one's row, once all of their rows were found good and alike."""
    columns = [column for column in rows.columns if str(column).startswith(PREFIX)]
    values = rows[columns].to_numpy(np.float64)
    names = [str(column).removeprefix(PREFIX) for column in columns]
    first: dict[str, int] = {}
    for row, (slide, patient) in enumerate(zip(rows[SLIDE], rows[PATIENT], strict=True)):
        refuse_bad_expression(values[row], names, where=f"{path}, slide {slide}", logged=True)
        kept = first.setdefault(patient, row)
        differing = values[row] != values[kept]
        if differing.any():
            raise UserError(
                f"slides {rows[SLIDE][kept]} and {slide} of {patient} disagree on {names[int(np.argmax(differing))]}",
                where=path,
                expected="one expression a patient",
                remedy="mend the table",
            )
    patients = tuple(sorted(first))
    return patients, values[[first[patient] for patient in patients]].astype(np.float32)


def _genes_of(rows: pd.DataFrame, values: FloatArray) -> GeneTable:
    # pandas calls the second of two equal columns "rna_X.1": an id of its own, but no symbol of its own.
    ids = [str(column).removeprefix(PREFIX) for column in rows.columns if str(column).startswith(PREFIX)]
    known = set(ids)
    symbols = []
    for one in ids:
        stem, dot, number = one.rpartition(".")
        symbols.append(stem if dot and number.isdigit() and stem in known else one)
    return GeneTable(tuple(ids), tuple(symbols), (UNKNOWN_TYPE,) * len(ids), values)


def _chosen(table: GeneTable, gene_list: Path | None, path: Path) -> GeneTable:
    """The listed genes with their types; a listed gene that the table lacks is an error."""
    if gene_list is None:
        return table
    types = read_gene_list(gene_list)
    missing = sorted(set(types) - set(table.symbols))
    if missing:
        raise UserError(
            f"{len(missing)} genes of {gene_list.name} are missing, first {missing[0]}",
            where=path,
            expected="a column for every gene of the list",
            remedy=did_you_mean(missing[0], table.symbols) if len(missing) == 1 else "use the list made for this table",
        )
    made = table.columns([place for place, symbol in enumerate(table.symbols) if symbol in types])
    return replace(made, types=tuple(types[symbol] for symbol in made.symbols))


def _slides_with_a_row(
    listed: Sequence[SlideFile], rows: pd.DataFrame, where: Path
) -> tuple[list[SlideFile], list[Exclusion]]:
    patient_of = dict(zip(rows[SLIDE].map(slide_key), rows[PATIENT], strict=True))
    kept, excluded = [], []
    for slide in listed:
        patient = patient_of.get(slide_key(slide.slide))
        if patient is None:
            excluded.append(Exclusion(f"slide {slide.slide}", "no row in the table"))
        elif is_known(slide.patient) and slide.patient != patient:
            raise UserError(
                f"slide {slide.slide} is of {slide.patient} here, of {patient} in the table",
                where=where,
                expected="one patient a slide",
                remedy="mend one of them",
            )
        else:
            kept.append(slide)
    files = {slide_key(slide.slide) for slide in listed}
    excluded += [Exclusion(f"slide {slide}", "no file is listed") for slide in patient_of if slide not in files]
    used, _ = same_sample(kept, {}, where=where)
    return used, excluded
