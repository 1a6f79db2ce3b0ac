"""A few hundred made-up cells in memory: what the contract tests show a model.

The first genes follow the crop's mean redness, the others are noise, so that a model can learn a
little, and so that a wrong row order shows.
"""

from __future__ import annotations

import numpy as np

from protocols.contract import FloatArray, RowArray, Settings
from protocols.expression.views import InputView, TrainingView, log_normalise
from protocols.images.source import ArrayCrops


def toy_training(
    n: int = 120, genes: int = 12, pixels: int = 64, seed: int = 0, settings: Settings | None = None, holes: bool = True
) -> TrainingView:
    """``n`` cells of two patients (one slide each); the last gene is unmeasured on the second slide if ``holes``."""
    rng = np.random.default_rng(seed)
    redness = rng.uniform(60, 200, n)
    crops = rng.normal(150, 25, (n, pixels, pixels, 3))
    crops[..., 0] += (redness - 130)[:, None, None]
    second = np.arange(n) >= n // 2
    rate = np.full((n, genes), 3.0)
    rate[:, : genes // 2] *= np.exp((redness - 130) / 40)[:, None]
    counts = rng.poisson(rate).astype(np.int32)
    measured = np.ones((n, genes), dtype=bool)
    if holes:
        measured[second, -1] = False
        counts[~measured] = 0
    targets = log_normalise(counts, counts.sum(axis=1))
    targets[~measured] = np.nan
    names = tuple(f"GENE{i}" for i in range(genes))
    embedding = np.concatenate([redness[:, None] / 100, rng.normal(size=(n, 15))], axis=1).astype(np.float32)
    label = np.where(second, "s2", "s1")
    return TrainingView(
        rows=np.arange(n),
        genes=names,
        slide=label,
        patient=np.where(second, "p2", "p1"),
        cancer=np.full(n, "toy"),
        xy_um=rng.uniform(0, 300, (n, 2)).astype(np.float32),
        settings=settings or Settings(),
        crop_source=ArrayCrops(np.clip(crops, 0, 255).astype(np.uint8)),
        embedding_reader=lambda rows: embedding[rows],
        oracle_reader=lambda rows: _oracle(redness, genes)[rows],
        targets=targets,
        count_matrix=counts,
        measured=measured,
        all_genes=names,
    )


def inputs_of(data: TrainingView, rows: RowArray | None = None) -> InputView:
    """The same cells without their targets (``rows`` index the view; default: all)."""
    at = np.arange(len(data)) if rows is None else rows
    return InputView(
        rows=data.rows[at],
        genes=data.genes,
        slide=data.slide[at],
        patient=data.patient[at],
        cancer=data.cancer[at],
        xy_um=data.xy_um[at],
        settings=data.settings,
        crop_source=data.crop_source,
        embedding_reader=data.embedding_reader,
        oracle_reader=data.oracle_reader,
    )


def _oracle(redness: FloatArray | np.ndarray, genes: int) -> FloatArray:
    best = np.zeros((len(redness), genes), dtype=np.float32)
    best[:, : genes // 2] = ((redness - 130) / 40)[:, None]
    return best
