"""Leaks of a cohort of slides."""

from __future__ import annotations

import io
from pathlib import Path

from scipy import sparse

from tests.suite.engine.planted import json_cohorts
from tests.suite.engine.planted.json_cohorts import describe, described, first_slides
from tests.suite.engine.small_run import rewritten

EMPTY = {"a person in the external cohort": "models of counts are asked about no cohort but their own"}


def same_scan(folder: Path) -> None:
    json_cohorts.same_scan(folder, "image")


def two_ids(folder: Path) -> None:
    told = described(folder)
    for slide, label in zip(first_slides(told), ("TCGA-A1-A0SB-01A", "tcga-a1-a0sb"), strict=True):
        slide["patient"] = label
    describe(folder, told)


def same_table(folder: Path) -> None:
    """Sixty cells of the first slide, in reverse and with their genes in reverse, stand among those of the second."""
    told = described(folder)
    first, second = first_slides(told)
    tables = [folder / "counts" / f"{told['slides'].index(slide):04d}.npz" for slide in (first, second)]
    own, other = (sparse.load_npz(path) for path in tables)
    genes = list(reversed(first["genes"]))
    genes += [gene for gene in second["genes"] if gene not in genes]
    place = {gene: column for column, gene in enumerate(genes)}
    mixed = sparse.lil_matrix((other.shape[0], len(genes)), dtype=own.dtype)
    mixed[:60, [place[gene] for gene in first["genes"]]] = own[:60][::-1]
    mixed[60:, [place[gene] for gene in second["genes"]]] = other[60:]
    held = io.BytesIO()
    sparse.save_npz(held, mixed.tocsr())
    rewritten(tables[1], held.getvalue())
    second["genes"] = genes
    describe(folder, told)
