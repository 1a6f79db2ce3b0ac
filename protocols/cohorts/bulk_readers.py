"""Readers of bulk expression by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from protocols.bulk.cohort import BulkCohort
from protocols.cohorts.gdc import read_gdc
from protocols.cohorts.gtex import read_gtex
from protocols.cohorts.reference_table import read_reference_table
from protocols.errors import UserError, look_up, refuse_unknown_keys

READERS: dict[str, Callable[..., BulkCohort]] = {
    "gdc": read_gdc,
    "gtex": read_gtex,
    "reference_table": read_reference_table,
}


def read_bulk(name: str, reader: str, root: Path, options: Mapping[str, Any]) -> BulkCohort:
    """Read and check a cohort; ``options`` are the reader's keyword arguments, and an unknown one is an error."""
    read = look_up(reader, READERS, kind="reader of bulk expression", where=f"cohort {name}")
    known = {
        key: value for key, value in inspect.signature(read).parameters.items() if value.kind is value.KEYWORD_ONLY
    }
    refuse_unknown_keys(options, known, where=f"files of cohort {name}")
    for key, parameter in known.items():
        if parameter.default is parameter.empty and key not in options:
            raise UserError(
                f"no {key}", where=f"files of cohort {name}", expected=f"it, for the reader {reader}", remedy="set it"
            )
    return read(name, root, **options)
