"""Bulk expression as the Genomic Data Commons hands it out: one STAR count file a sample, a manifest, a sample sheet.

A file's lines: ``# gene-model: ...``, a header, four ``N_*`` rows of read statistics, then one row a gene.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from protocols.bulk.cohort import GENE_TYPES, BulkCohort, checked, is_known
from protocols.errors import UserError, did_you_mean, look_up
from protocols.readers.bulk_tables import (
    Duplicates,
    GeneRule,
    GeneTable,
    log2_plus_one,
    read_table,
    refuse_bad_expression,
    same_sample,
    tidy_genes,
    unzipped,
)
from protocols.readers.patient_tables import read_slides
from protocols.splits import Exclusion

SUFFIX = ".rna_seq.augmented_star_gene_counts.tsv"
GENE_COLUMNS = ("gene_id", "gene_name", "gene_type")
MANIFEST = ("id", "filename", "md5", "size")
SHEET = ("File ID", "File Name", "Project ID", "Case ID", "Sample ID")
PSEUDO_AUTOSOMAL = "_PAR_Y"
"""Ids of the Y copies of genes that X has, too; GENCODE lists them twice and STAR counts the X copy."""
READ_STATISTICS = "N_"


@dataclass(frozen=True)
class CountFile:
    """The STAR count file of one sample, with what the manifest says about it."""

    file_id: str
    name: str
    md5: str
    size: int
    patient: str
    sample: str


def read_gdc(
    name: str,
    root: Path,
    *,
    manifest: str,
    sample_sheet: str,
    slides: str,
    files: str = ".",
    project: str | None = None,
    column: str = "fpkm_uq_unstranded",
    types: Sequence[str] = GENE_TYPES,
    sample_types: Sequence[str] = ("Primary Tumor",),
    gene_rule: GeneRule = "median_above_zero",
    duplicates: Duplicates = "highest_mean",
) -> BulkCohort:
    """One project's patients with log2(v + 1) of ``column``; every path is relative to ``root``.

    ``files`` holds one folder a file id. Only files of patients with a slide are read, and each must have the
    manifest's size and md5 (of its unzipped bytes where only ``.gz`` is there). A patient's first sample by id is
    used. ``median_above_zero`` is the released gene list: over all patients of the cohort, tested ones too, which
    chooses the questions, not the answers. Source: SEQUOIA, Methods (gene expression) and its released R script.
    """
    listed = read_slides(root / slides, root)
    chosen, excluded = _choose(root / manifest, root / sample_sheet, project, sample_types)
    used, unmatched = same_sample(listed, {file.patient: file.sample for file in chosen}, where=root / slides)
    owners = {slide.patient for slide in used}
    with_slide = [file for file in chosen if file.patient in owners]
    without = [Exclusion(f"patient {file.patient}", "no slide") for file in chosen if file.patient not in owners]
    if not with_slide:
        raise UserError(
            f"none of {len(chosen)} patients with expression has a slide",
            where=root / slides,
            expected="the sheet's Case ID in the column patient",
            remedy="check the list of slides",
        )
    genes = tidy_genes(
        _read_counts(with_slide, root / files, column, types), rule=gene_rule, duplicates=duplicates, where=root / files
    )
    return checked(
        BulkCohort(
            name=name,
            patients=tuple(file.patient for file in with_slide),
            genes=genes.symbols,
            gene_types=genes.types,
            expression=genes.values,
            slides=tuple(used),
            excluded=(*excluded, *unmatched, *without),
        )
    )


def data_files(
    root: Path, *, manifest: str, sample_sheet: str, slides: str, files: str = ".", **_options: object
) -> list[Path]:
    """The tables, the count files of the manifest that are there, and the slides; nothing else of these folders."""
    listed = read_table(root / manifest, MANIFEST, separator="\t")
    places = [root / files / row["id"] / row["filename"] for row in listed.to_dict("records")]
    either = [path for place in places for path in (place, place.with_name(f"{place.name}.gz"))]
    counts = [path for path in either if SUFFIX in path.name and path.is_file()]
    images = [root / slide.path for slide in read_slides(root / slides, root)]
    return [root / manifest, root / sample_sheet, root / slides, *counts, *images]


def _choose(
    manifest: Path, sheet: Path, project: str | None, sample_types: Sequence[str]
) -> tuple[list[CountFile], list[Exclusion]]:
    """One count file a patient, sorted by patient, and everything else of the project by name."""
    known = read_table(manifest, MANIFEST, separator="\t").drop_duplicates("id").set_index("id")
    listed = _with_sample_type(read_table(sheet, SHEET, separator="\t"), sheet)
    rows = _of_project(listed, sheet, project)
    found: list[CountFile] = []
    excluded = []
    for row in rows.sort_values(["Case ID", "Sample ID", "File ID"]).to_dict("records"):
        file_id, patient, sample = row["File ID"], row["Case ID"], row["Sample ID"]
        reason = None
        if not is_known(patient) or "," in patient:
            reason = f"of no single patient (Case ID {patient!r})"
        elif row["type"] not in sample_types:
            reason = f"{row['type'] or 'sample type unknown'}, not {' or '.join(sample_types)}"
        elif file_id not in known.index:
            reason = "not in the manifest"
        elif found and found[-1].patient == patient:
            reason = f"another sample of {patient}, {found[-1].sample} in file {found[-1].file_id}, comes first"
        if reason:
            excluded.append(Exclusion(f"file {file_id} of sample {sample}", reason))
            continue
        entry = known.loc[file_id]
        size = _whole_number(entry["size"], f"{manifest}, file {file_id}")
        found.append(CountFile(file_id, entry["filename"], entry["md5"].lower(), size, patient, sample))
    if not found:
        raise UserError(
            f"no {' or '.join(sample_types)} among {len(rows)} files",
            where=sheet,
            expected="files of both manifest and sample sheet",
            remedy="; ".join(sorted({item.reason for item in excluded})[:2]) or "check both tables",
        )
    in_sheet = set(listed["File ID"])
    orphans = [file_id for file_id, name in known["filename"].items() if SUFFIX in name and file_id not in in_sheet]
    return found, excluded + [Exclusion(f"file {file_id}", "not in the sample sheet") for file_id in orphans]


def _with_sample_type(rows: pd.DataFrame, sheet: Path) -> pd.DataFrame:
    """The sheet's count files with a column type; sheets of later releases say it in two columns."""
    if "Sample Type" in rows.columns:
        kind = rows["Sample Type"]
    elif {"Tissue Type", "Tumor Descriptor"} <= set(rows.columns):
        primary = (rows["Tissue Type"] == "Tumor") & (rows["Tumor Descriptor"] == "Primary")
        kind = (rows["Tumor Descriptor"] + " " + rows["Tissue Type"]).where(~primary, "Primary Tumor")
    else:
        raise UserError(
            "no column 'Sample Type'", where=sheet, expected="GDC's own columns", remedy="use the sheet as it came"
        )
    counts = rows["File Name"].str.removesuffix(".gz").str.endswith(SUFFIX)
    if not counts.any():
        raise UserError("no STAR count file", where=sheet, expected=f"File Name …{SUFFIX}", remedy="check the sheet")
    return rows.assign(type=kind)[counts]


