"""What a risk score is worth in a cohort: hazard ratios, halves by median risk, log-rank, Kaplan-Meier, C-index.

SEQUOIA splits every cohort by its own median risk; a clinic would have the discovery cohort's median. Both are here,
by name. Whatever is undefined is None with a note that says why, never NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from protocols.errors import UserError, look_up
from protocols.metrics.concordance import TIED, Bool, Float, FoldOutcome, Int, harrell
from protocols.metrics.concordance_influence import concordance_interval, mean_concordance
from protocols.metrics.cox import HazardRatio, centred, cox_hazard_ratios, design
from protocols.metrics.lasso_cox import refused
from protocols.metrics.prognostic_signature import OutOfFold, Signature
from protocols.metrics.survival_curves import KaplanMeier, at_risk, high_risk, kaplan_meier, logrank_p, risk_table_times

if TYPE_CHECKING:
    import pandas as pd

THRESHOLDS = {"own_median": "the cohort's own median risk", "discovery_median": "the fitting patients' median risk"}
FITTED_HERE = "discovery (fitted on these patients)"
"""The name under which a signature is judged on its own fitting patients. It is optimistic, and says so."""
EVENTS_A_COVARIATE = 10
"""Below so many events a covariate, Cox estimates are known to be unsteady (Peduzzi et al., 1995); a note says so."""


@dataclass(frozen=True)
class RiskSplit:
    """Two groups by a threshold: their curves, their hazard ratio (univariate) and the log-rank p between them.

    ``at_risk`` has a row each for times (in the unit of follow-up), for the high and for the low group.
    """

    threshold: str
    high: KaplanMeier
    low: KaplanMeier
    high_vs_low: HazardRatio | None
    logrank_p: float | None
    at_risk: Float


@dataclass(frozen=True)
class SignatureEvaluation:
    """One cohort's verdict on one risk. Ratios ``per_sd`` are per standard deviation of risk in this cohort, within
    folds where risks are out of fold.

    ``c_index`` is Harrell's, mean over folds (one fold unless risks are out of fold), with its interval over
    patients; ``c_pooled`` takes all risks as one scale. ``adjusted``: the risk per SD first, then the covariates, in
    one model of complete cases. ``fitted_here``: these patients' outcomes made the signature.
    """

    name: str
    fitted_here: bool
    n: int
    events: int
    c_index: float | None
    c_low: float | None
    c_high: float | None
    c_pooled: float | None
    per_sd: HazardRatio | None
    per_unit: HazardRatio | None
    adjusted: tuple[HazardRatio, ...]
    splits: tuple[RiskSplit, ...]
    missing_genes: tuple[str, ...]
    notes: tuple[str, ...]


def evaluate_signature(
    signature: Signature,
    expression: pd.DataFrame,
    time: Float,
    event: Bool,
    adjust: pd.DataFrame | None = None,
    thresholds: Sequence[str] = tuple(THRESHOLDS),
    *,
    name: str,
    fitted_here: bool = False,
    own_scale: bool = False,
) -> SignatureEvaluation:
    """A signature in one cohort of patients; ``adjust`` are covariates, its rows those of ``expression``."""
    risk = signature.risk(expression, where=name, own_scale=own_scale)
    medians = np.full(len(risk), signature.median_risk)
    missing = signature.missing(expression)
    notes = (
        [f"{len(missing)} of {len(signature.genes)} signature genes missing: {', '.join(missing)}"] if missing else []
    )
    if not signature.genes:
        notes.append("no gene was chosen: the risk is constant, so nothing is compared")
    return evaluate_risks(
        name, risk, time, event, adjust, thresholds, medians=medians, fitted_here=fitted_here, missing=missing,
        notes=notes,
    )  # fmt: skip


def evaluate_out_of_fold(
    found: OutOfFold,
    table: str,
    time: Float,
    event: Bool,
    adjust: pd.DataFrame | None = None,
    thresholds: Sequence[str] = tuple(THRESHOLDS),
    *,
    name: str,
) -> SignatureEvaluation:
    """Risks of patients whom their signature has not seen. Cox models are stratified by fold, and "own median" is the
    median of one's fold: the risks of two folds' signatures have no common scale."""
    risk = look_up(table, found.risks, kind="table", where=name)
    empty = sum(not signature.genes for signature in found.signatures)
    notes = (
        [f"no gene was chosen in {empty} of {len(found.signatures)} folds; their patients are tied"] if empty else []
    )
    missing = tuple(sorted({gene for lacking in found.missing[table] for gene in lacking}))
    if missing:
        notes.append(f"signature genes missing in some fold: {', '.join(missing)}")
    return evaluate_risks(
        name, risk, time, event, adjust, thresholds, medians=found.medians, fold=found.fold, missing=missing,
        notes=notes,
    )  # fmt: skip


def evaluate_risks(
    name: str,
    risk: Float,
    time: Float,
    event: Bool,
    adjust: pd.DataFrame | None = None,
    thresholds: Sequence[str] = ("own_median",),
    *,
    medians: Float | None = None,
    fold: Int | None = None,
    fitted_here: bool = False,
    missing: tuple[str, ...] = (),
    notes: Sequence[str] = (),
) -> SignatureEvaluation:
    """Any risk score, float64 ``(n,)``, against follow-up. ``medians`` ``(n,)`` are each patient's discovery median."""
    risk, time = np.asarray(risk, dtype=np.float64), np.asarray(time, dtype=np.float64)
    event = np.asarray(event, dtype=bool)
    if not len(risk) == len(time) == len(event) or (adjust is not None and len(adjust) != len(risk)):
        raise refused(f"{len(risk)} risks, {len(time)} times in {name}", "one of each a patient", "align them")
    said = list(notes)
    spread = float(centred(risk[:, None], None if fold is None else fold.tolist()).std())
    parts = [np.arange(len(risk))] if fold is None else [np.flatnonzero(fold == at) for at in np.unique(fold)]
    if not any(np.ptp(risk[part]) > TIED for part in parts if len(part)):
        said += [] if said else ["every patient has the same risk: nothing is compared"]
        return SignatureEvaluation(
            name, fitted_here, len(risk), int(event.sum()), None, None, None, None, None, None, (), (), missing,
            tuple(said),
        )  # fmt: skip
    import pandas as pd

    strata = None if fold is None else fold.tolist()
    per_sd = _attempt(time, event, pd.DataFrame({"risk per SD": risk / spread}), strata, "univariate Cox", said)
    first = per_sd[0] if per_sd else None
    folds = [FoldOutcome(f"{name} {at}", time[part], event[part], risk[part]) for at, part in enumerate(parts)]
    values = [value for one in folds if (value := harrell(one.time, one.event, one.risk).value) is not None]
    low, high = _interval(folds) if values else (None, None)
    return SignatureEvaluation(
        name=name,
        fitted_here=fitted_here,
        n=len(risk),
        events=int(event.sum()),
        c_index=float(np.mean(values)) if values else None,
        c_low=low,
        c_high=high,
        c_pooled=harrell(time, event, risk).value,
        per_sd=first,
        per_unit=first.per(1 / spread, "risk per unit") if first else None,
        adjusted=() if adjust is None else _adjusted(risk / spread, time, event, adjust, strata, said),
        splits=tuple(_split(key, risk, time, event, parts, medians, strata, said) for key in thresholds),
        missing_genes=missing,
        notes=tuple(said),
    )


