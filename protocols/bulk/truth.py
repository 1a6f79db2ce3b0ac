"""What a phantom knows of its patients and sections: tables beside the cohort, for oracles and scoring alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from protocols.errors import UserError
from protocols.names import safe_name
from protocols.readers import checks

SECTIONS, LOADINGS_FILE = "sections", "section_loadings.parquet"
CELL_COLUMNS, LAW_COLUMNS = ("x_um", "y_um", "kind"), ("gene", "visible_share")
OF_ANOTHER = "set the cohort's truth to what was generated with it"


def of_patients(truth: Path, patients: Sequence[str], genes: Sequence[str]) -> pd.DataFrame:
    """What the phantom expects of each of ``patients`` (who may repeat), one column a gene, in the order asked for."""
    table = checks.read_parquet(truth, ("patient", *genes), "truth").set_index("patient")
    return _rows(table, patients, "patients", truth)[list(genes)]


def of_section(truth: Path, section: str) -> pd.DataFrame:
    """A section's cells: x_um, y_um, kind and look_0 ...; its name is a manifest's, so it is checked here, too."""
    name = safe_name(section, kind="section", where=truth)
    return _whole(truth / SECTIONS / f"{name}.parquet", CELL_COLUMNS)


def of_genes(truth: Path, genes: Sequence[str]) -> pd.DataFrame:
    """How cells make each gene's signal: kind_0 ..., look_0 ..., and the share of it that is visible."""
    path = truth / LOADINGS_FILE
    return _rows(_whole(path, LAW_COLUMNS).set_index("gene"), genes, "genes", path)


def _rows(table: pd.DataFrame, wanted: Sequence[str], what: str, path: Path) -> pd.DataFrame:
    missing = sorted(set(wanted) - set(table.index))
    if missing:
        raise UserError(
            f"no truth for {len(missing)} of {len(set(wanted))} {what}, first {missing[0]}",
            where=path,
            expected="the truth of this very cohort",
            remedy=OF_ANOTHER,
        )
    return table.loc[list(wanted)]


def _whole(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    from pyarrow import ArrowException

    checks.require_file(path, "truth")
    try:
        table: pd.DataFrame = pd.read_parquet(path)
    except (ArrowException, OSError, ValueError) as error:
        raise checks.damaged(path, "parquet", error) from error
    checks.require_columns([str(name) for name in table.columns], columns, where=path)
    return table
