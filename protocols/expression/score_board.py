"""Joins predicted with measured expression, of counts or of proteins: the only place where the two meet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from protocols import declared
from protocols.contract import FloatArray
from protocols.declared import Answered, unanswered, worst_values
from protocols.errors import UserError
from protocols.expression.answers import aligned, external_folder, fold_file
from protocols.expression.asked import Asked, asked_of
from protocols.expression.protein_scores import MARKERS, ProteinScores
from protocols.expression.score import MARKERS as GENES
from protocols.expression.score import ScoredBlock, score_blocks
from protocols.expression.store import CohortStore, SlideRecord
from protocols.expression.truth import CELLS, of_cells, of_genes
from protocols.records import MAPS_FILE, UNITS_FILE
from protocols.sentinels import Seen, notes_of, seen
from protocols.splits import Fold
from protocols.task import Question, Scored

RARE_TYPE = "myoepithelial"


def score(question: Question, answers: Path) -> Scored:
    """Score every fold, or an external cohort; ``answers`` holds a table a fold (slide, cell_id, one column a gene).

    Of proteins there is more to score, and the clusters and the rare type of cells that genes are asked for are not.
    """
    asked, truth = asked_of(question), question.opened(question.board.cohort).entry.truth
    missing = declared.read(answers)
    looked_at: list[Seen] = []
    proteins = ProteinScores(asked) if asked.store.measure.of == "intensities" else None

    def blocks() -> Iterator[ScoredBlock]:
        return _blocks(asked, answers, question.where, truth if proteins is None else None, missing)

    def filled() -> Iterator[ScoredBlock]:
        """A missing unit counts as the worst that the fold's model answers on the slide, gene by gene."""
        for block in blocks():
            looked_at.extend([seen(block.predicted[:, block.scored])] if block.scored.any() else [])
            hidden = unanswered(block.predicted).any()
            yield replace(block, predicted=_worst(block)) if hidden else block

    found = score_blocks(
        filled() if proteins is None else proteins.watched(filled()),
        seed=question.seed,
        reachable=reachable(asked.store, truth),
        marker_candidates=GENES if proteins is None else MARKERS,
        blocks_per_slide=_blocks_per_slide(asked),
        biology=proteins is None,
    )
    scored = Scored(
        headline=found.headline,
        summary=found.summary,
        counts=found.counts,
        per_patient=found.per_patient,
        per_gene=found.per_gene,
        details={"biology": found.biology},
        tables={UNITS_FILE: found.units, MAPS_FILE: found.maps},
        notes=notes_of(looked_at, "units", "expression", of="blocks of a fold and a slide"),
        answered=_answered(question, asked, missing, _answered_alone(blocks())) if missing else None,
    )
    return scored if proteins is None else proteins.added_to(scored)


def _answered(
    question: Question, asked: Asked, missing: Mapping[str, frozenset[str]], alone: Iterator[ScoredBlock]
) -> Answered:
    """The headline over the units that were answered."""
    first = next(alone, None)
    found = None if first is None else score_blocks(chain([first], alone), seed=question.seed, biology=False)
    units = sum(len(fold.test) for fold in asked.folds)
    return Answered(units, sum(map(len, missing.values())), None if found is None else found.headline.mean, "units")


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
    asked, listed = asked_of(question), question.opened(question.board.cohort).entry.published_in
    store, folds = asked.store, asked.folds
    tested = np.unique(np.concatenate([fold.test for fold in folds])) if folds else np.zeros(0, np.int64)
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
        "n_genes": len({gene for fold in folds for gene in fold.genes}),
        "n_folds": len(folds),
        "published_in": list(listed or ()),
    } | _of_proteins(asked, tested)


def _of_proteins(asked: Asked, tested: NDArray[np.int64]) -> dict[str, Any]:
    """What is said of a cohort of proteins beside: its target, its measure and how many units are annotated."""
    measure, labels = asked.learnt.measure, asked.store.cell_type
    if measure.of != "intensities":
        return {}
    annotated = 0 if labels is None else int((labels[tested] != "").sum())
    told = {"measure": measure.name, "target": measure.target, "n_annotated": annotated}
    return told | ({"fitted_on": asked.learnt.info.name} if asked.external else {})


def _blocks_per_slide(asked: Asked) -> Counter[str]:
    return Counter(slide.slide for fold in asked.folds for slide in asked.store.slides_of(fold.test))


def _answers_of(
    asked: Asked, number: int, fold: Fold, answers: Path, where: str, missing: Collection[str]
) -> FloatArray:
    """A fold's answers in row order, float32 ``(n_test, genes)``; of an external cohort the mean over all models that
    answered (of a stranger's table, which is one, itself)."""

    def read(path: Path) -> FloatArray:
        table: pd.DataFrame = pq.read_table(path, use_threads=False).to_pandas(use_threads=False)
        return aligned(table, asked.store, fold, where, missing)

    if not asked.external:
        return read(answers / fold_file(number))
    folder = answers / external_folder(asked.store.info.name)
    paths = sorted(folder.glob("*.parquet"))
    if not paths:
        raise UserError(
            "no answer", where=where, expected=f"answers of every fold model in {folder.name}", remedy="predict again"
        )
    total = np.zeros((len(fold.test), len(fold.genes)))
    for path in paths:  # one model's answers in memory at a time
        total += read(path)
    return np.asarray(total / len(paths), dtype=np.float32)


def _blocks(
    asked: Asked, answers: Path, where: str, truth: Path | None, missing: Mapping[str, frozenset[str]]
) -> Iterator[ScoredBlock]:
    store = asked.store
    cell_ids = store.units["cell_id"].to_numpy()
    labels = {slide.slide: rare_cells(truth, store, slide) for slide in store.slides} if truth else {}
    for number, fold in enumerate(asked.folds):
        predicted = _answers_of(asked, number, fold, answers, where, missing.get(fold.name, ()))
        trained, targets = asked.learnt.measured_genes(fold.train), asked.targets(fold)
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
                truth=targets.of(store, rows),
                predicted=predicted[at],
                scored=np.array([gene in slide.genes and gene in trained for gene in fold.genes]),
                rare_label=labels[slide.slide][rows - slide.start] if truth else None,
                cell_type=None if store.cell_type is None else store.cell_type[rows],
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
