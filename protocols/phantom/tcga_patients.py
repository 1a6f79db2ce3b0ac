"""Patients of the TCGA-like phantom: hidden factors, log-hazard, follow-up, and what C-index can be reached."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols.metrics.concordance import harrell
from protocols.phantom.tcga_settings import TcgaSettings
from protocols.seeds import generator

Float = NDArray[np.float64]
VIRTUAL_PATIENTS, VIRTUAL_COHORTS = 50_000, 8
KNOWLEDGE = ("all", "image", "genome", "none")


@dataclass(frozen=True)
class Factors:
    """Standard normal, one value a patient."""

    image: Float
    genome: Float
    shared: Float


def draw_factors(seed: int, cohort: str, n: int) -> Factors:
    """Three independent factors; each has a stream of its own, so changing one moves nothing else."""
    return Factors(*(generator(seed, "tcga factor", cohort, name).standard_normal(n) for name in vars_of(Factors)))


def vars_of(kind: type) -> tuple[str, ...]:
    return tuple(kind.__dataclass_fields__)  # type: ignore[attr-defined]


def log_hazard(settings: TcgaSettings, factors: Factors, knowing: str) -> Float:
    """What is known of the log-hazard by someone who sees everything, the image alone, or the genome alone.

    The factors are independent, so the expectation over what is not seen adds the same constant for everybody.
    """
    seen = {"all": (1, 1, 1), "image": (1, 0, 1), "genome": (0, 1, 1), "none": (0, 0, 0)}[knowing]
    weights = (settings.weight_image, settings.weight_genome, settings.weight_shared)
    parts = (factors.image, factors.genome, factors.shared)
    total = sum(sight * weight * part for sight, weight, part in zip(seen, weights, parts, strict=True))
    return np.asarray(settings.effect_scale * total + np.zeros_like(factors.image))


def follow_up(
    settings: TcgaSettings, rng: np.random.Generator, hazard: Float, censoring_months: float
) -> tuple[Float, NDArray[np.bool_]]:
    """Months (rounded to 0.01, > 0) and whether the event was seen: Weibull times, exponential censoring."""
    scale = settings.median_months / np.log(2) ** (1 / settings.weibull_shape)
    event = scale * (rng.exponential(size=len(hazard)) / np.exp(hazard)) ** (1 / settings.weibull_shape)
    censored = rng.exponential(censoring_months, len(hazard))
    return np.maximum(np.round(np.minimum(event, censored), 2), 0.01), event <= censored


def censoring_scale(settings: TcgaSettings, seed: int) -> float:
    """Mean months to censoring that censors ``censored_share`` of a large virtual cohort (bisection)."""
    factors = draw_factors(seed, "virtual censoring", VIRTUAL_PATIENTS)
    hazard = log_hazard(settings, factors, "all")
    low, high = 1.0, 10_000.0
    for _ in range(40):
        middle = float(np.sqrt(low * high))
        _, event = follow_up(settings, generator(seed, "tcga censoring"), hazard, middle)
        low, high = (middle, high) if 1 - event.mean() > settings.censored_share else (low, middle)
    return float(np.round(middle, 2))


def reachable_concordance(settings: TcgaSettings, seed: int, censoring_months: float) -> dict[str, dict[str, float]]:
    """Harrell's C of each kind of knowledge on large virtual cohorts: mean and standard error over cohorts."""
    values: dict[str, list[float]] = {name: [] for name in KNOWLEDGE}
    for number in range(VIRTUAL_COHORTS):
        factors = draw_factors(seed, f"virtual {number}", VIRTUAL_PATIENTS)
        rng = generator(seed, "virtual follow-up", number)
        time, event = follow_up(settings, rng, log_hazard(settings, factors, "all"), censoring_months)
        for name in KNOWLEDGE:
            value = harrell(time, event, log_hazard(settings, factors, name)).value
            values[name].append(0.5 if value is None else value)
    spread = VIRTUAL_COHORTS**0.5
    return {
        name: {
            "c_index": round(float(np.mean(found)), 6),
            "standard_error": round(float(np.std(found, ddof=1)) / spread, 6),
        }
        for name, found in values.items()
    }
