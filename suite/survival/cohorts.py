"""The cohorts of patients that ``params.yaml`` names: read, tiled, and looked up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.cohorts.patient_readers import PatientSource, read_patients
from protocols.cohorts.tissue_tiles import tile_slide
from protocols.errors import UserError, look_up
from protocols.files import written_whole
from protocols.survival.store import PatientStore, write_patient_store
from suite.config import Config, PatientCohortConfig
from suite.places import PATIENTS
from suite.progress import track

TILES_FILE = "tiles.parquet"


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
    with written_whole(PATIENTS / name / TILES_FILE) as part:
        _tiles(config, store, entry.root).to_parquet(part, compression="zstd", index=False)
    return store


def _tiles(config: Config, store: PatientStore, root: Path) -> pd.DataFrame:
    """One row a tile: slide (its number in the store), x_px, y_px (centre, level 0) and mpp; sorted by slide."""
    tile = config.survival.tile
    tables = []
    images = [(number, slide) for number, slide in enumerate(store.slides) if slide.kind == "image"]
    for number, slide in track(images, f"{store.info.name}: tiling slides"):
        found = tile_slide(
            root / slide.path,
            um=tile.um,
            mpp=slide.mpp,
            tissue=tile.tissue,
            max_tiles=tile.max_tiles,
            seed=config.seed,
        )
        x, y = found.centres.T
        tables.append(pd.DataFrame({"slide": np.int32(number), "x_px": x, "y_px": y, "mpp": found.mpp}))
    empty = pd.DataFrame({"slide": np.zeros(0, np.int32), "x_px": np.zeros(0), "y_px": np.zeros(0), "mpp": np.zeros(0)})
    return pd.concat(tables, ignore_index=True) if tables else empty


@dataclass(frozen=True)
class Tiles:
    """All tiles of a cohort, slide by slide: ``slide`` ``(n,)`` numbers ``PatientStore.slides``."""

    slide: NDArray[np.int32]
    xy_px: NDArray[np.float64]
    mpp: dict[int, float]

    def __len__(self) -> int:
        return len(self.slide)

    def rows_of(self, number: int) -> slice:
        """The tiles of one slide; they lie together."""
        start, stop = np.searchsorted(self.slide, [number, number + 1])
        return slice(int(start), int(stop))


def read_tiles(name: str) -> Tiles:
    """The tiles that :func:`read_cohort` wrote."""
    table = pd.read_parquet(PATIENTS / name / TILES_FILE)
    slide = table["slide"].to_numpy(np.int32)
    first = np.unique(slide, return_index=True)
    mpp = {int(number): float(table["mpp"].iloc[at]) for number, at in zip(*first, strict=True)}
    return Tiles(slide, table[["x_px", "y_px"]].to_numpy(np.float64), mpp)
