"""Tables and means of scored blocks: what stands between per-gene scores and a score record."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from protocols.metrics.correlation import DEFINED, Float64Array, GeneScores, PearsonAccumulator, State, mean_over_genes
from protocols.metrics.hierarchy import patient_means

if TYPE_CHECKING:
    import pandas as pd

Reachable = Mapping[tuple[str, str], tuple[float, float]]


@dataclass(frozen=True)
class BlockScores:
    """What is kept of a block (one fold's test cells of one slide) once its cells are gone: some numbers a gene."""

    fold: str
    slide: str
    patient: str
    genes: tuple[str, ...]
    cells: int
    scores: GeneScores
    moments: PearsonAccumulator

    @property
    def defined(self) -> NDArray[np.bool_]:
        return np.isin(self.scores.state, DEFINED)


@dataclass(frozen=True)
class KnownTruth:
    """Per gene of one block, ``(G,)``: share of variance visible in morphology, best reachable r; NaN if unknown."""

    visible_share: Float64Array
    reachable: Float64Array


def known_truth(block: BlockScores, reachable: Reachable) -> KnownTruth:
    unknown = (np.nan, np.nan)
    pairs = [reachable.get((block.slide, gene), unknown) for gene in block.genes]
    table = np.array(pairs, dtype=np.float64).reshape(-1, 2)  # None becomes NaN
    return KnownTruth(table[:, 0], table[:, 1])


def per_patient(
    blocks: Iterable[BlockScores], values: Callable[[BlockScores], Float64Array | NDArray[np.floating[Any]]]
) -> dict[str, float]:
    """Mean of ``values(block)`` over its genes that are not NaN, then fold -> slide -> patient."""
    return patient_means((b.patient, b.slide, mean_over_genes(np.asarray(values(b), dtype=np.float64))) for b in blocks)


def pooled_pearson(blocks: Sequence[BlockScores]) -> float | None:
    """Mean over genes of r across all test cells of all folds and slides together."""
    genes = sorted({gene for block in blocks for gene in block.genes})
    column = {gene: i for i, gene in enumerate(genes)}
    total = PearsonAccumulator(len(genes))
    for block in blocks:
        total.merge(block.moments.spread(len(genes), np.array([column[g] for g in block.genes], dtype=np.int64)))
    return mean_over_genes(total.result()[0])


def unit_counts(blocks: Sequence[BlockScores]) -> dict[str, int]:
    """Units by state (``scored``: every defined one, of which ``constant_prediction``), and how much there was."""
    found = np.zeros(len(State), dtype=np.int64)
    for block in blocks:
        found += np.bincount(block.scores.state, minlength=len(State))
    counts = {state.name.lower(): int(found[state]) for state in State}
    counts["scored"] += counts["constant_prediction"]
    counts["blocks"] = len(blocks)
    counts["cells"] = sum(block.cells for block in blocks)
    counts["slides"] = len({block.slide for block in blocks})
    counts["patients"] = len({block.patient for block in blocks})
    counts["genes"] = len({g for b in blocks for g, defined in zip(b.genes, b.defined, strict=True) if defined})
    return counts


def gene_rows(blocks: Sequence[BlockScores], reachable: Reachable) -> list[dict[str, Any]]:
    """One row a gene, sorted: means over its defined units; None where there is none, or nothing is known."""
    genes = sorted({gene for block in blocks for gene in block.genes})
    number = {gene: i for i, gene in enumerate(genes)}
    names = ("pearson", "reachable", "visible_share")
    total, n = {name: np.zeros(len(genes)) for name in names}, {name: np.zeros(len(genes), int) for name in names}
    for block in blocks:
        at, known, defined = (
            np.array([number[g] for g in block.genes], int),
            known_truth(block, reachable),
            block.defined,
        )
        for name, values in zip(names, (block.scores.pearson, known.reachable, known.visible_share), strict=True):
            there = defined & np.isfinite(values)
            np.add.at(total[name], at[there], values[there])
            np.add.at(n[name], at[there], 1)

    def row(i: int) -> dict[str, Any]:
        means = {name: float(total[name][i] / n[name][i]) if n[name][i] else None for name in names}
        return {"gene": genes[i], **means, "n_units": int(n["pearson"][i])}

    return [row(i) for i in range(len(genes))]


def units_frame(blocks: Sequence[BlockScores]) -> pd.DataFrame:
    """fold, slide, patient, gene, n, pearson, spearman, mse, state: one row per (fold, slide, gene)."""
    import pandas as pd

    sizes = [len(block.genes) for block in blocks]
    state_names = np.array([state.name.lower() for state in State], dtype=object)

    def repeated(name: str) -> NDArray[Any]:
        return np.repeat(np.array([getattr(block, name) for block in blocks], dtype=object), sizes)

    def joined(name: str, dtype: type) -> NDArray[Any]:
        return np.concatenate([np.empty(0, dtype), *(getattr(block.scores, name) for block in blocks)])

    frame = {name: repeated(name) for name in ("fold", "slide", "patient")}
    frame["gene"] = np.array([gene for block in blocks for gene in block.genes], dtype=object)
    frame["n"] = joined("n", np.int64)
    frame |= {name: joined(name, np.float64) for name in ("pearson", "spearman", "mse")}
    frame["state"] = state_names[joined("state", np.int8)]
    return pd.DataFrame(frame)
