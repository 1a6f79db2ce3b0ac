"""Stage ``split``: the protocol's folds, as files with a hash."""

from __future__ import annotations

from protocols import load_protocol
from protocols.cohorts.store import CohortStore
from protocols.splitting import write_split
from suite.config import Config
from suite.places import COHORT, SPLITS


def run(config: Config, protocol_name: str) -> str:
    """Write ``runs/splits/<protocol>``; returns the split's hash."""
    protocol = load_protocol(protocol_name)
    store, settings = CohortStore(COHORT), config.split_settings()
    return write_split(SPLITS / protocol.name, protocol, protocol.split(store, settings), store, settings)
