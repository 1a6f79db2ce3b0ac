"""From blocks of truth and prediction to everything a score record holds.

A *unit* is (fold, slide, gene): Pearson's r is computed within one fold's test cells of one slide, and only then
averaged over the slide's folds. Joining the folds' cells first would be wrong: each fold's model has its own offset,
and a training mean lies low exactly where its held-out cells lie high, so even a model that predicts nothing but that
mean would get a negative r. The headline is the mean over genes -> fold -> slide -> patient -> patients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from protocols.errors import UserError
from protocols.metrics.biology import BiologyResult, compare_biology
from protocols.metrics.clustering import ClusteringSettings
from protocols.metrics.correlation import PearsonAccumulator, State, score_genes
from protocols.metrics.hierarchy import mean, patient_means
from protocols.metrics.intervals import mean_interval
from protocols.metrics.summary import (
    BlockScores,
    Reachable,
    gene_rows,
    known_truth,
    per_patient,
    pooled_pearson,
    unit_counts,
    units_frame,
)
from protocols.records import Interval

if TYPE_CHECKING:
    import pandas as pd

    from protocols.metrics.slide_sample import SampledCells, SlideSample

MARKERS = ("FOXA1", "EPCAM", "ACTA2")
SLIDE_CELLS, MAP_CELLS = 5000, 2000
BIOLOGY_SCORES = ("ari", "ari_after_transfer", "rare_f1")


@dataclass(frozen=True)
class ScoredBlock:
    """One fold's test cells of one slide. ``predicted`` may hold anything where ``scored`` is False.

    ``truth`` and ``predicted`` are float32 ``(n, G)``, NaN truth = not measured; ``scored`` ``(G,)``: measured in this
    slide and in at least one training slide; ``rare_label`` ``(n,)``: cells annotated as the rare type, if known;
    ``cell_type`` ``(n,)``: annotations, "" where there is none.
    """

    fold: str
    slide: str
    patient: str
    genes: tuple[str, ...]
    cell_id: NDArray[Any]
    xy_um: NDArray[np.float32]
    truth: NDArray[np.float32]
    predicted: NDArray[np.float32]
    scored: NDArray[np.bool_]
    rare_label: NDArray[np.bool_] | None = None
    cell_type: NDArray[np.str_] | None = None


@dataclass(frozen=True)
class Scores:
    """Everything scoring knows; JSON-safe (None, never NaN) but for the two frames, which hold NaN where undefined.

    ``summary``: pearson_per_slide (the headline), pearson_pooled (secondary: all test cells of all slides and folds
    together, so offsets between slides and folds enter), spearman_per_slide, mse_per_slide, ari, ari_after_transfer,
    rare_f1, pearson_invisible_genes with _low and _high, reachable_mean (over the headline's very units).
    ``counts`` of units: scored (defined, including constant_prediction), constant_truth, too_few, unmeasured (gene
    not in the slide's panel), untrained (in the slide's panel, in no training slide's); and blocks, cells, slides,
    patients, genes (with a defined unit). ``per_gene``: gene, pearson, reachable, visible_share, n_units.
    ``biology``: one row a slide. ``units``: fold, slide, patient, gene, n, pearson, spearman, mse, state. ``maps``:
    slide, gene, x_um, y_um, truth, predicted.
    """

    headline: Interval
    summary: dict[str, float | None]
    counts: dict[str, int]
    per_patient: dict[str, float]
    per_gene: list[dict[str, Any]]
    biology: list[dict[str, Any]]
    units: pd.DataFrame
    maps: pd.DataFrame


def score_blocks(
    blocks: Iterable[ScoredBlock],
    *,
    seed: int,
    reachable: Reachable | None = None,
    rare_marker: str = "ACTA2",
    marker_candidates: Sequence[str] = MARKERS,
    blocks_per_slide: Mapping[str, int] | None = None,
    biology: bool = True,
    clustering: ClusteringSettings | None = None,
    progress: Callable[[str], None] | None = None,
) -> Scores:
    """Score blocks as they come, in any order, keeping per-gene sums and at most 5,000 cells a slide.

    ``reachable``: (slide, gene) -> (share of variance visible in morphology, best reachable r). With
    ``blocks_per_slide`` a slide's cells are released after its last block; without, they wait for the end.
    ``progress`` is called with a short text after every block and slide.
    """
    from threadpoolctl import ThreadpoolController

    from protocols.metrics.slide_sample import SlideSample

    threads = ThreadpoolController()
    kept: list[BlockScores] = []
    samples: dict[str, SlideSample] = {}
    patients: dict[str, str] = {}
    compared: dict[str, BiologyResult] = {}
    maps: dict[str, pd.DataFrame] = {}
    left = dict(blocks_per_slide or {})

    def finish(slide: str) -> None:
        cells = samples.pop(slide).cells()
        maps[slide] = _map_of(slide, cells, marker_candidates)
        if biology:
            # The matrices are small: threads only wait for each other, and their number could show in the last digit.
            with threads.limit(limits=1):
                compared[slide] = _biology_of(cells, seed, rare_marker, clustering)
        if progress:
            progress(f"slide {slide}")

    for block in blocks:
        _check(block, patients)
        with threads.limit(limits=1):
            kept.append(_score(block))
        _sample(block, samples.setdefault(block.slide, SlideSample(block.slide, seed, SLIDE_CELLS)))
        if progress:
            progress(f"{block.fold} {block.slide}")
        if block.slide in left:
            left[block.slide] -= 1
            if left[block.slide] == 0:
                finish(block.slide)
    for slide in sorted(samples):
        finish(slide)
    rows = [{"slide": slide, "patient": patients[slide], **compared[slide].to_dict()} for slide in sorted(compared)]
    kept.sort(key=lambda b: (b.fold, b.slide))
    return _assemble(kept, rows, [maps[slide] for slide in sorted(maps)], reachable or {})


def _check(block: ScoredBlock, patients: dict[str, str]) -> None:
    where = f"fold {block.fold}, slide {block.slide}"
    shape = (len(block.cell_id), len(block.genes))
    if not (block.truth.shape == block.predicted.shape == shape and block.scored.shape == shape[1:]):
        raise UserError(
            f"truth {block.truth.shape}, prediction {block.predicted.shape}, scored {block.scored.shape} do not match",
            where=where,
            expected=f"{shape[0]} units x {shape[1]} genes",
            remedy="predict every gene of the fold for every test unit, in the order given",
        )
    if not np.isfinite(block.predicted[:, block.scored]).all():
        raise UserError(
            "a predicted value is NaN or infinite",
            where=where,
            expected="finite values for every scored gene",
            remedy="mend the model's predict()",
        )
    if patients.setdefault(block.slide, block.patient) != block.patient:
        raise UserError(
            f"slide belongs to patients {patients[block.slide]!r} and {block.patient!r}",
            where=where,
            expected="one patient a slide",
            remedy="mend the cohort's patient table",
        )


def _score(block: ScoredBlock) -> BlockScores:
    truth = np.where(block.scored, block.truth, np.float32(np.nan))
    predicted = np.where(block.scored, block.predicted, np.float32(0))
    scores = score_genes(truth, predicted)
    untrained = ~block.scored & ~np.isnan(block.truth).all(axis=0)
    scores.state[untrained] = State.UNTRAINED
    moments = PearsonAccumulator(len(block.genes))
    moments.update(truth, predicted)
    return BlockScores(block.fold, block.slide, block.patient, block.genes, len(truth), scores, moments)


def _sample(block: ScoredBlock, sample: SlideSample) -> None:
    genes = tuple(gene for gene, scored in zip(block.genes, block.scored, strict=True) if scored)
    truth, predicted = block.truth[:, block.scored], block.predicted[:, block.scored]
    sample.add(block.fold, genes, block.cell_id, block.xy_um, truth, predicted, block.rare_label)


def _biology_of(
    cells: SampledCells, seed: int, rare_marker: str, clustering: ClusteringSettings | None
) -> BiologyResult:
    return compare_biology(
        cells.truth,
        cells.predicted,
        cells.genes,
        seed=seed,
        folds=cells.fold,
        rare_label=cells.rare_label,
        rare_marker=rare_marker,
        settings=clustering,
    )


def _map_of(slide: str, cells: SampledCells, candidates: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    from protocols.metrics.slide_sample import marker_gene

    gene = marker_gene(cells, candidates)
    # Rows are sorted by fold and a hash of the cell, so evenly spaced rows thin all folds evenly.
    kept = min(MAP_CELLS, len(cells.truth)) if gene else 0
    rows = np.linspace(0, len(cells.truth) - 1, kept).round().astype(np.int64)
    column = cells.genes.index(gene) if gene else 0
    empty = np.empty(0, dtype=np.float32)
    return pd.DataFrame(
        {
            "slide": np.full(kept, slide, dtype=object),
            "gene": np.full(kept, gene, dtype=object),
            "x_um": cells.xy_um[rows, 0],
            "y_um": cells.xy_um[rows, 1],
            "truth": cells.truth[rows, column] if gene else empty,
            "predicted": cells.predicted[rows, column] if gene else empty,
        }
    )


def _assemble(
    blocks: list[BlockScores], biology: list[dict[str, Any]], maps: list[pd.DataFrame], reachable: Reachable
) -> Scores:
    import pandas as pd

    headline = per_patient(blocks, lambda b: b.scores.pearson)
    known = {id(b): known_truth(b, reachable) for b in blocks}
    invisible = mean_interval(
        per_patient(blocks, lambda b: np.where(known[id(b)].visible_share == 0, b.scores.pearson, np.nan))
    )
    best = per_patient(blocks, lambda b: np.where(b.defined, known[id(b)].reachable, np.nan))
    interval = mean_interval(headline)
    summary = {
        "pearson_per_slide": interval.mean,
        "pearson_pooled": pooled_pearson(blocks),
        "spearman_per_slide": mean(per_patient(blocks, lambda b: b.scores.spearman).values()),
        "mse_per_slide": mean(per_patient(blocks, lambda b: b.scores.mse).values()),
        "pearson_invisible_genes": invisible.mean,
        "pearson_invisible_genes_low": invisible.low,
        "pearson_invisible_genes_high": invisible.high,
        "reachable_mean": mean(best.values()),
    }
    for name in BIOLOGY_SCORES:
        of_patient = patient_means((row["patient"], row["slide"], row[name]) for row in biology)
        summary[name] = mean(of_patient.values())
    empty = pd.DataFrame(columns=["slide", "gene", "x_um", "y_um", "truth", "predicted"])
    filled = [table for table in maps if len(table)]
    return Scores(
        headline=interval,
        summary=summary,
        counts=unit_counts(blocks),
        per_patient=headline,
        per_gene=gene_rows(blocks, reachable),
        biology=biology,
        units=units_frame(blocks),
        maps=pd.concat(filled, ignore_index=True) if filled else empty,
    )
