"""The two concordance formulas that PAST's paper prints, kept as named variants of the standard ones.

Neither orders models as the standard does: the first counts a pair as right when the patient who lives *longer* has
the *higher* risk, so a good model scores low; the second, written with predicted times, has the right sign but weights
a pair by 1/G(t) where Uno's estimator needs 1/G(t)², so it still depends on the censoring.
"""

from __future__ import annotations

import numpy as np

from protocols.metrics.concordance import Bool, Float, censoring_survival, pair_counts


def printed_c1(time: Float, event: Bool, risk: Float) -> float | None:
    """Share of comparable pairs with both the longer time and the higher risk (arXiv 2507.06418, Methods).

    Tied risks count nothing. For untied risks it is one minus Harrell's C.
    """
    counts = pair_counts(time, event, risk)
    comparable = int(counts.comparable.sum())
    higher = counts.comparable - counts.concordant - counts.tied
    return int(higher.sum()) / comparable if comparable else None


def printed_c2(train_time: Float, train_event: Bool, time: Float, event: Bool, risk: Float) -> float | None:
    """Pairs weighted by δ/G of the earlier patient; the predicted time falls with the risk; ties count nothing.

    G is estimated on the training fold; events beyond its follow-up have no weight.
    """
    counts = pair_counts(time, event, risk)
    at = np.asarray(time)[counts.row]
    inside = at < np.max(train_time)
    if not counts.comparable[inside].any():
        return None
    weight = np.zeros(len(at))
    weight[inside] = 1.0 / censoring_survival(train_time, train_event, at[inside])
    return float(np.sum(weight * counts.concordant) / np.sum(weight * counts.comparable))
