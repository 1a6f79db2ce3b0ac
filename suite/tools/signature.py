"""``slide2omics signature``: a prognostic signature from tables alone, judged where it was fitted and where it was not.

Tables in (CSV or Parquet, one row a patient, column ``patient``): expression, outcome (time, event, optional unit),
covariates, predicted expression, and the same of external cohorts. Out: the signature, every evaluation, figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from protocols.errors import UserError, look_up
from protocols.metrics.lasso_cox import RULES, Rule
from protocols.metrics.prognostic_signature import (
    CANDIDATES,
    FOLDS,
    GeneFilter,
    OutOfFold,
    Signature,
    fit_signature,
    out_of_fold_risks,
    well_predicted,
)
from protocols.metrics.signature_evaluation import (
    FITTED_HERE,
    SignatureEvaluation,
    evaluate_out_of_fold,
    evaluate_signature,
)
from suite.tools.signature_inputs import (
    CohortFiles,
    Patients,
    read_expression,
    read_genes,
    read_patients,
    with_expression,
)
from suite.tools.signature_report import write_signature

if TYPE_CHECKING:
    import pandas as pd

OUT_OF_FOLD = "discovery, out of fold"
PREDICTED = "predicted expression"
PREDICTED_OUT_OF_FOLD = f"{PREDICTED}, out of fold"
PREDICTED_FITTED_HERE = f"{PREDICTED} (signature fitted on these patients)"
"""What SEQUOIA's figure 4d shows: the slide is new to the expression model, the outcome is not to the signature."""


@dataclass(frozen=True)
class Options:
    """How to fit. ``own_scale`` names cohorts (or ``"predicted expression"``) whose genes are scaled within them."""

    seed: int = 0
    rule: str = "min"
    folds: int = FOLDS
    outer_folds: int = FOLDS
    standardise: bool = True
    top: int = CANDIDATES
    own_scale: tuple[str, ...] = ()


@dataclass(frozen=True)
class SignatureRun:
    """What was fitted, on whom, and every evaluation, the honest ones first."""

    signature: Signature
    out_of_fold: OutOfFold
    discovery: Patients
    evaluations: tuple[SignatureEvaluation, ...]
    notes: tuple[str, ...]
    options: Options


def run_signature(
    discovery: CohortFiles,
    out: Path,
    *,
    candidates: Path | None = None,
    predicted: Path | None = None,
    external: Sequence[CohortFiles] = (),
    options: Options | None = None,
) -> SignatureRun:
    """Read, fit, judge and write to ``out``: ``signature.csv``, ``evaluation.json``, ``signature.md``, risks, figures.

    ``candidates`` (a symbol a line) are the genes that may be chosen; with ``predicted`` (out-of-fold predictions of
    the discovery patients, on the scale of expression) only the ``options.top`` best predicted of them, found anew in
    each fit's own patients. Measured and predicted expression are then judged on the same patients.
    """
    found = judge(
        read_patients(discovery),
        candidates=None if candidates is None else read_genes(candidates),
        predicted=None if predicted is None else read_expression(predicted),
        external=[read_patients(one) for one in external],
        options=options,
    )
    write_signature(
        out,
        found.signature,
        found.evaluations,
        found.notes,
        out_of_fold=_risk_table(found),
        settings={**vars(found.options), "discovery": discovery.name, "external": [one.name for one in external]},
    )
    return found


