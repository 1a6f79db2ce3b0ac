"""Folds by patient: the published ones where a cohort has them, else stratified by event and time."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from protocols.contract import RowArray
from protocols.errors import UserError
from protocols.files import write_text_whole, written_whole
from protocols.protocol import Exclusion, Fold, Split
from protocols.seeds import generator
from protocols.splitting import ROWS_FILE, SPLIT_FILE
from protocols.survival.protocol import SurvivalProtocol
from protocols.survival.store import PatientStore

TIME_STRATA = 4


def make_split(store: PatientStore, *, folds: int, seed: int) -> Split:
    """Train and test rows of every fold; a patient whom no published fold tests is left out, by name."""
    if store.folds is None:
        return Split(tuple(_fold(str(k), store, test) for k, test in enumerate(stratified(store, folds, seed))))
    made = []
    for fold in store.folds:
        made.append(Fold(fold.name, fold.name, store.rows_of(fold.train), store.rows_of(fold.test), ()))
    tested = {row for fold in made for row in fold.test.tolist()}
    never = [store.patients[row] for row in range(len(store)) if row not in tested]
    return Split(tuple(made), tuple(Exclusion(f"patient {name}", "no published fold tests them") for name in never))


def _fold(name: str, store: PatientStore, test: RowArray) -> Fold:
    return Fold(name, name, np.setdiff1d(np.arange(len(store), dtype=np.int64), test), test, ())


def stratified(store: PatientStore, folds: int, seed: int) -> list[RowArray]:
    """Test rows of each fold: patients are shuffled inside (event, quartile of time) and dealt out in turn.

    Dealing goes on from one stratum to the next, so that folds differ in size by one patient at most.
    """
    if len(store) < 2 * folds:
        raise UserError(
            f"{len(store)} patients", where=f"cohort {store.info.name}", expected=f"at least {2 * folds}",
            remedy="use a larger cohort",
        )  # fmt: skip
    rng = generator(seed, "survival folds", store.info.name)
    dealt: list[int] = []
    for event in (True, False):
        members = np.flatnonzero(store.event == event)
        if not len(members):
            continue
        edges = np.quantile(store.time[members], np.linspace(0, 1, TIME_STRATA + 1)[1:-1])
        stratum = np.searchsorted(edges, store.time[members], side="right")
        for level in range(TIME_STRATA):
            dealt += rng.permutation(members[stratum == level]).tolist()
    order = np.array(dealt, dtype=np.int64)
    return [np.sort(order[k::folds]) for k in range(folds)]


def write_survival_split(
    folder: Path, protocol: SurvivalProtocol, split: Split, store: PatientStore, *, seed: int
) -> str:
    """Write the split in the format of :func:`protocols.splitting.read_split`; returns its hash."""
    parts = [
        pd.DataFrame({"fold": np.int32(index), "role": np.int32(role), "row": rows})
        for index, fold in enumerate(split.folds)
        for role, rows in enumerate((fold.train, fold.test))
    ]
    table = pd.concat(parts, ignore_index=True)
    record = {
        "protocol": protocol.name,
        "version": protocol.version,
        "cohort": store.hash,
        "settings": {"seed": seed, "folds": protocol.folds, "published": store.folds is not None},
        "folds": [
            {"name": f.name, "group": f.group, "genes": [], "n_train": len(f.train), "n_test": len(f.test)}
            for f in split.folds
        ],
        "excluded": [asdict(item) for item in split.excluded],
    }
    digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode())
    digest.update(np.ascontiguousarray(table.to_numpy(np.int64)).tobytes())
    with written_whole(folder / ROWS_FILE) as part:
        table.to_parquet(part, compression="zstd", index=False)
    write_text_whole(
        folder / SPLIT_FILE, json.dumps(record | {"hash": digest.hexdigest()}, indent=1, sort_keys=True) + "\n"
    )
    return digest.hexdigest()
