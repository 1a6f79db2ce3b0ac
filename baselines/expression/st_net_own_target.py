"""ST-Net with the target of its own paper."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from baselines.expression.st_net import STNet
from protocols.contract import Card, CountArray, FloatArray, TrainingData


class STNetOwnTarget(STNet):
    """Learns ln[(1 + count) / (number of genes + total)] over the row's whole panel, as ST-Net's code does.

    A prediction t goes back to the protocol's scale as log1p(10,000 exp(t)): the fraction of the cell's counts, with
    the added count of 1 still in it (a test cell's total is unknown, so it cannot be taken off). Pearson r hardly sees
    this; the squared error does.
    """

    card: ClassVar[Card] = replace(
        STNet.card,
        name="st_net_own_target",
        title="ST-Net (DenseNet-121) on its own log-fraction target",
        summary="As st_net, learning ln[(1 + count) / (genes + total)].",
        needs=("counts",),
        published=(),
    )

    def _targets(self, data: TrainingData) -> FloatArray:
        counts, measured, names = data.counts()
        column = {gene: at for at, gene in enumerate(names)}
        chosen = [column[gene] for gene in data.genes]
        own = log_fraction(counts, measured)[:, chosen]
        own[~np.isfinite(data.targets)] = np.nan
        return own

    def _from_target(self, predicted: FloatArray) -> FloatArray:
        back: FloatArray = np.log1p(1e4 * np.exp(np.minimum(predicted, 5.0))).astype(np.float32)
        return back


def log_fraction(counts: CountArray, measured: NDArray[np.bool_]) -> FloatArray:
    """ln[(1 + count) / (genes + total)] per row, over measured genes; the others hold a number without meaning."""
    seen = np.where(measured, counts, 0).astype(np.float64)
    whole = measured.sum(axis=1) + seen.sum(axis=1)
    fraction: FloatArray = np.log((1.0 + seen) / np.maximum(whole, 1.0)[:, None]).astype(np.float32)
    return fraction
