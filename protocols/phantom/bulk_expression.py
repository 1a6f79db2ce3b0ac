"""Bulk expression of the phantom: what a patient's slides show of each gene, and what they do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from protocols.phantom.bulk_genes import BulkGene, Loadings, looks
from protocols.phantom.bulk_settings import BulkSettings
from protocols.phantom.tissue import Float, Tissue
from protocols.seeds import generator


@dataclass(frozen=True)
class BulkTruth:
    """``log2`` ``(patients, genes)``: log2(FPKM-UQ + 1) as measured; ``oracle``: its expectation given the slides.

    ``reachable`` ``(genes,)``: Pearson r between the two over the cohort's patients, 0 where nothing is visible.
    """

    log2: Float
    oracle: Float
    reachable: Float


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation over a cohort's patients of the slides' mean signal, per gene."""

    mean: Float
    spread: Float


def patient_signal(tissues: Sequence[Tissue], loaded: Loadings) -> Float:
    """Mean signal ``(genes,)`` over all cells of a patient's slides: bulk tissue is the sum of its cells."""
    total, cells = np.zeros(loaded.kind.shape[0]), 0
    for tissue in tissues:
        total += loaded.signal(tissue.kind, looks(tissue)).sum(axis=0)
        cells += len(tissue)
    return total / cells


def scale_of(signal: Float) -> Scale:
    """The scale of a cohort's signals ``(patients, genes)``."""
    return Scale(signal.mean(axis=0), np.maximum(signal.std(axis=0), 1e-9))


def bulk_truth(
    settings: BulkSettings,
    seed: int,
    cohort: str,
    genes: tuple[BulkGene, ...],
    signal: Float,
    scale: Scale,
    platform_sd: float = 0.0,
) -> BulkTruth:
    """Expression of a cohort whose slides' signals are given.

    log2 = base + platform + amplitude (sqrt(v) z + sqrt(1 - v) hidden), z the signal on ``scale`` and hidden a mix of
    programs (shared between genes) and a gene's own noise; never below 0.
    """
    n = len(signal)
    share = np.array([gene.visible_share for gene in genes])
    base, amplitude = np.array([gene.base for gene in genes]), np.array([gene.amplitude for gene in genes])
    shift = platform_sd * np.array([generator(seed, "bulk platform", cohort, g.name).standard_normal() for g in genes])
    programs = generator(seed, "bulk programs", cohort).standard_normal((n, settings.hidden_programs))
    hidden = np.stack([_hidden(settings, seed, cohort, gene, programs) for gene in genes], axis=1)
    seen = base + shift + amplitude * np.sqrt(share) * (signal - scale.mean) / scale.spread
    log2 = np.maximum(seen + amplitude * np.sqrt(1 - share) * hidden, 0.0)
    oracle = np.where(share > 0, seen, base + shift)
    centred, target = oracle - oracle.mean(axis=0), log2 - log2.mean(axis=0)
    norm = np.sqrt((centred**2).sum(axis=0) * (target**2).sum(axis=0))
    reachable = np.where((share > 0) & (norm > 0), (centred * target).sum(axis=0) / np.maximum(norm, 1e-30), 0.0)
    return BulkTruth(log2, np.maximum(oracle, 0.0), reachable)


def _hidden(settings: BulkSettings, seed: int, cohort: str, gene: BulkGene, programs: Float) -> Float:
    """Half of the hidden part is shared programs, so that genes correlate for reasons that no slide shows."""
    loading = generator(seed, "bulk program loading", gene.name).standard_normal(settings.hidden_programs)
    loading /= np.sqrt((loading**2).sum())
    own = generator(seed, "bulk noise", cohort, gene.name).standard_normal(len(programs))
    return np.asarray(np.sqrt(0.5) * programs @ loading + np.sqrt(0.5) * own)


def spot_means(tissue: Tissue, loaded: Loadings, centres: Float, radius_um: float) -> tuple[Float, Float]:
    """Mean signal ``(spots, genes)`` of the cells under each spot, and their number ``(spots,)``; 0 where none is."""
    from scipy.spatial import cKDTree

    signal = loaded.signal(tissue.kind, looks(tissue))
    under: Any = cKDTree(tissue.xy).query_ball_point(centres, radius_um)
    means = np.zeros((len(centres), signal.shape[1]))
    for spot, cells in enumerate(under):
        if cells:
            means[spot] = signal[sorted(cells)].mean(axis=0)
    return means, np.array([len(cells) for cells in under], dtype=np.float64)