def _of_project(rows: pd.DataFrame, sheet: Path, project: str | None) -> pd.DataFrame:
    projects = sorted(set(rows["Project ID"]))
    if project is None and len(projects) > 1:
        raise UserError(
            f"{len(projects)} projects ({', '.join(projects)})",
            where=sheet,
            expected="one cancer a cohort",
            remedy="name one as project",
        )
    if project is not None and project not in projects:
        raise UserError(
            f"no project {project!r}", where=sheet, expected="a project here", remedy=did_you_mean(project, projects)
        )
    return rows[rows["Project ID"] == (project or projects[0])]


def _whole_number(text: str, where: str) -> int:
    if not text.isdigit():
        raise UserError(f"size {text!r}", where=where, expected="bytes", remedy="fetch the manifest again")
    return int(text)


def _read_counts(files: Sequence[CountFile], folder: Path, column: str, types: Sequence[str]) -> GeneTable:
    """All files' expression, read one by one into one float32 array."""
    first: pd.DataFrame | None = None
    ids: list[str] = []
    kept, values, model = np.zeros(0, np.int64), np.zeros((0, 0), np.float32), b""
    for row, file in enumerate(files):
        path, content = _content(file, folder)
        own_model, table = _parsed(content, path, column, wanted=GENE_COLUMNS if first is None else ("gene_id",))
        if first is None:
            first, model = table, own_model
            kept = _kept_genes(table, types, path)
            ids = list(table["gene_id"].iloc[kept])
            values = np.empty((len(files), len(kept)), dtype=np.float32)
        elif own_model != model or not np.array_equal(table["gene_id"].to_numpy(), first["gene_id"].to_numpy()):
            raise UserError(
                f"other genes ({own_model.decode(errors='replace')}) than in the first file",
                where=path,
                expected=f"{len(first)} genes of {model.decode(errors='replace')}",
                remedy="take all files from one GDC release",
            )
        raw = table[column].to_numpy(np.float64)[kept]
        refuse_bad_expression(raw, ids, where=path, logged=False)
        values[row] = log2_plus_one(raw)
    if first is None:
        raise UserError("no files", where=folder, expected="one a patient", remedy="check the manifest")
    genes = first.iloc[kept]
    return GeneTable(tuple(ids), tuple(genes["gene_name"]), tuple(genes["gene_type"]), values)


