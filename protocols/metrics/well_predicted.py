"""Well-predicted genes: which genes' predictions follow the truth, and follow it better than an untrained model's.

A gene counts if its Pearson r is positive with p below .05, is above the r of the same architecture before training,
and is so by a test for dependent correlations, p below .05 and below .2 after Benjamini-Hochberg over all genes.

Source: SEQUOIA, Methods, "Identification of well-predicted genes"; its released code differs (:data:`CRITERIA`).
The released code does not refresh the untrained model's r where a column is constant: the value of the gene before
stays in the table. Since its p-values are 1 there, no count changes; here the r of a constant column is 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from protocols.errors import UserError, look_up
from protocols.metrics.correlation import Float64Array, Values
from protocols.metrics.dependent_correlations import Alternative, steiger_z, williams_t
from protocols.metrics.gene_correlation import Correlation, mean_by_patient, moments, pearson_p

Bool = NDArray[np.bool_]
TESTS = {"williams": williams_t, "steiger": steiger_z}


@dataclass(frozen=True)
class Criteria:
    """What a gene must satisfy; all thresholds are strict.

    ``test`` and ``alternative`` are those of :mod:`protocols.metrics.dependent_correlations`; ``require_lower_rmse``
    asks for an error below the untrained model's; ``refuse_constant_untrained`` drops genes to which the untrained
    model has a constant answer, instead of comparing with r = 0; ``units`` is what :func:`well_predicted` makes of
    slides whose patients it is told.
    """

    test: Literal["williams", "steiger"] = "williams"
    p_below: float = 0.05
    dependent_p_below: float = 0.05
    dependent_q_below: float = 0.2
    require_lower_rmse: bool = False
    alternative: Alternative = "greater"
    refuse_constant_untrained: bool = False
    units: Literal["patients", "slides"] = "patients"


STANDARD = Criteria()
PAPER = Criteria(test="steiger", units="slides")
RELEASED = Criteria(
    require_lower_rmse=True, alternative="released_absolute", refuse_constant_untrained=True, units="slides"
)
CRITERIA: dict[str, Criteria] = {"standard": STANDARD, "paper": PAPER, "released": RELEASED}
"""``standard``: the paper's thresholds, with patients as units, because slides that share one expression profile are
not independent, and Williams' t, whose small p-values stay nearer their nominal
level in small cohorts. ``paper``: Steiger's Z, over slides.
``released``: Williams' t by its absolute value, so that genes on which the *untrained* model is better have small
p-values, too, which eases the correction for all others; and an error below the untrained model's, which nearly every
prediction of about the right size has, since an untrained network answers about zero."""


@dataclass(frozen=True)
class Agreement:
    """Predictions against the truth and against an untrained model over ``units``; arrays ``(g,)``, see
    :class:`WellPredicted`."""

    units: int
    r: Float64Array
    constant: Bool
    r_untrained: Float64Array
    untrained_constant: Bool
    r_between: Float64Array
    rmse: Float64Array
    rmse_untrained: Float64Array


@dataclass(frozen=True)
class WellPredicted:
    """The verdict and all that it rests on; arrays ``(g,)``, finite.

    ``r``, ``r_untrained``: with the truth (0 where constant); ``r_between``: of the two predictions; ``p``: of r, two
    sided; ``dependent_p``, ``dependent_q``: of r against r_untrained, raw and after Benjamini-Hochberg; ``rmse``,
    ``rmse_untrained``: in units of the truth.
    """

    criteria: Criteria
    units: int
    r: Float64Array
    p: Float64Array
    r_untrained: Float64Array
    r_between: Float64Array
    dependent_p: Float64Array
    dependent_q: Float64Array
    rmse: Float64Array
    rmse_untrained: Float64Array
    significant: Bool

    @property
    def count(self) -> int:
        return int(self.significant.sum())


class Held(NamedTuple):
    """How many genes found in one cohort another confirms; ``share`` of those found.

    Where none was found the share is 0: a model that calls nothing well predicted has shown nothing that holds.
    """

    confirmed: int
    share: float


def benjamini_hochberg(p: Float64Array) -> Float64Array:
    """Adjusted p-values (Benjamini & Hochberg 1995), ``(m,)``: the smallest false discovery rate that keeps each."""
    p = np.asarray(p, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise UserError(
            "a p-value is NaN or outside [0, 1]",
            where="the Benjamini-Hochberg correction",
            expected="a row of p-values",
            remedy="give a test that is undefined p = 1",
        )
    order = np.argsort(p)[::-1]  # largest first: the running minimum starts there
    rank = np.arange(len(p), 0, -1)
    q = np.empty_like(p)
    q[order] = np.minimum(np.minimum.accumulate(p[order] * len(p) / rank), 1.0)
    return q


def well_predicted(
    truth: Values,
    predicted: Values,
    untrained: Values | None,
    criteria: Criteria | str = STANDARD,
    patient: NDArray[Any] | None = None,
) -> WellPredicted:
    """Judge every gene of ``truth``, ``predicted`` and ``untrained``, each ``(n, g)`` and finite.

    Rows are units. Where they are slides, ``patient (n,)`` tells whose, and they are averaged by patient unless the
    criteria say ``units="slides"``. ``criteria``: one of :data:`CRITERIA` by name, or one's own.
    """
    if isinstance(criteria, str):
        criteria = look_up(criteria, CRITERIA, kind="criteria", where="well-predicted genes")
    if patient is not None and criteria.units == "patients":
        truth, predicted = (mean_by_patient(values, patient)[1] for values in (truth, predicted))
        untrained = None if untrained is None else mean_by_patient(untrained, patient)[1]
    return judge(agree(truth, predicted, untrained), criteria)


def agree(truth: Values, predicted: Values, untrained: Values | None) -> Agreement:
    """Correlations and errors, the costly part, once for any number of criteria.

    A model without a twin (``untrained=None``) is compared with what an untrained network does at its simplest: it
    answers 0 for every unit. So r_untrained = r_between = 0, and its error is the root mean square of the truth.
    """
    found = moments((truth, predicted) if untrained is None else (truth, predicted, untrained))
    r = found.correlation(0, 1)
    if untrained is None:
        nothing = np.zeros_like(r.r)
        twin, between = Correlation(nothing, np.zeros_like(r.constant)), nothing
        rmse_untrained = np.ldexp(
            np.sqrt(found.products[0, 0] / max(found.units, 1) + found.mean[0] ** 2), found.power[0]
        )
    else:
        twin, between, rmse_untrained = found.correlation(0, 2), found.correlation(1, 2).r, found.rmse[2]
    return Agreement(found.units, r.r, r.constant, twin.r, twin.constant, between, found.rmse[1], rmse_untrained)


def judge(agreement: Agreement, criteria: Criteria) -> WellPredicted:
    """Apply the criteria. A constant gene has r = 0, p = 1 throughout, and is never significant."""
    found = agreement
    test = look_up(criteria.test, TESTS, kind="test", where="the criteria")
    refused = found.constant | (found.untrained_constant & criteria.refuse_constant_untrained)
    p = np.where(refused, 1.0, pearson_p(found.r, found.units))
    dependent = test(found.r, found.r_untrained, found.r_between, found.units, criteria.alternative)
    dependent_p = np.where(refused, 1.0, dependent.p)
    dependent_q = benjamini_hochberg(dependent_p)  # over all genes: the constant ones were tried, too
    significant = ~refused & (found.r > 0) & (p < criteria.p_below) & (found.r > found.r_untrained)
    significant &= (dependent_p < criteria.dependent_p_below) & (dependent_q < criteria.dependent_q_below)
    if criteria.require_lower_rmse:
        significant &= found.rmse < found.rmse_untrained
    return WellPredicted(
        criteria=criteria,
        units=found.units,
        r=found.r,
        p=p,
        r_untrained=found.r_untrained,
        r_between=found.r_between,
        dependent_p=dependent_p,
        dependent_q=dependent_q,
        rmse=found.rmse,
        rmse_untrained=found.rmse_untrained,
        significant=significant,
    )


def holds(discovery: WellPredicted, external: WellPredicted) -> Held:
    """How many of the genes found in one cohort are significant in another too; both over the same genes, in order.

    As in Fig. 3a and Table A6. The share falls with the size of the external cohort even if every gene holds.
    """
    if discovery.significant.shape != external.significant.shape:
        raise UserError(
            f"{len(discovery.significant)} genes against {len(external.significant)}",
            where="the external validation",
            expected="the same genes in the same order",
            remedy="take the genes that both cohorts have",
        )
    count = int((discovery.significant & external.significant).sum())
    return Held(count, count / discovery.count if discovery.count else 0.0)
