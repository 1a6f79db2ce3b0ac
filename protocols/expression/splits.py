"""The parts that splits are made of: spatial blocks, guard bands, gene choice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from protocols.contract import FloatArray, RowArray
from protocols.errors import UserError
from protocols.expression.settings import SplitSettings
from protocols.expression.store import CohortStore, SlideRecord
from protocols.expression.targets import fold_targets
from protocols.seeds import generator
from protocols.splits import Exclusion

_GENE_CHUNK = 50_000


def spatial_blocks(xy_um: FloatArray, blocks: int) -> NDArray[np.int64]:
    """Cut a slide into ``blocks`` (a power of two) axis-aligned regions of equal unit count.

    The longer side is halved at its median, again and again, so no region is a thin strip.
    Returns the region of each unit, ``(n,)``.
    """
    if blocks < 2 or blocks & (blocks - 1):
        raise UserError(
            f"blocks is {blocks}",
            where="tasks.expression.split.blocks",
            expected="a power of two from 2 up",
            remedy="use 2, 4 or 8",
        )
    labels = np.zeros(len(xy_um), dtype=np.int64)
    made = 1
    while made < blocks:
        following = np.zeros_like(labels)
        for label in range(made):
            inside = np.flatnonzero(labels == label)
            axis = int(np.argmax(np.ptp(xy_um[inside], axis=0))) if len(inside) else 0
            order = inside[np.argsort(xy_um[inside, axis], kind="stable")]
            following[order] = 2 * label + (np.arange(len(order)) >= (len(order) + 1) // 2)
        labels, made = following, made * 2
    return labels


def clear_of(xy_um: FloatArray, others_um: FloatArray, crop_um: float, mpp: float) -> NDArray[np.bool_]:
    """Which centres' crops share no pixel with any crop around ``others_um`` (same slide).

    Two axis-aligned squares of side ``crop_um`` are disjoint exactly if their centres lie a side apart
    in x or in y (Chebyshev distance). Two pixels are added, because a crop's edge falls between pixels and
    resampling reads the neighbour.
    """
    if not len(others_um):
        return np.ones(len(xy_um), dtype=bool)
    distance, _ = cKDTree(others_um).query(xy_um, p=np.inf)
    return np.asarray(distance >= crop_um + 2 * mpp)


def choose_genes(store: CohortStore, train: RowArray, candidates: set[str], settings: SplitSettings) -> tuple[str, ...]:
    """The genes to predict, sorted by name; with ``top_mean``, by mean target on ``train`` rows alone."""
    names = sorted(candidates)
    top = settings.genes.top_mean
    if top is None or top >= len(names):
        return tuple(names)
    total, seen = np.zeros(len(names)), np.zeros(len(names))
    targets = fold_targets(store, train, names)
    for start in range(0, len(train), _GENE_CHUNK):
        block = targets.of(store, train[start : start + _GENE_CHUNK])
        total += np.nansum(block, axis=0, dtype=np.float64)
        seen += np.isfinite(block).sum(axis=0)
    mean = np.where(seen > 0, total / np.maximum(seen, 1), -np.inf)
    best = np.argsort(-mean, kind="stable")[:top]
    return tuple(sorted(names[index] for index in best))


def at_most(rows: RowArray, settings: SplitSettings, *names: object) -> RowArray:
    """A seeded subsample of ``max_train_units`` rows, ascending (all of them when there is no limit)."""
    limit = settings.max_train_units
    if limit is None or len(rows) <= limit:
        return rows
    return np.sort(generator(settings.seed, "max_train_units", *names).choice(rows, limit, replace=False))


def small_slides(store: CohortStore, settings: SplitSettings) -> tuple[list[SlideRecord], list[Exclusion]]:
    """Slides with enough units to correlate over, and the exclusions of the others."""
    kept = [slide for slide in store.slides if len(slide) >= settings.min_units]
    reason = f"fewer than {settings.min_units} {store.info.unit}s"
    dropped = [Exclusion(f"slide {slide.slide}", reason) for slide in store.slides if len(slide) < settings.min_units]
    return kept, dropped


def known_patients(slides: list[SlideRecord]) -> tuple[list[SlideRecord], list[Exclusion]]:
    """Slides whose patient is known: nothing else can be held out by patient."""
    unknown = [slide for slide in slides if slide.patient is None]
    reason = "patient unknown, so it cannot be shown that training and test are different people"
    return [s for s in slides if s.patient is not None], [Exclusion(f"slide {s.slide}", reason) for s in unknown]


def patients_by_cancer(slides: list[SlideRecord]) -> dict[str, list[str]]:
    """Sorted patients of each cancer, cancers sorted."""
    found: dict[str, set[str]] = {}
    for slide in slides:
        if slide.patient is not None:
            found.setdefault(slide.cancer, set()).add(slide.patient)
    return {cancer: sorted(found[cancer]) for cancer in sorted(found)}


def drop_single_patient_cancers(slides: list[SlideRecord]) -> tuple[list[SlideRecord], list[Exclusion]]:
    """PAST, Methods B: cancer types with only one patient are excluded from the generalisation analyses."""
    patients = patients_by_cancer(slides)
    single = [cancer for cancer, people in patients.items() if len(people) < 2]
    return (
        [slide for slide in slides if slide.cancer not in single],
        [Exclusion(f"cancer {cancer}", "only one patient") for cancer in single],
    )
