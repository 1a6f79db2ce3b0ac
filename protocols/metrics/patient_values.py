"""A headline taken apart by patient: what every interval, rank and test is made of.

Whatever a headline is, it is written as a weighted sum of one value a patient. Where it is a mean over patients, the
values are theirs. Where it is not (a mean over folds of a correlation or of a concordance), they are pseudo-values:
the fold's statistic plus the patient's influence on it, so that the weighted sum is the headline and the spread of the
values within a fold is the statistic's own uncertainty (Tukey 1958; Efron & Tibshirani 1993, chapter 11).

Patients are the unit: cells, tiles and slides of one patient are not independent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PatientValues:
    """One row a patient, sorted by stratum and then by patient, a patient once.

    ``value``, ``weight``: float64 ``(n,)``, the weights sum to 1. ``stratum``: the fold (of the cohort) within which
    a value varies at random; one for all where the headline is a plain mean.
    """

    patient: tuple[str, ...]
    value: Float
    weight: Float
    stratum: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.patient)

    @property
    def mean(self) -> float:
        return float(self.weight @ self.value)

    def sizes(self) -> dict[str, int]:
        """Patients by stratum."""
        return {name: self.stratum.count(name) for name in dict.fromkeys(self.stratum)}

    def to_dict(self) -> dict[str, list[Any]]:
        """As a record keeps it."""
        return {
            "patient": list(self.patient),
            "value": self.value.tolist(),
            "weight": self.weight.tolist(),
            "stratum": list(self.stratum),
        }

    @classmethod
    def from_dict(cls, told: Mapping[str, Sequence[Any]]) -> PatientValues:
        return cls(
            tuple(map(str, told["patient"])),
            np.array(told["value"], dtype=np.float64),
            np.array(told["weight"], dtype=np.float64),
            tuple(map(str, told["stratum"])),
        )


def plain_mean(values: Mapping[str, float]) -> PatientValues:
    """The mean over patients: each weighs the same."""
    patients = tuple(sorted(values))
    n = len(patients)
    return PatientValues(
        patients,
        np.array([values[one] for one in patients], dtype=np.float64),
        np.full(n, 1 / n) if n else np.zeros(0),
        ("",) * n,
    )


def mean_over_folds(folds: Mapping[str, tuple[Sequence[str], Float]]) -> PatientValues:
    """The plain mean over folds of a statistic that is the mean of each fold's values; ``folds``: patients, values."""
    order = {name: np.argsort(np.array(patients, dtype=object)) for name, (patients, _) in folds.items()}
    names = sorted(folds)
    return PatientValues(
        tuple(str(folds[name][0][at]) for name in names for at in order[name]),
        np.concatenate([np.zeros(0), *(np.asarray(folds[name][1], dtype=np.float64)[order[name]] for name in names)]),
        np.concatenate(
            [np.zeros(0), *(np.full(len(order[name]), 1 / len(order[name]) / len(names)) for name in names)]
        ),
        tuple(name for name in names for _ in order[name]),
    )


def mean_over_cohorts(parts: Mapping[str, PatientValues]) -> PatientValues:
    """The plain mean over cohorts of different people; the cohort's name goes ahead of patient and stratum."""
    names = sorted(parts)
    return PatientValues(
        tuple(f"{name}/{one}" for name in names for one in parts[name].patient),
        np.concatenate([parts[name].value for name in names]),
        np.concatenate([parts[name].weight / len(names) for name in names]),
        tuple(f"{name}/{one}" for name in names for one in parts[name].stratum),
    )
