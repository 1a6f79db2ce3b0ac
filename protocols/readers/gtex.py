"""Normal tissue for pre-training, as GTEx hands it out: a GCT table of TPM (or FPKM) and the samples' attributes.

Rows are a donor's tissue. Values are log2(v + 1), then z-scores per gene within each tissue (SEQUOIA, Methods: gene
expression). The paper's 2,242 slides count 440 of breast, which its Methods leave out; the six others are 1,802.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from protocols.bulk.cohort import UNKNOWN_TYPE, BulkCohort, checked, donor_row
from protocols.contract import FloatArray
from protocols.errors import UserError, look_up
from protocols.readers.bulk_tables import (
    Duplicates,
    GeneTable,
    gct_samples,
    read_gct,
    read_gene_list,
    read_table,
    tidy_genes,
)
from protocols.readers.gdc import PSEUDO_AUTOSOMAL
from protocols.readers.patient_tables import read_slides
from protocols.splits import Exclusion
from protocols.survival.cohort import SlideFile

NormalGeneRule = Literal["in_every_tissue", "median_above_zero", "any_above_zero", "all"]
LEFT_OUT = ("Breast",)
"""SEQUOIA, Methods: pre-training with normal breast, mostly fat, made the models worse."""
SAMPLE, TISSUE, DONOR = "SAMPID", "SMTS", "SUBJID"


@dataclass(frozen=True)
class Sample:
    """One RNA sample of the table."""

    sample: str
    donor: str
    tissue: str

    @property
    def row(self) -> str:
        return donor_row(self.donor, self.tissue)


def read_gtex(
    name: str,
    root: Path,
    *,
    expression: str,
    attributes: str,
    slides: str,
    tissues: Sequence[str] | None = None,
    exclude: Sequence[str] = LEFT_OUT,
    gene_list: str | None = None,
    gene_rule: NormalGeneRule = "in_every_tissue",
    duplicates: Duplicates = "highest_mean",
) -> BulkCohort:
    """Normal tissue from ``expression`` (.gct or .gct.gz), ``attributes`` (TSV: SAMPID, SMTS) and a list of slides.

    ``tissues`` (None: all that have slides) less ``exclude``. The slides' column patient holds the donor, and a column
    tissue the tissue, needed where a donor has several. A donor's first sample of a tissue is used.
    ``in_every_tissue`` keeps genes seen at least once in each, as the paper's 19,198. A tissue of one row is left out:
    one value has no z-score. Everything left out is named. Paths are relative to ``root``.
    """
    path = root / expression
    samples = _samples(root / attributes, gct_samples(path))
    wanted = _wanted(samples, tissues, exclude, root / attributes)
    used, excluded = _slides(root / slides, root, samples, wanted)
    chosen, others = _first_samples(samples, wanted, {slide.patient for slide in used})
    if not chosen:
        raise UserError(
            f"no slide of {', '.join(sorted(wanted)) or 'any tissue'} with expression",
            where=root / slides,
            expected="donors of the table in the column patient",
            remedy="check the list of slides",
        )
    chosen, lonely = _of_more_than_one(chosen)
    table = read_gct(path, [sample.sample for sample in chosen])
    tissue = np.array([sample.tissue for sample in chosen])
    table = _chosen_genes(table, tissue, root / gene_list if gene_list else None, gene_rule, duplicates, path)
    return checked(
        BulkCohort(
            name=name,
            patients=tuple(sample.row for sample in chosen),
            genes=table.symbols,
            gene_types=table.types,
            expression=zscore_within(table.values, tissue.tolist()),
            slides=tuple(slide for slide in used if slide.patient not in lonely),
            tissue=tuple(tissue.tolist()),
            excluded=(*excluded, *others, *_left_alone(lonely, used)),
        )
    )


def data_files(
    root: Path, *, expression: str, attributes: str, slides: str, gene_list: str | None = None, **_options: object
) -> list[Path]:
    """The tables and the slides that the list names."""
    tables = [root / name for name in (expression, attributes, slides, gene_list) if name]
    return [*tables, *(root / slide.path for slide in read_slides(root / slides, root))]


def zscore_within(values: FloatArray, tissue: Sequence[str]) -> FloatArray:
    """(v - mean) / SD (of the population) of each column within each tissue; a gene constant in a tissue is 0 there.

    ``values``: ``(n, genes)``; ``tissue``: ``n`` names. Returns float32; means and deviations are double precision.
    """
    labels = np.asarray(tissue)
    if len(labels) != len(values):
        raise UserError(
            f"{len(labels)} tissues for {len(values)} rows", where="z-scores", expected="one a row", remedy="add them"
        )
    scores = np.zeros(values.shape, dtype=np.float32)
    for one in np.unique(labels):
        rows = np.flatnonzero(labels == one)
        block = values[rows].astype(np.float64)
        # By range, not by the deviation: rounding leaves the SD of equal values just above 0.
        varies = np.ptp(block, axis=0) > 0
        block = block[:, varies]
        scores[np.ix_(rows, np.flatnonzero(varies))] = (block - block.mean(axis=0)) / block.std(axis=0)
    return scores


def _samples(path: Path, measured: Collection[str]) -> list[Sample]:
    """The table's samples, sorted; a donor is SUBJID where the attributes have it, else SAMPID's first two parts."""
    rows = read_table(path, (SAMPLE, TISSUE), separator="\t")
    if rows[SAMPLE].duplicated().any():
        twice = rows.loc[rows[SAMPLE].duplicated(), SAMPLE].iloc[0]
        raise UserError(f"sample {twice} twice", where=path, expected="each once", remedy="drop one")
    rows = rows[rows[SAMPLE].isin(list(measured))].sort_values(SAMPLE)
    unknown = sorted(set(measured) - set(rows[SAMPLE]))
    if unknown:
        raise UserError(
            f"{len(unknown)} samples of the expression table are missing, first {unknown[0]}",
            where=path,
            expected="attributes of every sample",
            remedy="use tables of one release",
        )
    donors = rows[DONOR] if DONOR in rows.columns else rows[SAMPLE].map(lambda name: "-".join(name.split("-")[:2]))
    return [Sample(*row) for row in zip(rows[SAMPLE], donors, rows[TISSUE], strict=True)]


def _wanted(
    samples: Sequence[Sample], tissues: Sequence[str] | None, exclude: Sequence[str], where: Path
) -> frozenset[str]:
    known = {sample.tissue: None for sample in samples}
    for tissue in (*(tissues or ()), *(one for one in exclude if one not in LEFT_OUT)):
        look_up(tissue, known, kind="tissue", where=where)
    return frozenset(known if tissues is None else tissues) - set(exclude)


def _slides(
    path: Path, root: Path, samples: Sequence[Sample], wanted: Collection[str]
) -> tuple[list[SlideFile], list[Exclusion]]:
    """Slides under their row's name; those of other tissues are left out."""
    listed = read_slides(path, root)
    table = read_table(path, ("slide",), separator=",")
    said = dict(zip(table["slide"], table["tissue"], strict=True)) if "tissue" in table.columns else {}
    tissues_of: dict[str, set[str]] = {}
    for sample in samples:
        tissues_of.setdefault(sample.donor, set()).add(sample.tissue)
    used, excluded = [], []
    for slide in listed:
        possible = tissues_of.get(slide.patient, set())
        tissue = said.get(slide.slide) or (next(iter(possible)) if len(possible) == 1 else None)
        if tissue is None and possible:
            raise UserError(
                f"slide {slide.slide} of {slide.patient} may be of {' or '.join(sorted(possible))}",
                where=path,
                expected="a column tissue",
                remedy="say which",
            )
        if tissue is not None and tissue not in wanted:
            excluded.append(Exclusion(f"slide {slide.slide}", f"tissue {tissue} is not used"))
        else:
            used.append(slide if tissue is None else replace(slide, patient=donor_row(slide.patient, tissue)))
    return used, excluded


