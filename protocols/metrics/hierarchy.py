"""From values of folds and slides to one number: fold -> slide -> patient -> mean over patients.

Each level is averaged before the next, so that a patient with many slides, or a slide with many folds, weighs no more
than another. Sums are exact (``math.fsum``), so the order of arrival does not show in the last digit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable


def mean(values: Iterable[float]) -> float | None:
    """Plain mean, independent of order; None of nothing."""
    found = list(values)
    return math.fsum(found) / len(found) if found else None


def patient_means(rows: Iterable[tuple[str, str, float | None]]) -> dict[str, float]:
    """``(patient, slide, value)`` rows to one value a patient, sorted by patient; None values are left out."""
    slides: dict[tuple[str, str], list[float]] = {}
    for patient, slide, value in rows:
        if value is not None and not math.isnan(value):
            slides.setdefault((patient, slide), []).append(value)
    patients: dict[str, list[float]] = {}
    for (patient, _), values in sorted(slides.items()):
        patients.setdefault(patient, []).append(math.fsum(values) / len(values))
    return {patient: math.fsum(values) / len(values) for patient, values in patients.items()}
