"""Some cells of one slide, truth and prediction side by side, gathered from folds that arrive in any order.

Which cells are kept beyond the cap follows from their ids alone, so that every model is shown on the same ones and
the order of arrival does not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.seeds import derive_seed


@dataclass(frozen=True)
class SampledCells:
    """Cells of one slide and the genes that are scored in every one of its folds; arrays in one row order."""

    genes: tuple[str, ...]
    fold: NDArray[np.str_]
    xy_um: NDArray[np.float32]
    truth: NDArray[np.float32]
    predicted: NDArray[np.float32]
    rare_label: NDArray[np.bool_] | None


@dataclass
class SlideSample:
    """Collects at most ``cap`` cells (twice that while collecting)."""

    slide: str
    seed: int
    cap: int
    _parts: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self,
        fold: str,
        genes: tuple[str, ...],
        cell_id: NDArray[Any],
        xy_um: NDArray[np.float32],
        truth: NDArray[np.float32],
        predicted: NDArray[np.float32],
        rare_label: NDArray[np.bool_] | None,
    ) -> None:
        part = {
            "fold": fold,
            "genes": genes,
            "key": self._keys(cell_id),
            "xy_um": xy_um,
            "truth": truth,
            "predicted": predicted,
            "rare": rare_label,
        }
        self._parts.append(part)
        if sum(len(p["key"]) for p in self._parts) > 2 * self.cap:
            self._trim()

    def cells(self) -> SampledCells:
        """The kept cells, sorted by fold and key."""
        self._trim()
        parts = sorted((p for p in self._parts if len(p["key"])), key=lambda p: str(p["fold"]))
        common = set.intersection(*(set(p["genes"]) for p in parts)) if parts else set()
        genes = tuple(sorted(common))
        columns = [_columns(p["genes"], genes) for p in parts]
        rows = [np.argsort(p["key"], kind="stable") for p in parts]
        annotated = bool(parts) and all(p["rare"] is not None for p in parts)
        no_values = np.empty((0, len(genes)), dtype=np.float32)

        def joined(name: str, empty: NDArray[Any]) -> NDArray[Any]:
            return np.concatenate([empty, *(p[name][r] for p, r in zip(parts, rows, strict=True))])

        def values(name: str) -> NDArray[np.float32]:
            return np.concatenate(
                [no_values, *(p[name][r][:, c] for p, r, c in zip(parts, rows, columns, strict=True))]
            )

        return SampledCells(
            genes=genes,
            fold=np.repeat([str(p["fold"]) for p in parts], [len(p["key"]) for p in parts]),
            xy_um=joined("xy_um", np.empty((0, 2), dtype=np.float32)),
            truth=values("truth"),
            predicted=values("predicted"),
            rare_label=joined("rare", np.empty(0, dtype=bool)) if annotated else None,
        )

    def _keys(self, cell_id: NDArray[Any]) -> NDArray[np.uint64]:
        salt = f"{derive_seed(self.seed, 'slide sample', self.slide):016x}"
        names = np.asarray(cell_id).astype(str).astype(object)
        return pd.util.hash_array(names, hash_key=salt, categorize=False)

    def _trim(self) -> None:
        keys = np.concatenate([p["key"] for p in self._parts]) if self._parts else np.empty(0, dtype=np.uint64)
        if len(keys) <= self.cap:
            return
        limit = np.partition(keys, self.cap - 1)[self.cap - 1]
        for part in self._parts:
            kept = part["key"] <= limit
            for name in ("key", "xy_um", "truth", "predicted", "rare"):
                part[name] = None if part[name] is None else part[name][kept]


def _columns(have: tuple[str, ...], want: tuple[str, ...]) -> NDArray[np.int64]:
    at = {gene: i for i, gene in enumerate(have)}
    return np.array([at[gene] for gene in want], dtype=np.int64)


def marker_gene(cells: SampledCells, preferred: Sequence[str]) -> str | None:
    """The gene to map, chosen from the TRUTH alone: the first preferred one that varies, else the most variable."""
    if not len(cells.truth) or not cells.genes:
        return None
    complete = ~np.isnan(cells.truth).any(axis=0)
    variance = np.where(complete, np.where(complete, cells.truth, 0.0).var(axis=0, dtype=np.float64), 0.0)
    for gene in preferred:
        if gene in cells.genes and variance[cells.genes.index(gene)] > 0:
            return gene
    return cells.genes[int(np.argmax(variance))] if variance.max() > 0 else None