def _first_samples(
    samples: Sequence[Sample], wanted: Collection[str], with_slide: Collection[str]
) -> tuple[list[Sample], list[Exclusion]]:
    """One sample a row, sorted by row; the others by name, and whole tissues that are not used by their name."""
    first: dict[str, Sample] = {}
    excluded = []
    unused: dict[str, int] = {}
    for sample in samples:
        if sample.tissue not in wanted:
            unused[sample.tissue] = unused.get(sample.tissue, 0) + 1
        elif sample.row not in with_slide:
            excluded.append(Exclusion(f"sample {sample.sample}", f"no slide of {sample.row}"))
        elif first.setdefault(sample.row, sample) is not sample:
            reason = f"another sample of {sample.row}, {first[sample.row].sample}, comes first"
            excluded.append(Exclusion(f"sample {sample.sample}", reason))
    excluded += [Exclusion(f"tissue {tissue}", f"not used, {number} samples") for tissue, number in unused.items()]
    return [first[row] for row in sorted(first)], excluded


def _of_more_than_one(samples: Sequence[Sample]) -> tuple[list[Sample], list[str]]:
    """Samples that share their tissue with another, and the rows of the others."""
    times = Counter(sample.tissue for sample in samples)
    kept = [sample for sample in samples if times[sample.tissue] > 1]
    return kept, [sample.row for sample in samples if times[sample.tissue] == 1]


def _left_alone(rows: Sequence[str], slides: Sequence[SlideFile]) -> list[Exclusion]:
    reason = "the only one of its tissue, so without a z-score"
    named = [f"patient {row}" for row in rows] + [f"slide {one.slide}" for one in slides if one.patient in rows]
    return [Exclusion(name, reason) for name in named]


def _chosen_genes(
    table: GeneTable, tissue: NDArray[np.str_], gene_list: Path | None, rule: str, duplicates: str, where: Path
) -> GeneTable:
    types = read_gene_list(gene_list) if gene_list else None
    kept = [
        place
        for place, (one, symbol) in enumerate(zip(table.ids, table.symbols, strict=True))
        if not one.endswith(PSEUDO_AUTOSOMAL) and (types is None or symbol in types)
    ]
    table = table.columns(kept)
    if rule == "in_every_tissue":
        seen = np.ones(len(kept), dtype=bool)
        for one in np.unique(tissue):
            seen &= (table.values[tissue == one] > 0).any(axis=0)
        table, rule = table.columns(np.flatnonzero(seen)), "all"
    made = tidy_genes(table, rule=rule, duplicates=duplicates, where=where)
    return made if types is None else replace(made, types=tuple(types.get(one, UNKNOWN_TYPE) for one in made.symbols))
