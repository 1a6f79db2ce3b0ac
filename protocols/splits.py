"""Who is trained on, kept for stopping and tested: one form for every task, and the sealed folder it is kept in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from protocols.contract import RowArray
from protocols.sealed import Seal, read_seal

ROLES = ("train", "validation", "test")
SPLIT_FILE, ROWS_FILE = "split.json", "rows.parquet"
KIND = "split"


def no_rows() -> RowArray:
    return np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Fold:
    """One partition of a cohort's rows; each role's rows ascend. Folds of one ``group`` share one pre-training set:
    the union of their training rows. ``validation`` is kept for stopping; ``genes`` are chosen on training rows alone.
    """

    name: str
    group: str
    train: RowArray
    test: RowArray
    genes: tuple[str, ...] = ()
    validation: RowArray = field(default_factory=no_rows)

    def roles(self) -> dict[str, RowArray]:
        """Rows by role, in the order of ``ROLES``; a fold that keeps nobody for stopping has two."""
        found = {"train": self.train, "validation": self.validation, "test": self.test}
        return {role: rows for role, rows in found.items() if role != "validation" or len(rows)}


def every_role(fold: Fold) -> tuple[RowArray, RowArray, RowArray]:
    """Rows by role in the order of ``ROLES``, whether or not anybody is kept for stopping."""
    return fold.train, fold.validation, fold.test


@dataclass(frozen=True)
class Exclusion:
    """Something of the cohort that the protocol does not use, and why."""

    what: str
    reason: str


@dataclass(frozen=True, eq=False)
class Split:
    """Everything a protocol decides about who is trained on and who is tested; no folds: it cannot be asked here."""

    folds: tuple[Fold, ...]
    excluded: tuple[Exclusion, ...] = ()

    def groups(self) -> dict[str, list[Fold]]:
        """Folds by group, both in order of first appearance."""
        found: dict[str, list[Fold]] = {}
        for fold in self.folds:
            found.setdefault(fold.group, []).append(fold)
        return found


def write_split_files(folder: Path, split: Split) -> None:
    told = {
        "folds": [
            {"name": fold.name, "group": fold.group, "genes": list(fold.genes)}
            | {f"n_{role}": len(rows) for role, rows in fold.roles().items()}
            for fold in split.folds
        ],
        "excluded": [asdict(item) for item in split.excluded],
    }
    _rows_table(split).to_parquet(folder / ROWS_FILE, compression="zstd", index=False)
    (folder / SPLIT_FILE).write_text(json.dumps(told, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def read_split(path: Path, *, of: Mapping[str, str] | None = None) -> tuple[Split, Seal]:
    """The split and its seal, verified."""
    seal = read_seal(path, KIND, of=of)
    told: dict[str, Any] = json.loads((path / SPLIT_FILE).read_text(encoding="utf-8"))
    table = pd.read_parquet(path / ROWS_FILE)
    place, role, row = (table[name].to_numpy() for name in ("fold", "role", "row"))
    edges = np.searchsorted(place * len(ROLES) + role, np.arange(len(ROLES) * len(told["folds"]) + 1))
    folds = []
    for index, fold in enumerate(told["folds"]):
        train, validation, test = (
            row[edges[len(ROLES) * index + k] : edges[len(ROLES) * index + k + 1]].astype(np.int64) for k in range(3)
        )
        folds.append(Fold(fold["name"], fold["group"], train, test, tuple(fold["genes"]), validation))
    return Split(tuple(folds), tuple(Exclusion(**item) for item in told["excluded"])), seal


def _rows_table(split: Split) -> pd.DataFrame:
    """Columns fold, role (place in ``ROLES``), row; sorted by all three."""
    parts: list[tuple[int, int, RowArray]] = [
        (index, ROLES.index(role), rows)
        for index, fold in enumerate(split.folds)
        for role, rows in fold.roles().items()
    ]
    sizes = [len(rows) for _, _, rows in parts]
    return pd.DataFrame(
        {
            "fold": np.repeat(np.array([index for index, _, _ in parts], dtype=np.int32), sizes),
            "role": np.repeat(np.array([role for _, role, _ in parts], dtype=np.int32), sizes),
            "row": np.concatenate([no_rows(), *(rows for _, _, rows in parts)]),
        }
    )
