"""The cohorts of patients that ``params.yaml`` names: read, tiled, and looked up."""

from __future__ import annotations

from protocols.cohorts.patient_readers import PatientSource, read_patients
from protocols.errors import UserError, look_up
from protocols.survival.store import PatientStore, write_patient_store
from suite.config import Config, PatientCohortConfig
from suite.places import PATIENTS
from suite.tiling import lay_tiles, write_tiles


def cohort_config(config: Config, name: str) -> PatientCohortConfig:
    return look_up(name, config.survival.cohorts, kind="cohort of patients", where="survival.cohorts")


def read_cohort(config: Config, name: str) -> PatientStore:
    """Read one cohort into ``runs/patients/<name>`` and lay tiles over the tissue of its slides."""
    entry = cohort_config(config, name)
    if not entry.root.exists():
        raise UserError(
            "no such file or folder",
            where=entry.root,
            expected=f"the files of cohort {name}",
            remedy=f"run `dvc pull`, or set survival.cohorts.{name}.root",
        )
    source = PatientSource(
        name=name,
        reader=entry.reader,
        root=entry.root,
        table=entry.table,
        outcome=entry.outcome,
        clinical=entry.clinical,
        genomic=entry.genomic,
        slides=entry.slides,
        signatures=entry.signatures,
        splits=entry.splits,
        endpoint=entry.endpoint,
    )
    store = write_patient_store(
        PATIENTS / name, read_patients(source), phantom=entry.truth is not None, root=entry.root
    )
    write_tiles(PATIENTS / name, lay_tiles(name, store.slides, entry.root, config.survival.tile, config.seed))
    return store
