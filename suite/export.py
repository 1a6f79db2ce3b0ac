"""Hands a protocol's units to somebody who predicts elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from protocols import task_of
from protocols.bulk.splitting import ROLES, read_bulk_split
from protocols.bulk.store import BulkStore
from protocols.cohorts.store import CohortStore
from protocols.contract import RowArray
from protocols.files import written_whole
from protocols.spatial.store import SectionsStore
from protocols.spatial.windows import lay_windows
from protocols.splitting import read_split
from protocols.survival.store import PatientStore
from suite.bulk.fold import section_genes
from suite.bulk.sections import sections_config
from suite.bulk.spatial_scoring import evaluated_genes, module_genes
from suite.bulk.submissions import EXTERNAL
from suite.config import Config
from suite.ihc.units import unit_parts
from suite.places import BULK, COHORT, PATIENTS, SECTIONS, SPLITS


def write_units(config: Config, protocol: str, out: Path) -> int:
    """Write who is trained on and who must be predicted as CSV; returns the number of rows.

    Columns: fold, role (train or test) and slide, cell_id, x_px, y_px; of a survival protocol cohort, fold, role,
    patient; of ``tcga_expression`` cohort, fold, role (train, validation, test), slide, patient, external cohorts under
    the fold ``external``; of ``gbm_spatial`` section, row, column, x_um, y_um (a tile's centre on the section's image)
    of the tiles that a window covers; of ``ihc4bc`` those of :data:`suite.ihc.units.COLUMNS`. Of the two protocols of
    bulk expression the genes go into ``<out>_genes.csv``: cohort or section, gene.
    """
    task = task_of(protocol)
    if task == "image":
        return _write_parts(out, unit_parts(config))
    if protocol == "gbm_spatial":
        table = _tiles()
    elif task == "bulk":
        table = _slides(config)
    else:
        table = _patients(config, protocol) if task == "survival" else _cells(protocol)
    if task == "bulk":
        _write(genes_file(out), _genes(config, protocol))
    _write(out, table)
    return len(table)


def _write_parts(out: Path, parts: Iterable[pd.DataFrame]) -> int:
    """One table after another: all tiles of a large cohort need not be in memory at once."""
    written = 0
    with written_whole(out) as part, part.open("w", encoding="utf-8", newline="") as file:
        for table in parts:
            table.to_csv(file, index=False, header=not written)
            written += len(table)
    return written


def genes_file(out: Path) -> Path:
    """Where the genes lie that belong to the units in ``out``."""
    return out.with_name(f"{out.name.removesuffix('.gz').removesuffix('.csv')}_genes.csv")


def _write(out: Path, table: pd.DataFrame) -> None:
    with written_whole(out) as part:
        table.to_csv(part, index=False)


def _cells(protocol: str) -> pd.DataFrame:
    store = CohortStore(COHORT)
    split, _ = read_split(SPLITS / protocol)
    parts = [
        store.units.iloc[rows].assign(fold=fold.name, role=role)
        for fold in split.folds
        for role, rows in (("train", fold.train), ("test", fold.test))
    ]
    return pd.concat(parts)[["fold", "role", "slide", "cell_id", "x_px", "y_px"]]


def _patients(config: Config, protocol: str) -> pd.DataFrame:
    parts = []
    for name in config.survival.cohorts:
        patients = np.array(PatientStore(PATIENTS / name).patients)
        split, _ = read_split(SPLITS / protocol / name)
        parts += [
            pd.DataFrame({"cohort": name, "fold": fold.name, "role": role, "patient": patients[rows]})
            for fold in split.folds
            for role, rows in (("train", fold.train), ("test", fold.test))
        ]
    return pd.concat(parts)


def _slides(config: Config) -> pd.DataFrame:
    parts = []
    for name in config.bulk.discovery:
        store = BulkStore(BULK / name)
        for fold in read_bulk_split(SPLITS / "tcga_expression" / name)[0]:
            for role, patients in zip(ROLES, fold.roles(), strict=True):
                parts.append(_slides_of(store, name, fold.name, role, store.slides_of(patients)))
        for other in config.bulk.external_of(name):
            found = BulkStore(BULK / other)
            parts.append(_slides_of(found, other, EXTERNAL, "test", np.arange(len(found.slides), dtype=np.int64)))
    return pd.concat(parts)


def _slides_of(store: BulkStore, cohort: str, fold: str, role: str, rows: RowArray) -> pd.DataFrame:
    slides = [store.slides[row] for row in rows.tolist()]
    named = {"slide": [one.slide for one in slides], "patient": [one.patient for one in slides]}
    return pd.DataFrame({"cohort": cohort, "fold": fold, "role": role, **named})


def _tiles() -> pd.DataFrame:
    store, parts = SectionsStore(SECTIONS), []
    for number, name in enumerate(store.names):
        section = store.section(number)
        covered = lay_windows(section.row, section.column, store.window, store.stride).covered
        row, column = section.row[covered], section.column[covered]
        # Tiles lie side by side from the image's corner.
        centre = {"x_um": (column + 0.5) * store.tile_um, "y_um": (row + 0.5) * store.tile_um}
        parts.append(pd.DataFrame({"section": name, "row": row, "column": column, **centre}))
    return pd.concat(parts)


def _genes(config: Config, protocol: str) -> pd.DataFrame:
    """The genes to predict: all that a cohort measures, and of an external one those that both have."""
    if protocol == "gbm_spatial":
        return _genes_of_sections(config)
    parts = []
    for name in config.bulk.discovery:
        genes = BulkStore(BULK / name).genes
        parts.append(pd.DataFrame({"cohort": name, "gene": list(genes)}))
        for other in config.bulk.external_of(name):
            there = set(BulkStore(BULK / other).genes)
            parts.append(pd.DataFrame({"cohort": other, "gene": [gene for gene in genes if gene in there]}))
    return pd.concat(parts)


def _genes_of_sections(config: Config) -> pd.DataFrame:
    """Those that every model is scored on and those of the meta-modules, where section and cohort measure them."""
    entry, sections = sections_config(config), SectionsStore(SECTIONS)
    store, wanted = BulkStore(BULK / entry.of), {*evaluated_genes(config), *module_genes(entry.modules)}
    parts = []
    for number, name in enumerate(sections.names):
        both = section_genes(store, sections.section(number).genes)
        parts.append(pd.DataFrame({"section": name, "gene": [gene for gene in both if gene in wanted]}))
    return pd.concat(parts)
