"""Discrete-time survival: bins of follow-up, the negative log-likelihood, and risk and curves from hazards."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from protocols.survival.contract import EventArray, TimeArray

BINS = 4
SMALLEST = 1e-7
"""Probabilities are clamped here before their logarithm, as in the released code."""


def bin_edges(time: TimeArray, event: EventArray) -> NDArray[np.float64]:
    """Inner edges ``(3,)``: quartiles of the event times given (months).

    The released code takes them over training and test patients together, which looks at test outcomes; here only
    training patients are ever given. Too few distinct events leave fewer distinct edges: bins may then stay empty.
    """
    events = time[event] if event.any() else time
    return np.asarray(np.quantile(events, np.linspace(0, 1, BINS + 1)[1:-1]))


def bins_of(time: TimeArray, edges: NDArray[np.float64]) -> NDArray[np.int64]:
    """Bin of each time, right-open: a time on an edge belongs to the later bin."""
    return np.asarray(np.searchsorted(edges, time, side="right"), dtype=np.int64)


def survival_of(logits: Tensor) -> Tensor:
    """S after each bin, ``(n, bins)``: the product of 1 - hazard so far, hazard = sigmoid(logit)."""
    return torch.cumprod(1 - torch.sigmoid(logits), dim=1)


def nll(logits: Tensor, bins: Tensor, event: Tensor, alpha: float = 0.0) -> Tensor:
    """Negative log-likelihood a patient, ``(n,)`` (Zadeh and Schmid, IEEE TPAMI 2020; MCAT's ``nll_surv``).

    An event in bin Y: -log S(Y-1) - log h(Y), with S(-1) = 1. Censored in bin Y: -log S(Y). ``alpha`` shifts weight
    from all patients to those with an event; the released runs use 0.
    """
    hazard = torch.sigmoid(logits)
    survival = torch.cat([torch.ones_like(hazard[:, :1]), torch.cumprod(1 - hazard, dim=1)], dim=1)
    at = bins.unsqueeze(1)
    before, here, after = survival.gather(1, at), hazard.gather(1, at), survival.gather(1, at + 1)
    seen = event.to(logits.dtype)
    of_event = -seen * (_log(before) + _log(here)).squeeze(1)
    of_censored = -(1 - seen) * _log(after).squeeze(1)
    return (1 - alpha) * (of_event + of_censored) + alpha * of_event


def risk_of(logits: Tensor) -> Tensor:
    """Risk = -sum of S over bins, ``(n,)``: the less survival, the higher (MCAT)."""
    return -survival_of(logits).sum(dim=1)


def _log(value: Tensor) -> Tensor:
    return torch.log(value.clamp(min=SMALLEST))
