"""A prognostic gene signature: LASSO-Cox on expression, its penalty by cross-validation, and its risk for others.

After SEQUOIA, "Identification and validation of the prognostic gene signature": candidate genes, LASSO-Cox (glmnet),
penalty by five-fold cross-validation, risk = Σ coefficient · expression (equation 1). The paper then judges the
signature on the patients it was fitted on, with measured and with predicted expression alike;
:func:`out_of_fold_risks` fits it again without each fifth of the patients, so that nobody is judged by their own
outcome. How risks are judged: :mod:`protocols.metrics.signature_evaluation`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from protocols.errors import UserError, look_up
from protocols.metrics.concordance import Bool, Float, Int
from protocols.metrics.lasso_cox import RULES, PenaltyCurve, Rule, cross_validated, deal, refused
from protocols.seeds import derive_seed

if TYPE_CHECKING:
    import pandas as pd

FOLDS = 5
CANDIDATES = 5000
"""SEQUOIA: the top 5,000 well-predicted protein-coding genes."""
GeneFilter = Callable[["pd.DataFrame"], Sequence[str]]
"""Candidate genes from the expression of the fitting patients (rows named by patient), and from nobody else's."""


@dataclass(frozen=True)
class Signature:
    """Chosen genes with their coefficients, on the scale of expression; and what fitting patients looked like.

    ``means`` and ``sds`` are of the chosen genes over the fitting patients, ``median_risk`` is their median risk.
    Without a gene every risk is zero: nothing that the data support, which is a finding and no error.
    """

    genes: tuple[str, ...]
    coefficients: Float
    means: Float
    sds: Float
    alpha: float
    median_risk: float
    curve: PenaltyCurve
    patients: int
    events: int
    candidates: int
    constant: tuple[str, ...]

    def missing(self, expression: pd.DataFrame) -> tuple[str, ...]:
        """Chosen genes that a table lacks."""
        return tuple(gene for gene in self.genes if gene not in expression.columns)

    def risk(self, expression: pd.DataFrame, *, where: object = "expression table", own_scale: bool = False) -> Float:
        """The linear predictor, float64 ``(patients,)``: Σ coefficient · (expression − fitted mean).

        It differs from equation 1 by one constant, which no rank, split or hazard ratio sees. A chosen gene that the
        table lacks contributes what it does at the fitted mean, nothing (:meth:`missing` names them); an error where
        more than half are lacking. ``own_scale`` first gives each gene the fitted mean and standard deviation within
        this table, for another platform or for predictions, whose spread is not that of measurements; it looks at
        all rows together, at no outcome.
        """
        missing = self.missing(expression)
        if 2 * len(missing) > len(self.genes):
            raise UserError(
                f"{len(missing)} of {len(self.genes)} signature genes are missing, first {', '.join(missing[:5])}",
                where=where,
                expected="at least half of them",
                remedy="name genes by the same symbols as the fitting table",
            )
        risk = np.zeros(len(expression))
        for gene, coefficient, mean, sd in zip(self.genes, self.coefficients, self.means, self.sds, strict=True):
            if gene in missing:
                continue
            values = _finite(expression[[gene]], where)[:, 0]
            centre, unit = mean, 1.0
            if own_scale:
                centre, spread = values.mean(), values.std()
                unit = sd / spread if spread > 0 else 0.0
            risk += coefficient * unit * (values - centre)
        return risk


@dataclass(frozen=True)
class OutOfFold:
    """Risks of patients by the signature of the other folds, rows as in the table given.

    ``risks`` ``(n,)`` and ``missing`` (signature genes that a table lacks, by fold) name each table asked for.
    ``medians`` ``(n,)`` is the median risk of the patients that each row's signature was fitted on.
    """

    fold: Int
    risks: Mapping[str, Float]
    medians: Float
    missing: Mapping[str, tuple[tuple[str, ...], ...]]
    signatures: tuple[Signature, ...]


def fit_signature(
    expression: pd.DataFrame,
    time: Float,
    event: Bool,
    *,
    folds: int = FOLDS,
    seed: int,
    rule: Rule = "min",
    standardise: bool = True,
) -> Signature:
    """Fit LASSO-Cox on ``expression`` (patients × genes, log2(v + 1)) with its penalty by cross-validation.

    ``time`` float64 ``(n,)``, any unit, above zero; ``event`` bool ``(n,)``. The penalty's criterion is glmnet's: in
    each fold the deviance of all patients less that of the fitting part, by the fit of that part (Verweij and van
    Houwelingen, Statistics in Medicine 1993), per event. Unlike glmnet's, folds are stratified by event; patients are
    dealt by name, so the order of rows does not show, not even in the last digit. ``rule``: SEQUOIA does not say which
    of glmnet's two it took; the minimum is the default.
    """
    look_up(rule, RULES, kind="rule", where="prognostic signature")
    order = _order(expression, time, event, folds)
    t, e = np.asarray(time, dtype=np.float64)[order], np.asarray(event, dtype=bool)[order]
    values = _finite(expression, "expression table")[order]
    means, sds = values.mean(axis=0), values.std(axis=0)
    varying = sds > 1e-9 * np.maximum(1.0, np.abs(means))
    names = np.array(list(map(str, expression.columns)), dtype=object)
    if not varying.any():
        raise refused("no gene varies between patients", "at least one that does", "check the table")
    x = values[:, varying] - means[varying]
    if standardise:
        x = x / sds[varying]
    coefficients, curve = cross_validated(x, t, e, deal(e, folds, seed), rule)
    picked = np.flatnonzero(coefficients)
    scale = sds[varying][picked] if standardise else np.ones(len(picked))
    return Signature(
        genes=tuple(names[varying][picked]),
        coefficients=coefficients[picked] / scale,
        means=means[varying][picked],
        sds=sds[varying][picked],
        alpha=float(curve.alpha[curve.chosen]),
        median_risk=float(np.median(x[:, picked] @ coefficients[picked])),
        curve=curve,
        patients=len(t),
        events=int(e.sum()),
        candidates=int(varying.sum()),
        constant=tuple(names[~varying]),
    )


