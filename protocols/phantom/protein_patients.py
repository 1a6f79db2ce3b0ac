"""Patients of the protein phantom: factors of space and of means, follow-up, response, and what can be reached."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols.metrics.concordance import harrell
from protocols.phantom.protein_markers import MARKERS
from protocols.phantom.protein_settings import ProteinSettings
from protocols.phantom.tcga_patients import follow_up
from protocols.phantom.tissue import Float
from protocols.seeds import generator

VIRTUAL_PATIENTS, VIRTUAL_COHORTS = 50_000, 8
CENSORING_STEPS = 40
KNOWLEDGE = ("all", "space", "means", "none")
FACTORS = ("lymphoid", "myeloid", "means")
RISING = ("CD163", "CD66b", "MMP9", "HIF1A")
FALLING = ("CD8", "CD4", "CD20", "TCF-1")
"""Markers whose mean rises and falls with the factor *means*."""


@dataclass(frozen=True)
class Factors:
    """Standard normal and independent, one value a patient.

    ``lymphoid``: how near CD4 lies to CD8; ``myeloid``: CD66b to CD163; ``means``: levels of eight markers.
    """

    lymphoid: Float
    myeloid: Float
    means: Float


def draw_factors(seed: int, cohort: str, n: int) -> Factors:
    """Each factor has a stream of its own, so changing one moves nothing else."""
    return Factors(*(generator(seed, "protein factor", cohort, name).standard_normal(n) for name in FACTORS))


def log_hazard(settings: ProteinSettings, factors: Factors, knowing: str) -> Float:
    """What is known of the log-hazard by who sees everything, the arrangement alone, or the means alone.

    Lymphocytes beside each other protect, aggregates of myeloid cells harm. The factors are independent, so what is not
    seen adds the same constant for everybody.
    """
    space, means = {"all": (1, 1), "space": (1, 0), "means": (0, 1), "none": (0, 0)}[knowing]
    total = space * settings.weight_space * (factors.myeloid - factors.lymphoid) / np.sqrt(2)
    total = total + means * settings.weight_means * factors.means
    return np.asarray(settings.effect_scale * total)


def log_levels(settings: ProteinSettings, seed: int, cohort: str, factors: Factors) -> Float:
    """Log of each patient's level of each marker, ``(patients, markers)``: noise, and in eight the factor *means*."""
    low, high = settings.mean_loading
    out = np.empty((len(factors.means), len(MARKERS)))
    for k, marker in enumerate(MARKERS):
        size = float(generator(seed, "protein mean loading", marker).uniform(low, high))
        loading = size * ((marker in RISING) - (marker in FALLING))
        own = generator(seed, "protein level", cohort, marker).standard_normal(len(out))
        out[:, k] = settings.mean_sd * (loading * factors.means + np.sqrt(1 - loading**2) * own)
    return out


def censoring_months(settings: ProteinSettings, seed: int) -> float:
    """Mean months to censoring that censors the stated share of a large virtual cohort (bisection)."""
    hazard = log_hazard(settings, draw_factors(seed, "virtual censoring", VIRTUAL_PATIENTS), "all")
    low, high = 1.0, 10_000.0
    for _ in range(CENSORING_STEPS):
        middle = float(np.sqrt(low * high))
        _, event = follow_up(settings.tcga, generator(seed, "protein censoring"), hazard, middle)
        low, high = (middle, high) if 1 - event.mean() > settings.tcga.censored_share else (low, middle)
    return float(np.round(middle, 2))


def log_odds(settings: ProteinSettings, factors: Factors, knowing: str) -> Float:
    """Log-odds of a response less their constant: who would live longer responds."""
    return -log_hazard(settings, factors, knowing)


def draw_response(settings: ProteinSettings, rng: np.random.Generator, odds: Float) -> NDArray[np.bool_]:
    """Responses ``(n,)`` of log-odds less their constant."""
    return rng.random(len(odds)) < probability(settings, odds)


def probability(settings: ProteinSettings, odds: Float) -> Float:
    """Probability of a response; where part of the log-odds is unknown, as if the rest were at its mean."""
    return np.asarray(1 / (1 + np.exp(-(settings.response_odds + odds))))


def biomarkers(settings: ProteinSettings, seed: int, cohort: str, odds: Float) -> tuple[Float, Float]:
    """PD-L1 (per cent of tumour cells, whole numbers) and TMB (mutations a megabase), both weakly informative."""
    spread = float(odds.std())
    scaled = odds / spread if spread > 0 else np.zeros(len(odds))
    rng = generator(seed, "protein biomarkers", cohort)
    level, burden = (
        r * scaled + np.sqrt(1 - r**2) * rng.standard_normal(len(odds)) for r in settings.biomarker_loading
    )
    return np.clip(np.round(100 / (1 + np.exp(1.0 - 1.4 * level))), 0, 100), np.round(np.exp(1.9 + 0.7 * burden), 1)


def ranked_auc(label: NDArray[np.bool_], score: Float) -> float:
    """Area under the ROC curve by mean ranks; .5 where all scores are equal."""
    from scipy.stats import rankdata

    positive = int(label.sum())
    negative = len(label) - positive
    return float((rankdata(score)[label].sum() - positive * (positive + 1) / 2) / (positive * negative))


def reachable(settings: ProteinSettings, seed: int, months: float) -> dict[str, dict[str, dict[str, float]]]:
    """C-index and AUC of each kind of knowledge on large virtual cohorts: mean and standard error over cohorts.

    Keys: ``c_index`` and ``auc``, then the knowledge; of the AUC also ``pd_l1`` and ``tmb``.
    """
    concordance: dict[str, list[float]] = {name: [] for name in KNOWLEDGE}
    area: dict[str, list[float]] = {name: [] for name in (*KNOWLEDGE, "pd_l1", "tmb")}
    for number in range(VIRTUAL_COHORTS):
        factors = draw_factors(seed, f"virtual {number}", VIRTUAL_PATIENTS)
        time, event = follow_up(
            settings.tcga,
            generator(seed, "protein virtual follow-up", number),
            log_hazard(settings, factors, "all"),
            months,
        )
        odds = log_odds(settings, factors, "all")
        response = draw_response(settings, generator(seed, "protein virtual response", number), odds)
        for name in KNOWLEDGE:
            value = harrell(time, event, log_hazard(settings, factors, name)).value
            concordance[name].append(0.5 if value is None else value)
            area[name].append(ranked_auc(response, log_odds(settings, factors, name)))
        for name, values in zip(("pd_l1", "tmb"), biomarkers(settings, seed, f"virtual {number}", odds), strict=True):
            area[name].append(ranked_auc(response, values))
    return {"c_index": _summary(concordance, "c_index"), "auc": _summary(area, "auc")}


def _summary(found: dict[str, list[float]], key: str) -> dict[str, dict[str, float]]:
    return {
        name: {
            key: round(float(np.mean(values)), 6),
            "standard_error": round(float(np.std(values, ddof=1)) / len(values) ** 0.5, 6),
        }
        for name, values in found.items()
    }
