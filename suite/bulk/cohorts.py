"""The cohorts with bulk expression that ``params.yaml`` names: read, tiled, and looked up."""

from __future__ import annotations

from protocols.bulk.store import BulkStore, write_bulk_store
from protocols.cohorts.bulk_readers import read_bulk
from protocols.errors import UserError, look_up
from suite.config import BulkCohortConfig, Config
from suite.places import BULK
from suite.tiling import lay_tiles, write_tiles


def bulk_config(config: Config, name: str) -> BulkCohortConfig:
    return look_up(name, config.bulk.cohorts, kind="cohort of bulk expression", where="bulk.cohorts")


def read_bulk_cohort(config: Config, name: str) -> BulkStore:
    """Read one cohort into ``runs/bulk/<name>`` and lay tiles over the tissue of its slides."""
    entry = bulk_config(config, name)
    if not entry.root.exists():
        raise UserError(
            "no such folder",
            where=entry.root,
            expected=f"the files of cohort {name}",
            remedy=f"run `dvc pull`, or set bulk.cohorts.{name}.root",
        )
    cohort = read_bulk(name, entry.reader, entry.root, entry.files)
    store = write_bulk_store(BULK / name, cohort, phantom=entry.truth is not None, root=entry.root)
    write_tiles(BULK / name, lay_tiles(name, store.slides, entry.root, config.bulk.tile, config.seed))
    return store