def out_of_fold_risks(
    expression: pd.DataFrame,
    time: Float,
    event: Bool,
    *,
    outer_folds: int = FOLDS,
    folds: int = FOLDS,
    seed: int,
    rule: Rule = "min",
    standardise: bool = True,
    choose: GeneFilter | None = None,
    others: Mapping[str, pd.DataFrame] | None = None,
    own_scale: Sequence[str] = (),
) -> OutOfFold:
    """Nested cross-validation: gene filter, penalty and fit on the other folds' patients, risk for the held-out.

    ``choose`` names the candidate genes from the fitting patients' expression. ``others`` are further tables of the
    same patients (predicted expression), judged by the same signatures; those in ``own_scale`` on their own scale.
    ``risks`` holds ``"measured"`` and the names of ``others``.
    """
    order = _order(expression, time, event, outer_folds)
    fold = np.empty(len(order), dtype=np.int64)
    fold[order] = deal(np.asarray(event, dtype=bool)[order], outer_folds, derive_seed(seed, "outer folds"))
    tables = {"measured": expression}
    for name, table in (others or {}).items():
        if not table.index.equals(expression.index):
            raise refused(f"table {name!r} has other rows", "the same patients in the same order", "align them")
        tables[name] = table
    risks = {name: np.zeros(len(order)) for name in tables}
    medians = np.zeros(len(order))
    signatures: list[Signature] = []
    for number in range(outer_folds):
        inside, outside = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        fitting = expression.iloc[inside]
        if choose is not None:
            fitting = fitting.loc[:, list(choose(fitting))]
        signature = fit_signature(
            fitting,
            time[inside],
            event[inside],
            folds=folds,
            seed=derive_seed(seed, "inner", number),
            rule=rule,
            standardise=standardise,
        )
        for name, table in tables.items():
            risks[name][outside] = signature.risk(table.iloc[outside], where=name, own_scale=name in own_scale)
        medians[outside] = signature.median_risk
        signatures.append(signature)
    missing = {name: tuple(one.missing(table) for one in signatures) for name, table in tables.items()}
    return OutOfFold(fold, risks, medians, missing, tuple(signatures))


def well_predicted(predicted: pd.DataFrame, top: int = CANDIDATES) -> GeneFilter:
    """A filter: the ``top`` genes of greatest positive Pearson r between ``predicted`` and measured expression.

    r is over the fitting patients alone. Genes that either table holds constant there are no candidates.
    """
    from protocols.metrics.correlation import pearson_per_gene

    def choose(measured: pd.DataFrame) -> list[str]:
        shared = [gene for gene in measured.columns if gene in predicted.columns]
        answer = predicted.loc[measured.index, shared].to_numpy(dtype=np.float64)
        r = pearson_per_gene(measured[shared].to_numpy(dtype=np.float64), answer)
        r = np.where(np.isfinite(r), r, -1.0)
        best = sorted(np.flatnonzero(r > 0).tolist(), key=lambda at: (-r[at], shared[at]))[:top]
        if not best:
            raise refused("no gene is predicted with r > 0", "at least one", "check the predictions")
        return [shared[at] for at in sorted(best)]

    return choose


def _order(expression: pd.DataFrame, time: Float, event: Bool, folds: int) -> Int:
    """Rows by patient name, after the checks that fitting needs."""
    n = len(expression)
    if not len(time) == len(event) == n:
        raise refused(f"{len(time)} times, {len(event)} events, {n} rows", "one of each a patient", "align them")
    for names, kind in ((expression.index, "patient"), (expression.columns, "gene")):
        if names.has_duplicates:
            raise refused(f"{kind} {names[names.duplicated()][0]} twice", "each once", "drop one")
    if not (np.isfinite(time).all() and (np.asarray(time) > 0).all()):
        raise refused("follow-up that is missing or not above zero", "times above zero", "leave those patients out")
    if folds < 2 or int(np.sum(event)) < 2 * folds:
        raise refused(
            f"{int(np.sum(event))} events in {folds} folds",
            "two or more folds of two or more events",
            "use fewer folds",
        )
    return np.array(sorted(range(n), key=lambda row: str(expression.index[row])), dtype=np.int64)


def _finite(table: pd.DataFrame, where: object) -> Float:
    try:
        values = table.to_numpy(dtype=np.float64)
    except (TypeError, ValueError):
        raise UserError("values that are no numbers", where=where, expected="numbers", remedy="mend it") from None
    bad = ~np.isfinite(values)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise UserError(
            f"{int(bad.sum())} values missing or infinite, first gene {table.columns[column]}"
            f" of patient {table.index[row]}",
            where=where,
            expected="finite numbers",
            remedy="impute them, or drop the gene or the patient",
        )
    return values