def judge(
    discovery: Patients,
    *,
    candidates: Sequence[str] | None = None,
    predicted: pd.DataFrame | None = None,
    external: Sequence[Patients] = (),
    options: Options | None = None,
) -> SignatureRun:
    """:func:`run_signature` on tables in memory, without writing."""
    options = options or Options()
    rule = _rule(options.rule)
    _check_names(discovery, external, predicted, options)
    notes = list(discovery.notes)
    if candidates is not None:
        discovery, note = _limited(discovery, candidates)
        notes += [note]
    choose: GeneFilter | None = None
    others: dict[str, pd.DataFrame] = {}
    if predicted is not None:
        discovery, predicted, note = _with_predictions(discovery, predicted)
        notes += [note] if note else []
        choose, others = well_predicted(predicted, options.top), {PREDICTED: predicted}
    x, time, event, adjust = discovery.expression, discovery.time, discovery.event, discovery.covariates
    fitted_on = x if choose is None else x.loc[:, list(choose(x))]
    signature = fit_signature(
        fitted_on, time, event, rule=rule, standardise=options.standardise, folds=options.folds, seed=options.seed
    )
    nested = out_of_fold_risks(
        x, time, event, outer_folds=options.outer_folds, rule=rule, standardise=options.standardise, choose=choose,
        others=others, own_scale=options.own_scale, folds=options.folds, seed=options.seed,
    )  # fmt: skip
    made = [
        evaluate_out_of_fold(nested, "measured", time, event, adjust, name=OUT_OF_FOLD),
        evaluate_signature(signature, x, time, event, adjust, name=FITTED_HERE, fitted_here=True),
    ]
    if predicted is not None:
        own = PREDICTED in options.own_scale
        made += [
            evaluate_out_of_fold(nested, PREDICTED, time, event, adjust, name=PREDICTED_OUT_OF_FOLD),
            evaluate_signature(
                signature, predicted, time, event, adjust, name=PREDICTED_FITTED_HERE, fitted_here=True, own_scale=own,
            ),
        ]  # fmt: skip
    for cohort in external:
        notes += cohort.notes
        made.append(
            evaluate_signature(
                signature, cohort.expression, cohort.time, cohort.event, cohort.covariates, name=cohort.name,
                own_scale=cohort.name in options.own_scale,
            )
        )  # fmt: skip
    return SignatureRun(signature, nested, discovery, tuple(made), tuple(notes), options)


def _check_names(
    discovery: Patients, external: Sequence[Patients], predicted: pd.DataFrame | None, options: Options
) -> None:
    names = {cohort.name: cohort for cohort in external}
    taken = [OUT_OF_FOLD, FITTED_HERE, PREDICTED_OUT_OF_FOLD, PREDICTED_FITTED_HERE]
    if len(names) < len(external) or set(names) & set(taken):
        raise UserError("two cohorts of one name", where="signature", expected="names of their own", remedy="rename")
    scaled = {**names, **({} if predicted is None else {PREDICTED: discovery})}
    for name in options.own_scale:
        look_up(name, scaled, kind="cohort", where="own_scale")
    for name, cohort in names.items():
        shared = cohort.expression.index.intersection(discovery.expression.index)
        if len(shared):
            raise UserError(
                f"{len(shared)} of its patients are fitted on, first {shared[0]}",
                where=f"cohort {name}",
                expected="patients that the signature has never seen",
                remedy="leave them out of one of the two",
            )


def _limited(discovery: Patients, candidates: Sequence[str]) -> tuple[Patients, str]:
    known = [gene for gene in candidates if gene in discovery.expression.columns]
    if not known:
        raise UserError(
            "none of the candidate genes is in the expression table",
            where="candidates",
            expected=f"symbols such as {discovery.expression.columns[0]}",
            remedy="use the table's gene names",
        )
    note = f"{len(known)} of {len(candidates)} candidate genes are in the expression table"
    return with_expression(discovery, discovery.expression.loc[:, known]), note


def _with_predictions(discovery: Patients, predicted: pd.DataFrame) -> tuple[Patients, pd.DataFrame, str]:
    shared = [patient for patient in discovery.expression.index if patient in predicted.index]
    if not shared:
        raise UserError(
            "no patient has both measured and predicted expression",
            where="predicted expression",
            expected=f"patients such as {discovery.expression.index[0]}",
            remedy="use the same patient ids in both",
        )
    lost = len(discovery.expression) - len(shared)
    note = f"{lost} patients without predicted expression left out, so that both are judged on the same" if lost else ""
    return with_expression(discovery, discovery.expression.loc[shared]), predicted.loc[shared], note


def _rule(name: str) -> Rule:
    look_up(name, RULES, kind="rule", where="signature")
    return "min" if name == "min" else "one_standard_error"


def _risk_table(found: SignatureRun) -> Mapping[str, Sequence[object]]:
    nested, discovery = found.out_of_fold, found.discovery
    return {
        "patient": list(discovery.expression.index),
        "fold": nested.fold.tolist(),
        "time": discovery.time.tolist(),
        "event": discovery.event.astype(int).tolist(),
        **{f"risk ({name})": risk.tolist() for name, risk in nested.risks.items()},
    }
