"""From each fold's predicted expression to everything that a record of bulk expression holds.

The headline is Pearson r per gene over a fold's test patients, averaged over folds and genes. Papers join the folds
before they correlate, and count slides: joining adds what differs between folds, and slides of one patient share a
label, so both forms are kept beside the headline by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from protocols.contract import FloatArray, TextArray
from protocols.errors import UserError, look_up
from protocols.metrics.correlation_influence import LEAST_IN_FOLD, mean_correlation
from protocols.metrics.gene_correlation import (
    TOP_GENES,
    mean_by_patient,
    pearson_per_gene,
    per_fold_mean,
    root_mean_squared_error,
    top_genes,
    top_median,
)
from protocols.metrics.intervals import FISHER, fold_interval
from protocols.metrics.patient_values import PatientValues
from protocols.metrics.well_predicted import CRITERIA, Criteria, WellPredicted, holds, well_predicted
from protocols.records import Interval

if TYPE_CHECKING:
    import pandas as pd

TOP_SHARE = 0.2
"""Where a cohort has fewer than five times ``TOP_GENES`` genes, the top is this share of them."""
Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ScoredSlides:
    """Slides of one fold's test patients, or of an external cohort; arrays ``(n, genes)``.

    ``truth`` repeats a patient's expression on each of their slides. ``untrained``: the twin's answer, or None.
    ``validation``: the fold model's answer for slides of its own training side, on which genes may be chosen.
    """

    name: str
    slide: TextArray
    patient: TextArray
    truth: FloatArray
    predicted: FloatArray
    untrained: FloatArray | None = None
    validation: ScoredSlides | None = None


@dataclass(frozen=True, eq=False)
class BulkScores:
    """JSON-safe (None, never NaN) but for ``units``: a row a gene with r of each fold.

    ``bulk``: criteria and counts of well-predicted genes, the number of top genes, external cohorts.
    """

    headline: Interval
    summary: dict[str, float | None]
    counts: dict[str, int]
    values: PatientValues
    per_gene: list[dict[str, Any]]
    units: pd.DataFrame
    bulk: dict[str, Any] = field(default_factory=dict)


def score_bulk(
    folds: Sequence[ScoredSlides],
    genes: Sequence[str],
    *,
    criteria: str = "standard",
    external: Sequence[ScoredSlides] = (),
    external_genes: Sequence[Sequence[str]] = (),
    reachable: Float | None = None,
) -> BulkScores:
    """Score one cohort. ``external_genes`` are the columns of each external cohort, a subset of ``genes``;
    ``reachable`` is the phantom's best r per gene."""
    _check(folds, len(genes))
    look_up(criteria, CRITERIA, kind="criteria", where="tasks.bulk.criteria")
    by_patient = [_patients(fold) for fold in folds]
    label = np.concatenate([np.full(len(truth), number) for number, (_, truth, _) in enumerate(by_patient)])
    truth = np.concatenate([part for _, part, _ in by_patient])
    predicted = np.concatenate([part for _, _, part in by_patient])
    within = per_fold_mean(truth, predicted, label)
    pooled = pearson_per_gene(truth, predicted)
    found = {name: _well_predicted(folds, CRITERIA[name]) for name in dict.fromkeys((criteria, *CRITERIA))}
    top = min(TOP_GENES, max(1, round(TOP_SHARE * len(genes))))
    rmse = root_mean_squared_error(truth, predicted)
    own = mean_correlation(
        [(fold.name, part[0].tolist(), part[1], part[2]) for fold, part in zip(folds, by_patient, strict=True)]
    )
    measured = [_external(one, own, found[criteria], genes, criteria)
                for one, own in zip(external, external_genes, strict=True)]  # fmt: skip
    return BulkScores(
        headline=fold_interval(own.values, FISHER, least=0, least_in_fold=LEAST_IN_FOLD),
        summary={
            "pearson_mean": own.values.mean,
            "pearson_mean_as_published": float(within.r.mean()),
            "pearson_pooled": float(pooled.mean()),
            "pearson_pooled_slides": _pooled_over_slides(folds),
            "well_predicted": float(found[criteria].count),
            "well_predicted_share": found[criteria].count / len(genes),
            "well_predicted_paper": float(found["paper"].count),
            "well_predicted_released": float(found["released"].count),
            "top_median": _honest_top(folds, by_patient, top),
            "top_median_as_published": top_median(pooled, top_genes(pooled, top)),
            "rmse": float(rmse.rmse.mean()),
            "rmse_by_iqr": float(rmse.by_interquartile_range.mean()),
            "rmse_by_mean": _mean_where(rmse.by_mean, ~rmse.mean_is_zero),
            "pearson_invisible_genes": None if reachable is None else _mean_where(own.r, reachable == 0),
            "external_pearson": measured[0]["pearson"] if measured else None,
            "external_held": float(measured[0]["held"]) if measured else None,
            "external_held_share": measured[0]["held_share"] if measured else None,
        },
        counts={
            "patients": len(truth),
            "slides": sum(len(fold.slide) for fold in folds),
            "genes": len(genes),
            "folds": len(folds),
            "constant_predictions": int(sum((np.ptp(part, axis=0) == 0).sum() for _, _, part in by_patient)),
        },
        values=own.values,
        per_gene=_per_gene(genes, own.r, pooled, found[criteria], reachable),
        units=_units(genes, by_patient, folds, pooled),
        bulk={
            "criteria": criteria,
            "top_genes": top,
            "untrained_twin": folds[0].untrained is not None,
            "external": measured,
        },
    )


def _patients(slides: ScoredSlides) -> tuple[TextArray, FloatArray, FloatArray]:
    """Patients with their truth and the mean of the predictions of their slides."""
    patient, truth = mean_by_patient(slides.truth, slides.patient)
    return patient, truth, mean_by_patient(slides.predicted, slides.patient)[1]


