"""Joins predicted with measured expression, the only place where the two meet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from protocols import declared
from protocols.declared import Answered, unanswered, worst_values
from protocols.expression.answers import aligned, fold_file
from protocols.expression.score import ScoredBlock, score_blocks
from protocols.expression.store import CohortStore, SlideRecord
from protocols.expression.truth import CELLS, of_cells, of_genes
from protocols.records import MAPS_FILE, UNITS_FILE
from protocols.sentinels import Seen, notes_of, seen
from protocols.splits import Fold, Split
from protocols.task import Question, Scored

RARE_TYPE = "myoepithelial"
FoldReader = Callable[[Fold], pd.DataFrame]


def score(question: Question, answers: Path) -> Scored:
    """Score every fold; ``answers`` holds a table a fold (slide, cell_id, one column a gene)."""
    store, split, truth = question.cohort.store, question.split, question.cohort.entry.truth
    numbers = {fold.name: number for number, fold in enumerate(split.folds)}

    def read(fold: Fold) -> pd.DataFrame:
        path = answers / fold_file(numbers[fold.name])
        table: pd.DataFrame = pq.read_table(path, use_threads=False).to_pandas(use_threads=False)
        return table

    missing = declared.read(answers)
    looked_at: list[Seen] = []

    def blocks() -> Iterator[ScoredBlock]:
        return _blocks(store, split, read, question.where, truth, missing)

    def filled() -> Iterator[ScoredBlock]:
        """A missing unit counts as the worst that the fold's model answers on the slide, gene by gene."""
        for block in blocks():
            looked_at.extend([seen(block.predicted[:, block.scored])] if block.scored.any() else [])
            hidden = unanswered(block.predicted).any()
            yield replace(block, predicted=_worst(block)) if hidden else block

    found = score_blocks(
        filled(),
        seed=question.seed,
        reachable=reachable(store, truth),
        blocks_per_slide=_blocks_per_slide(store, split),
    )
    return Scored(
        headline=found.headline,
        summary=found.summary,
        counts=found.counts,
        per_patient=found.per_patient,
        per_gene=found.per_gene,
        details={"biology": found.biology},
        tables={UNITS_FILE: found.units, MAPS_FILE: found.maps},
        notes=notes_of(looked_at, "units", "expression", of="blocks of a fold and a slide"),
        answered=_answered(question, missing, _answered_alone(blocks())) if missing else None,
    )


def _answered(question: Question, missing: Mapping[str, frozenset[str]], alone: Iterator[ScoredBlock]) -> Answered:
    """The headline over the units that were answered."""
    first = next(alone, None)
    found = None if first is None else score_blocks(chain([first], alone), seed=question.seed, biology=False)
    asked = sum(len(fold.test) for fold in question.split.folds)
    return Answered(asked, sum(map(len, missing.values())), None if found is None else found.headline.mean, "units")


def _worst(block: ScoredBlock) -> NDArray[np.float32]:
    return worst_values(block.truth, block.predicted).astype(np.float32)


def _answered_alone(blocks: Iterator[ScoredBlock]) -> Iterator[ScoredBlock]:
    for block in blocks:
        kept = ~unanswered(block.predicted)
        arrays = {name: getattr(block, name)[kept] for name in ("cell_id", "xy_um", "truth", "predicted")}
        rare = None if block.rare_label is None else block.rare_label[kept]
        if kept.any():
            yield replace(block, **arrays, rare_label=rare)


def describe(question: Question) -> dict[str, Any]:
    """What a leaderboard says of the cohort, counting only what the protocol tested."""
    store, split = question.cohort.store, question.split
    tested = np.unique(np.concatenate([fold.test for fold in split.folds])) if split.folds else np.zeros(0, np.int64)
    slides = store.slides_of(tested)
    return {
        "name": store.info.name,
        "phantom": store.info.phantom,
        "unit": store.info.unit,
        "crop_um": store.info.crop_um,
        "crop_pixels": store.info.crop_pixels,
        "n_slides": len(slides),
        "n_patients": len({slide.patient or slide.slide for slide in slides}),
        "n_unknown_patients": sum(slide.patient is None for slide in slides),
        "n_cancers": len({slide.cancer for slide in slides}),
        "n_cells": len(tested),
        "n_genes": len({gene for fold in split.folds for gene in fold.genes}),
        "n_folds": len(split.folds),
        "published_in": list(question.cohort.entry.published_in or ()),
    }


def _blocks_per_slide(store: CohortStore, split: Split) -> Counter[str]:
    return Counter(slide.slide for fold in split.folds for slide in store.slides_of(fold.test))


def _blocks(
    store: CohortStore,
    split: Split,
    read_fold: FoldReader,
    where: str,
    truth: Path | None,
    missing: Mapping[str, frozenset[str]],
) -> Iterator[ScoredBlock]:
    cell_ids = store.units["cell_id"].to_numpy()
    labels = {slide.slide: rare_cells(truth, store, slide) for slide in store.slides} if truth else {}
    for fold in split.folds:
        predicted = aligned(read_fold(fold), store, fold, where, missing.get(fold.name, ()))
        trained = store.measured_genes(fold.train)
        index = store.slide_index[fold.test]
        for position in np.unique(index):
            slide, at = store.slides[position], np.flatnonzero(index == position)
            rows = fold.test[at]
            yield ScoredBlock(
                fold=fold.name,
                slide=slide.slide,
                patient=slide.patient or f"unknown patient of {slide.slide}",
                genes=fold.genes,
                cell_id=cell_ids[rows],
                xy_um=store.xy_um[rows],
                truth=store.targets(rows, fold.genes),
                predicted=predicted[at],
                scored=np.array([gene in slide.genes and gene in trained for gene in fold.genes]),
                rare_label=labels[slide.slide][rows - slide.start] if truth else None,
            )


def reachable(store: CohortStore, truth: Path | None) -> dict[tuple[str, str], tuple[float, float]] | None:
    """(slide, gene) → (visible share, best reachable Pearson r) of a phantom; None for real cohorts."""
    if truth is None:
        return None
    table = of_genes(truth)
    slides = {slide.slide for slide in store.slides}
    table = table[table["slide"].isin(slides)]
    return {
        (str(slide), str(gene)): (float(share), float(best))
        for slide, gene, share, best in table.itertuples(index=False)
    }


def rare_cells(truth: Path, store: CohortStore, slide: SlideRecord) -> NDArray[np.bool_]:
    """Which of a slide's units, in row order, the phantom drew as its rare type."""
    cells = store.units["cell_id"].to_numpy()[slide.start : slide.stop]
    drawn = of_cells(truth, CELLS, slide.slide, cells, ["cell_type"])["cell_type"]
    return np.asarray(drawn == RARE_TYPE, dtype=bool)
