"""A cohort of patients with bulk expression and slides, as every reader returns it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from protocols.contract import FloatArray
from protocols.errors import UserError
from protocols.identity.known import known
from protocols.splits import Exclusion
from protocols.survival.cohort import SlideFile

GENE_TYPES = ("protein_coding", "lncRNA", "miRNA")
"""The types that SEQUOIA predicts."""
UNKNOWN_TYPE = "unknown"
"""The type of a gene in a table that does not say."""
DONOR_SEPARATOR = ":"


@dataclass(frozen=True, eq=False)
class BulkCohort:
    """One row a patient, sorted by patient; every patient has a slide and every slide a patient.

    ``expression``: float32 ``(patients, genes)``, log2(v + 1), finite. Normal tissue also has ``tissue``, one a row;
    there a row is a donor's tissue (see :func:`donor_of`) and ``expression`` its z-score within the tissue.
    ``gene_types``: one of ``GENE_TYPES``, or another type the reader was asked for, or ``UNKNOWN_TYPE``.
    ``excluded`` names everyone and everything left out.
    """

    name: str
    patients: tuple[str, ...]
    genes: tuple[str, ...]
    gene_types: tuple[str, ...]
    expression: FloatArray
    slides: tuple[SlideFile, ...]
    tissue: tuple[str, ...] | None = None
    excluded: tuple[Exclusion, ...] = ()


def donor_row(donor: str, tissue: str) -> str:
    """How a row of normal tissue is called: a donor gives several tissues, each with its own expression."""
    return f"{donor}{DONOR_SEPARATOR}{tissue}"


def donor_of(patient: str) -> str:
    """The person behind a row: the donor of a normal tissue, the patient themselves elsewhere."""
    return patient.split(DONOR_SEPARATOR, 1)[0]


def is_known(patient: object) -> bool:
    """Whether a patient id says anything."""
    return known(patient) is not None


def checked(cohort: BulkCohort) -> BulkCohort:
    """The cohort with slides sorted, less the patients without slides and the slides without expression, by name.

    Raises :class:`UserError` for patients unsorted or repeated, genes or slides repeated, arrays that do not fit, and
    values that are not finite or (but for z-scores) negative.
    """
    where = f"cohort {cohort.name}"
    _refuse_repeated("patient", cohort.patients, where)
    _refuse_repeated("gene", cohort.genes, where)
    _refuse_repeated("slide", [slide.slide for slide in cohort.slides], where)
    if list(cohort.patients) != sorted(cohort.patients):
        raise UserError("patients out of order", where=where, expected="sorted patients", remedy="sort the rows")
    _refuse_misfits(cohort, where)
    _refuse_bad_values(cohort, where)
    kept, excluded = _join(cohort)
    if not kept:
        raise UserError(
            f"none of {len(cohort.slides)} slides belongs to any of {len(cohort.patients)} patients with expression",
            where=where,
            expected="the same patient ids in both",
            remedy="check the slides' column patient",
        )
    owners = {slide.patient for slide in kept}
    rows = [row for row, patient in enumerate(cohort.patients) if patient in owners]
    return replace(
        cohort,
        patients=tuple(cohort.patients[row] for row in rows),
        expression=np.ascontiguousarray(cohort.expression[rows], dtype=np.float32),
        slides=tuple(sorted(kept, key=lambda slide: (slide.patient, slide.slide))),
        tissue=None if cohort.tissue is None else tuple(cohort.tissue[row] for row in rows),
        excluded=(*cohort.excluded, *excluded),
    )


def _join(cohort: BulkCohort) -> tuple[list[SlideFile], list[Exclusion]]:
    known = set(cohort.patients)
    kept = [slide for slide in cohort.slides if slide.patient in known]
    excluded = []
    for slide in cohort.slides:
        if not is_known(slide.patient):
            excluded.append(Exclusion(f"slide {slide.slide}", "patient unknown"))
        elif slide.patient not in known:
            excluded.append(Exclusion(f"slide {slide.slide}", f"no expression of patient {slide.patient}"))
    with_slides = {slide.patient for slide in kept}
    excluded += [Exclusion(f"patient {one}", "no slide") for one in cohort.patients if one not in with_slides]
    return kept, excluded


def _refuse_repeated(kind: str, names: Sequence[str], where: str) -> None:
    name, times = Counter(names).most_common(1)[0] if names else ("", 0)
    if times > 1:
        raise UserError(f"{kind} {name} {times} times", where=where, expected="each once", remedy="drop the others")


def _refuse_misfits(cohort: BulkCohort, where: str) -> None:
    expected = (len(cohort.patients), len(cohort.genes))
    if cohort.expression.shape != expected or not all(expected):
        raise UserError(
            f"expression of shape {cohort.expression.shape} for {expected[0]} patients and {expected[1]} genes",
            where=where,
            expected="one row a patient, one column a gene, at least one of each",
            remedy="check the table",
        )
    if len(cohort.gene_types) != len(cohort.genes):
        raise UserError(
            f"{len(cohort.gene_types)} gene types", where=where, expected=str(expected[1]), remedy="one each"
        )
    if cohort.tissue is not None and len(cohort.tissue) != len(cohort.patients):
        raise UserError(f"{len(cohort.tissue)} tissues", where=where, expected=str(expected[0]), remedy="one each")


def _refuse_bad_values(cohort: BulkCohort, where: str) -> None:
    for row, values in enumerate(cohort.expression):
        bad = ~np.isfinite(values) if cohort.tissue is not None else ~(np.isfinite(values) & (values >= 0))
        if bad.any():
            gene = int(np.argmax(bad))
            raise UserError(
                f"expression of {cohort.genes[gene]} in {cohort.patients[row]} is {values[gene]:g}",
                where=where,
                expected="finite numbers" + ("" if cohort.tissue is not None else " from 0 up"),
                remedy="mend the table",
            )