def _well_predicted(parts: Sequence[ScoredSlides], criteria: Criteria) -> WellPredicted:
    """Over all folds' test slides together: a fold alone is too small for a test (SEQUOIA, Methods)."""
    untrained = [part.untrained for part in parts if part.untrained is not None]
    return well_predicted(
        np.concatenate([part.truth for part in parts]),
        np.concatenate([part.predicted for part in parts]),
        np.concatenate(untrained) if len(untrained) == len(parts) else None,
        criteria,
        patient=np.concatenate([part.patient for part in parts]),
    )


def _pooled_over_slides(folds: Sequence[ScoredSlides]) -> float:
    truth = np.concatenate([fold.truth for fold in folds])
    return float(pearson_per_gene(truth, np.concatenate([fold.predicted for fold in folds])).mean())


def _honest_top(
    folds: Sequence[ScoredSlides], by_patient: Sequence[tuple[TextArray, FloatArray, FloatArray]], count: int
) -> float | None:
    """Median r on a fold's test patients of the genes that are best on its model's validation patients, mean of folds.

    The other folds' tests would not do: their models have learned from this fold's patients, so chance that both share
    is chosen, too. None without answers for validation patients, or with fewer than three of them.
    """
    medians = []
    for fold, (_, truth, predicted) in zip(folds, by_patient, strict=True):
        if fold.validation is None:
            return None
        _, known, answered = _patients(fold.validation)
        if len(known) < 3:
            return None
        medians.append(
            top_median(pearson_per_gene(truth, predicted), top_genes(pearson_per_gene(known, answered), count))
        )
    return float(np.mean(medians))


def _external(
    slides: ScoredSlides, own: Sequence[str], discovery: WellPredicted, genes: Sequence[str], criteria: str
) -> dict[str, Any]:
    """An external cohort: its mean r over patients, and how many of the discovered genes hold there."""
    place = {gene: column for column, gene in enumerate(genes)}
    unknown = [gene for gene in own if gene not in place]
    shape = (len(slides.slide), len(own))
    if unknown or slides.truth.shape != shape or slides.predicted.shape != shape:
        raise UserError(
            f"gene {unknown[0]} was not fitted" if unknown else f"values of shape {slides.predicted.shape}",
            where=f"external cohort {slides.name}", expected=f"{shape}, of the cohort's own genes",
            remedy="take the genes that both cohorts have",
        )  # fmt: skip
    columns = np.array([place[gene] for gene in own], dtype=np.int64)
    found = _well_predicted([slides], CRITERIA[criteria])
    held = holds(_columns(discovery, columns), found)
    _, truth, predicted = _patients(slides)
    return {
        "cohort": slides.name,
        "patients": len(truth),
        "slides": len(slides.slide),
        "genes": len(own),
        "pearson": float(pearson_per_gene(truth, predicted).mean()),
        "well_predicted": found.count,
        "held": held.confirmed,
        "held_share": held.share,
    }


def _columns(found: WellPredicted, columns: NDArray[np.int64]) -> WellPredicted:
    from dataclasses import replace

    arrays: dict[str, Any] = {
        name: value[columns] for name, value in vars(found).items() if isinstance(value, np.ndarray)
    }
    return replace(found, **arrays)


def _per_gene(
    genes: Sequence[str], within: Float, pooled: Float, found: WellPredicted, reachable: Float | None
) -> list[dict[str, Any]]:
    rows = []
    for place, gene in enumerate(genes):
        row: dict[str, Any] = {
            "gene": gene,
            "pearson": float(within[place]),
            "pearson_pooled": float(pooled[place]),
            "well_predicted": bool(found.significant[place]),
        }
        if reachable is not None:
            row |= {"reachable": float(reachable[place]), "visible_share": float(reachable[place] ** 2)}
        rows.append(row)
    return rows


def _units(
    genes: Sequence[str],
    by_patient: Sequence[tuple[TextArray, FloatArray, FloatArray]],
    folds: Sequence[ScoredSlides],
    pooled: Float,
) -> pd.DataFrame:
    import pandas as pd

    columns: dict[str, Any] = {"gene": list(genes)}
    for fold, (_, truth, predicted) in zip(folds, by_patient, strict=True):
        columns[f"r_fold_{fold.name}"] = pearson_per_gene(truth, predicted)
    return pd.DataFrame(columns | {"r_pooled": pooled})


def _mean_where(values: Float, kept: NDArray[np.bool_]) -> float | None:
    return float(values[kept].mean()) if kept.any() else None


def _check(folds: Sequence[ScoredSlides], genes: int) -> None:
    if not folds:
        raise UserError("no fold", where="bulk scoring", expected="at least one", remedy="make a split")
    tested: dict[str, str] = {}
    for fold in folds:
        where = f"fold {fold.name}"
        for array in (fold.truth, fold.predicted, *([] if fold.untrained is None else [fold.untrained])):
            if array.shape != (len(fold.slide), genes):
                raise UserError(
                    f"values of shape {array.shape}", where=where, expected=f"({len(fold.slide)}, {genes})",
                    remedy="answer for every slide and gene",
                )  # fmt: skip
            if not np.isfinite(array).all():
                raise UserError(
                    "a value is not finite", where=where, expected="finite numbers", remedy="mend predict()"
                )
        for patient in dict.fromkeys(fold.patient.tolist()):
            if patient in tested:
                raise UserError(
                    f"{patient} is tested twice, first in fold {tested[patient]}", where=where,
                    expected="each patient once", remedy="mend the split",
                )  # fmt: skip
            tested[patient] = fold.name