def _split(
    threshold: str,
    risk: Float,
    time: Float,
    event: Bool,
    parts: Sequence[Int],
    medians: Float | None,
    strata: list[int] | None,
    said: list[str],
) -> RiskSplit:
    import pandas as pd

    look_up(threshold, THRESHOLDS, kind="threshold", where="signature evaluation")
    above = np.zeros(len(risk), dtype=bool)
    if threshold == "own_median":
        for part in parts:
            above[part] = high_risk(risk[part])
    elif medians is None:
        raise refused(
            "no discovery median", "the median risk of the fitting patients", "give it, or split by own_median"
        )
    else:
        above = risk > medians
    what = f"high against low by {threshold}"
    if not above.any() or above.all():
        said.append(f"{what}: all patients are on one side")
    columns = risk_table_times(time)
    ratio = _attempt(time, event, pd.DataFrame({"high risk": above.astype(np.float64)}), strata, what, said)
    return RiskSplit(
        threshold,
        _curve(time[above], event[above]),
        _curve(time[~above], event[~above]),
        ratio[0] if ratio else None,
        logrank_p(time, event, above.astype(np.int64)),
        np.stack([columns, at_risk(time[above], columns), at_risk(time[~above], columns)]),
    )


def _curve(time: Float, event: Bool) -> KaplanMeier:
    """Kaplan-Meier of one group; of nobody, the point from which every curve starts."""
    if len(time):
        return kaplan_meier(time, event)
    one = np.ones(1)
    return KaplanMeier(np.zeros(1), one, None, None, 0, 0)


def _adjusted(
    risk: Float, time: Float, event: Bool, adjust: pd.DataFrame, strata: list[int] | None, said: list[str]
) -> tuple[HazardRatio, ...]:
    """The risk (per SD of the whole cohort) beside covariates, complete cases."""
    covariates, notes = design(adjust.reset_index(drop=True))
    said += [f"adjusted: {note}" for note in notes]
    rows = covariates.index.to_numpy(dtype=np.int64)
    covariates.insert(0, "risk per SD", risk[rows])
    few = int(event[rows].sum()) / len(covariates.columns)
    if 1 < few < EVENTS_A_COVARIATE:
        said.append(f"adjusted: {few:.1f} events a covariate, fewer than {EVENTS_A_COVARIATE}; unsteady")
    inside = None if strata is None else [strata[row] for row in rows]
    return tuple(_attempt(time[rows], event[rows], covariates, inside, "adjusted Cox", said) or ())


def _attempt(
    time: Float, event: Bool, table: pd.DataFrame, strata: Sequence[int] | None, what: str, said: list[str]
) -> list[HazardRatio] | None:
    try:
        return cox_hazard_ratios(time, event, table, strata=strata)
    except UserError as error:
        said.append(f"{what} is undefined: {error.what}")
        return None


def _interval(folds: Sequence[FoldOutcome]) -> tuple[float | None, float | None]:
    values = mean_concordance({one.name: ([f"{one.name}/{row}" for row in range(len(one.time))], one) for one in folds})
    found = concordance_interval(values, sum(int(one.event.sum()) for one in folds))
    return found.low, found.high
