"""Folds of a patch cohort by patient, the same for every marker: neighbouring patches share half of their pixels."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.contract import RowArray
from protocols.errors import UserError
from protocols.files import write_text_whole, written_whole
from protocols.ihc.store import IhcStore
from protocols.protocol import Exclusion
from protocols.seeds import generator
from protocols.splitting import ROWS_FILE, SPLIT_FILE

FOLDS = 5
VALIDATION_SHARE = 0.1
ROLES = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class IhcFold:
    """Patches of the store (all markers), ascending, by role. No patient is in two of them."""

    name: str
    train: RowArray
    validation: RowArray
    test: RowArray

    def roles(self) -> tuple[RowArray, RowArray, RowArray]:
        """Rows by role, in the order of ``ROLES``."""
        return self.train, self.validation, self.test


@dataclass(frozen=True, eq=False)
class IhcSplit:
    """Folds in which every known patient is tested once; ``excluded`` are the patches of unknown patients."""

    folds: tuple[IhcFold, ...]
    excluded: tuple[Exclusion, ...] = ()


def patient_folds(
    store: IhcStore, seed: int = 0, folds: int = FOLDS, validation_share: float = VALIDATION_SHARE
) -> IhcSplit:
    """Folds by patient, balanced by each marker's number of patches.

    Patients, largest first (equal ones in an order drawn by ``seed``), go where the squared shares of the markers'
    patches stay least. Of the others of a fold, patients in an order drawn anew are kept for stopping until every
    marker has ``validation_share`` of its training patches there; one patient at least is left to train.
    A patch whose patient is unknown might be of anyone, so it is in no fold.
    """
    known = store.patient != ""
    counts = {marker: _patches_of(store, (store.marker == marker) & known) for marker in store.markers}
    for marker, of in counts.items():
        present = sum(number > 0 for number in of.values())
        # A fold leaves two patients at least: one to train and one to stop on.
        if folds < 2 or present < max(folds, 4 if folds == 2 else 3):
            raise UserError(
                f"{present} patients of {marker} for {folds} folds",
                where=f"the folds of {store.name}",
                expected="2 folds or more, at least as many patients as folds, and at least 3 (4 for 2 folds)",
                remedy="use more patients, fewer folds or fewer markers",
            )
    shares = _shares(store.patients, counts)
    fold_of = _balanced(shares, folds, generator(seed, "ihc folds"))
    place = {patient: row for row, patient in enumerate(store.patients)}
    owner = np.array([place.get(str(patient), -1) for patient in store.patient], dtype=np.int64)
    made = []
    for index in range(folds):
        rest = np.flatnonzero(fold_of != index)
        kept = _stopping(shares, rest, validation_share, generator(seed, "ihc validation", index))
        parts = (np.setdiff1d(rest, kept), kept, np.flatnonzero(fold_of == index))
        made.append(IhcFold(str(index), *(np.flatnonzero(np.isin(owner, part)).astype(np.int64) for part in parts)))
    names = zip(store.marker[~known], store.name_of[~known], strict=True)
    return IhcSplit(tuple(made), tuple(Exclusion(f"{m} patch {name}", "patient unknown") for m, name in names))


def _patches_of(store: IhcStore, chosen: NDArray[np.bool_]) -> dict[str, int]:
    patients, numbers = np.unique(store.patient[chosen], return_counts=True)
    found = dict(zip(patients.tolist(), numbers.tolist(), strict=True))
    return {patient: found.get(patient, 0) for patient in store.patients}


def _shares(patients: Iterable[str], counts: Mapping[str, Mapping[str, int]]) -> NDArray[np.float64]:
    """Each patient's share of each marker's patches, ``(patients, markers)``."""
    table = np.array([[of[patient] for of in counts.values()] for patient in patients], dtype=np.float64)
    return np.asarray(table / table.sum(axis=0), dtype=np.float64)


def _balanced(shares: NDArray[np.float64], folds: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The fold of each patient; every fold gets a patient of every marker where there are enough."""
    fold_of = np.full(len(shares), -1, dtype=np.int64)
    load = np.zeros((folds, shares.shape[1]))
    drawn = rng.permutation(len(shares))
    for patient in drawn[np.argsort(-shares[drawn].max(axis=1), kind="stable")]:
        cost = np.square(load + shares[patient]).sum(axis=1) - np.square(load).sum(axis=1)
        fold_of[patient] = int(np.argmin(cost))
        load[fold_of[patient]] += shares[patient]
    return fold_of


def _stopping(
    shares: NDArray[np.float64], rest: NDArray[np.int64], share: float, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Training patients kept for stopping: enough of every marker's patches, and never a marker's last patient."""
    wanted = share * shares[rest].sum(axis=0)
    kept: list[int] = []
    held, left = np.zeros(shares.shape[1]), (shares[rest] > 0).sum(axis=0)
    for patient in rng.permutation(rest).tolist():
        has = shares[patient] > 0
        if (has & (held < wanted)).any() and (left[has] > 1).all():
            kept.append(patient)
            held += shares[patient]
            left -= has
    return np.sort(np.array(kept, dtype=np.int64))


def write_ihc_split(
    folder: Path,
    split: IhcSplit,
    *,
    protocol: str,
    version: str,
    cohort: str,
    seed: int,
    patients: Sequence[str],
    validation_share: float = VALIDATION_SHARE,
) -> str:
    """Write ``rows.parquet`` (fold, role 0 train 1 validation 2 test, row) and ``split.json``; returns the hash.

    ``cohort`` is the stored cohort's hash. The split's hash is of its meaning: the record and every row.
    """
    table = _rows_table(split.folds)
    record: dict[str, Any] = {
        "protocol": protocol,
        "version": version,
        "cohort": cohort,
        "settings": {"seed": seed, "folds": len(split.folds), "validation_share": validation_share},
        "patients": list(patients),
        "folds": [
            {"name": fold.name} | {f"n_{role}": len(rows) for role, rows in zip(ROLES, fold.roles(), strict=True)}
            for fold in split.folds
        ],
        "excluded": [asdict(item) for item in split.excluded],
    }
    digest = _hash(record, table)
    with written_whole(folder / ROWS_FILE) as part:
        table.to_parquet(part, compression="zstd", index=False)
    write_text_whole(folder / SPLIT_FILE, json.dumps(record | {"hash": digest}, indent=1, sort_keys=True) + "\n")
    return digest


def read_ihc_split(folder: Path) -> tuple[IhcSplit, dict[str, Any]]:
    """The split and the whole record of ``split.json``, once its hash was found to be that of the rows."""
    try:
        record: dict[str, Any] = json.loads((folder / SPLIT_FILE).read_text(encoding="utf-8"))
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
        folds.append(IhcFold(described["name"], *rows))
    return IhcSplit(tuple(folds), tuple(Exclusion(**item) for item in record["excluded"])), record


def _rows_table(folds: Sequence[IhcFold]) -> pd.DataFrame:
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