def _kept_genes(table: pd.DataFrame, types: Sequence[str], path: Path) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    measured = set(table["gene_type"].dropna())
    for wanted in types:
        look_up(wanted, dict.fromkeys(measured | set(GENE_TYPES)), kind="gene type", where=path)
    ids = table["gene_id"].astype(str)
    if ids.duplicated().any():
        raise UserError(
            f"gene {ids[ids.duplicated()].iloc[0]} twice", where=path, expected="each once", remedy="fetch it again"
        )
    named = (table["gene_name"] != "") & ~ids.str.endswith(PSEUDO_AUTOSOMAL)
    return np.flatnonzero((named & table["gene_type"].isin(list(types))).to_numpy())


def _content(file: CountFile, folder: Path) -> tuple[Path, bytes]:
    """The file's unzipped bytes, once they are what the manifest says."""
    path = folder / file.file_id / file.name
    zipped = path.with_name(f"{path.name}.gz")
    if not path.exists() and zipped.exists():
        path = zipped
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(
            f"no count file of {file.patient}", where=path, expected="every file of the manifest", remedy="fetch it"
        ) from None
    if path is zipped:
        content = unzipped(content, path)
    if len(content) != file.size:
        raise UserError(
            f"{len(content)} bytes", where=path, expected=f"{file.size} by the manifest", remedy="fetch it again"
        )
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != file.md5:
        raise UserError(f"md5 {found}", where=path, expected=f"{file.md5} by the manifest", remedy="fetch it again")
    return path, unzipped(content, path) if file.name.endswith(".gz") else content


def _parsed(content: bytes, path: Path, column: str, *, wanted: Sequence[str]) -> tuple[bytes, pd.DataFrame]:
    """The line that names the gene model, and the gene rows with the wanted columns and ``column``."""
    model, _, body = content.partition(b"\n") if content.startswith(b"#") else (b"", b"", content)
    header = body.split(b"\n", 1)[0].decode(errors="replace").rstrip("\r").split("\t")
    if not set(GENE_COLUMNS) <= set(header):
        raise UserError(
            "no STAR count file", where=path, expected=f"columns {', '.join(GENE_COLUMNS)}", remedy="fetch STAR counts"
        )
    look_up(column, dict.fromkeys(header[len(GENE_COLUMNS) :]), kind="column", where=path)
    try:
        table: pd.DataFrame = pd.read_csv(
            io.BytesIO(body),
            sep="\t",
            usecols=[*wanted, column],
            dtype={**dict.fromkeys(wanted, str), column: np.float64},
            keep_default_na=False,
            na_values={column: [""]},
        )
    except (ValueError, pd.errors.ParserError) as error:
        raise UserError(
            f"unreadable ({str(error).splitlines()[0]})", where=path, expected="a count file", remedy="fetch it again"
        ) from None
    statistics = table["gene_id"].str.startswith(READ_STATISTICS)
    return model.strip(), table[~statistics].reset_index(drop=True)
