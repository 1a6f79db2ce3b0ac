"""Five folds by patient with a tenth kept for stopping: the recipe behind SEQUOIA's published splits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from protocols.contract import RowArray
from protocols.errors import UserError
from protocols.files import write_text_whole, written_whole
from protocols.protocol import Exclusion
from protocols.splitting import ROWS_FILE, SPLIT_FILE

VALIDATION_SHARE = 0.1
ROLES = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class BulkFold:
    """Rows of the sorted patients, ascending: trained on, kept for stopping, tested. No row is in two of them."""

    name: str
    train: RowArray
    validation: RowArray
    test: RowArray

    def roles(self) -> tuple[RowArray, RowArray, RowArray]:
        """Rows by role, in the order of ``ROLES``."""
        return self.train, self.validation, self.test


def published_folds(patients: Iterable[str], seed: int = 0, folds: int = 5) -> list[BulkFold]:
    """Folds over the sorted unique patients: shuffled KFold, then a tenth of each training part for validation.

    With seed 0 and the patients of a TCGA project these are the published splits of SEQUOIA (16 cancers, 5 folds).
    scikit-learn's own ``KFold`` and ``train_test_split`` are used, both with ``seed``: their draws are the recipe.
    """
    from sklearn.model_selection import KFold, train_test_split

    number = len(set(patients))
    if folds < 2 or number < 2 * folds:
        raise UserError(
            f"{number} patients for {folds} folds",
            where="the folds",
            expected="2 folds or more, and twice as many patients",
            remedy="use a larger cohort or fewer folds",
        )
    made = []
    rows = np.arange(number, dtype=np.int64)
    for index, (rest, test) in enumerate(KFold(folds, shuffle=True, random_state=seed).split(rows)):
        train, validation = train_test_split(rows[rest], test_size=VALIDATION_SHARE, random_state=seed)
        made.append(BulkFold(str(index), np.sort(train), np.sort(validation), np.sort(rows[test])))
    return made


def write_bulk_split(
    folder: Path,
    folds: Sequence[BulkFold],
    *,
    protocol: str,
    version: str,
    cohort: str,
    seed: int,
    patients: Sequence[str],
    excluded: Sequence[Exclusion] = (),
) -> str:
    """Write ``rows.parquet`` (fold, role 0 train 1 validation 2 test, row) and ``split.json``; returns the hash.

    ``cohort`` is the stored cohort's hash. The split's hash is of its meaning: the record and every row.
    """
    table = _rows_table(folds)
    record: dict[str, Any] = {
        "protocol": protocol,
        "version": version,
        "cohort": cohort,
        "settings": {"seed": seed, "folds": len(folds), "validation_share": VALIDATION_SHARE},
        "patients": list(patients),
        "folds": [
            {"name": fold.name} | {f"n_{role}": len(rows) for role, rows in zip(ROLES, fold.roles(), strict=True)}
            for fold in folds
        ],
        "excluded": [asdict(item) for item in excluded],
    }
    digest = _hash(record, table)
    with written_whole(folder / ROWS_FILE) as part:
        table.to_parquet(part, compression="zstd", index=False)
    write_text_whole(folder / SPLIT_FILE, json.dumps(record | {"hash": digest}, indent=1, sort_keys=True) + "\n")
    return digest


def read_bulk_split(folder: Path) -> tuple[list[BulkFold], dict[str, Any]]:
    """The folds and the whole record of ``split.json``, once its hash was found to be that of the rows."""
    try:
        record: dict[str, Any] = json.loads((folder / SPLIT_FILE).read_text())
        table = pd.read_parquet(folder / ROWS_FILE)
    except FileNotFoundError:
        raise UserError(
            "no split here", where=folder, expected=f"{SPLIT_FILE} and {ROWS_FILE}", remedy="run `dvc repro`"
        ) from None
    if _hash({key: value for key, value in record.items() if key != "hash"}, table) != record.get("hash"):
        raise UserError(
            "the split was altered", where=folder, expected="the rows that its hash was made of", remedy="write it anew"
        )
    folds = []
    for index, described in enumerate(record["folds"]):
        of_fold = table[table["fold"] == index]
        rows = [of_fold.loc[of_fold["role"] == role, "row"].to_numpy(np.int64) for role in range(len(ROLES))]
        folds.append(BulkFold(described["name"], *rows))
    return folds, record


def _rows_table(folds: Sequence[BulkFold]) -> pd.DataFrame:
    """Columns fold, role, row; sorted by all three."""
    parts = [
        pd.DataFrame({"fold": np.int32(index), "role": np.int32(role), "row": rows.astype(np.int64)})
        for index, fold in enumerate(folds)
        for role, rows in enumerate(fold.roles())
    ]
    if not parts:
        raise UserError("no fold", where="the split", expected="at least one", remedy="make folds first")
    return pd.concat(parts, ignore_index=True)


def _hash(record: dict[str, Any], table: pd.DataFrame) -> str:
    digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode())
    digest.update(np.ascontiguousarray(table[["fold", "role", "row"]].to_numpy(np.int64)).tobytes())
    return digest.hexdigest()
