"""What is scored of proteins beyond correlations: R², SSIM of maps, and cell types told from predicted proteins.

All three look at the blocks (one fold's test units of one slide) as they pass to :func:`.score.score_blocks`, keep a
few numbers of each, and are averaged as the headline is: marker -> fold -> slide -> patient -> patients.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.expression.asked import Asked
from protocols.expression.score import BIOLOGY_SCORES, ScoredBlock
from protocols.metrics.correlation import MINIMUM_UNITS, Float64Array, mean_over_genes
from protocols.metrics.hierarchy import mean, patient_means
from protocols.metrics.lattice_maps import lattice_of, ssim_per_gene
from protocols.metrics.nearest_centroid import NearestCentroid, fit_nearest_centroid, macro_f1
from protocols.metrics.variance_explained import r_squared_per_gene
from protocols.records import UNITS_FILE
from protocols.splits import Fold
from protocols.task import Scored

MARKERS = ("Pan-Cytokeratin", "EpCAM", "CD8")
"""Of which a map is drawn: the first that there is."""
PER_MARKER = ("r_squared", "ssim_of_maps")
PER_SLIDE = ("cell_type_f1", "cell_type_f1_of_truth")
_AT_ONCE = 50_000


@dataclass(frozen=True, eq=False)
class BlockOfProteins:
    """What is kept of a block: per marker ``(G,)`` NaN where undefined; per slide None where undefined."""

    fold: str
    slide: str
    patient: str
    genes: tuple[str, ...]
    per_marker: dict[str, Float64Array]
    per_slide: dict[str, float | None]
    annotated: int


class ProteinScores:
    """Watches the blocks of one model on one board."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._folds = {fold.name: fold for fold in asked.folds}
        self._fitted: tuple[str, NearestCentroid | None] = ("", None)
        self._kept: list[BlockOfProteins] = []

    def watched(self, blocks: Iterator[ScoredBlock]) -> Iterator[ScoredBlock]:
        for block in blocks:
            self._kept.append(self._looked_at(block))
            yield block

    def added_to(self, scored: Scored) -> Scored:
        """The same with these numbers in its summary, counts, details and tables."""
        kept = sorted(self._kept, key=lambda one: (one.fold, one.slide))
        summary = {name: value for name, value in scored.summary.items() if name not in BIOLOGY_SCORES}
        counts = dict(scored.counts)
        for name in PER_MARKER:
            means = ((one.patient, one.slide, mean_over_genes(one.per_marker[name])) for one in kept)
            summary[name] = mean(patient_means(means).values())
            counts[f"{name}_undefined"] = sum(int(np.isnan(one.per_marker[name]).sum()) for one in kept)
        for name in PER_SLIDE:
            found = patient_means((one.patient, one.slide, one.per_slide[name]) for one in kept)
            summary[name] = mean(found.values())
            counts[f"{name}_undefined"] = sum(one.per_slide[name] is None for one in kept)
        counts["annotated"] = sum(one.annotated for one in kept)
        slides = [
            {"fold": one.fold, "slide": one.slide, "patient": one.patient, "annotated": one.annotated, **one.per_slide}
            for one in kept
        ]
        return replace(
            scored,
            summary=summary,
            counts=counts,
            per_gene=[row | self._of_marker(str(row["gene"])) for row in scored.per_gene],
            details={"cell_types": slides},
            tables={**scored.tables, UNITS_FILE: self._beside(scored.tables[UNITS_FILE], kept)},
        )

    def _looked_at(self, block: ScoredBlock) -> BlockOfProteins:
        truth = np.where(block.scored, block.truth, np.float32(np.nan))
        predicted = np.where(block.scored, block.predicted, np.float32(0))
        grid = lattice_of(block.xy_um) if self._asked.store.info.unit == "tile" else None
        span = self._asked.learnt.measure.span
        nothing = np.full(len(block.genes), np.nan)
        return BlockOfProteins(
            block.fold,
            block.slide,
            block.patient,
            block.genes,
            {
                "r_squared": r_squared_per_gene(truth, predicted),
                "ssim_of_maps": nothing if grid is None else ssim_per_gene(predicted, truth, grid, span),
            },
            self._cell_types(block, truth, predicted),
            0 if block.cell_type is None else int((block.cell_type != "").sum()),
        )

    def _cell_types(
        self, block: ScoredBlock, truth: NDArray[np.float32], predicted: NDArray[np.float32]
    ) -> dict[str, float | None]:
        """Macro F1 of what the classifier says of predicted and of true proteins, over the slide's annotated units."""
        nothing: dict[str, float | None] = dict.fromkeys(PER_SLIDE)
        known = None if block.cell_type is None else block.cell_type != ""
        if known is None or block.cell_type is None or known.sum() < MINIMUM_UNITS:
            return nothing
        classifier = self._classifier(self._folds[block.fold])
        if classifier is None:
            return nothing
        hidden = np.isnan(truth[known]).any(axis=0)  # of markers that the slide lacks, neither side is looked at
        sides = (np.where(hidden, np.float32(np.nan), values[known]) for values in (predicted, truth))
        labels = block.cell_type[known]
        return {name: macro_f1(labels, classifier.assign(one)) for name, one in zip(PER_SLIDE, sides, strict=True)}

    def _classifier(self, fold: Fold) -> NearestCentroid | None:
        """Of the fold's training units alone, in the fold's own measure; the last one is kept."""
        if self._fitted[0] != fold.name:
            self._fitted = (fold.name, fit_nearest_centroid(self._training(fold)))
        return self._fitted[1]

    def _training(self, fold: Fold) -> Iterator[tuple[NDArray[np.float32], NDArray[np.str_]]]:
        learnt, targets = self._asked.learnt, self._asked.targets(fold)
        labels = learnt.cell_type
        if labels is None:
            return
        rows = fold.train[labels[fold.train] != ""]
        for start in range(0, len(rows), _AT_ONCE):
            part = rows[start : start + _AT_ONCE]
            yield targets.of(learnt, part), labels[part]

    def _of_marker(self, gene: str) -> dict[str, float | None]:
        """Means over the marker's defined units; None where there is none."""
        found: dict[str, float | None] = {}
        for name in PER_MARKER:
            values = [
                float(one.per_marker[name][one.genes.index(gene)]) for one in self._kept if gene in one.genes
            ]  # fmt: skip
            found[name] = mean(sorted(value for value in values if not math.isnan(value)))
        return found

    @staticmethod
    def _beside(units: Any, kept: list[BlockOfProteins]) -> Any:
        """The table of units (whose blocks are in the same order) with a column for each number of a marker."""
        columns = {name: np.concatenate([np.empty(0), *(one.per_marker[name] for one in kept)]) for name in PER_MARKER}
        return units.assign(**columns)
