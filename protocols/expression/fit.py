"""Fits one expression model on one group of folds and keeps its answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from protocols.contract import Card, FloatArray, Pretrains
from protocols.expression.answers import checked, external_folder, fold_file, write
from protocols.expression.asked import external_fold
from protocols.expression.pretraining import pretraining_rows
from protocols.expression.roles import externals
from protocols.expression.store import CohortStore
from protocols.expression.view_makers import CELLS, ViewMaker, cohort_crops
from protocols.splits import Fold
from protocols.task import Fit, Fitted, Opened, Question, lacks_truth


def lacks(question: Question, card: Card) -> str:
    """The reason a model cannot be asked about a cohort, or an empty text."""
    if "counts" in card.needs and question.cohort.store.measure.of != "counts":
        return "learns from counts, and the cohort has intensities of proteins"
    for name in externals(question) if "oracle" in card.needs else ():
        if question.companions[name].entry.truth is None:
            return f"needs a known truth, and {name} has none"
    return lacks_truth(card, question.cohort.entry.truth)


def jobs(question: Question) -> list[str]:
    """A group of folds, which may share its pre-training, is fitted by one process; large groups first."""
    groups = question.split.groups()
    order = sorted(enumerate(groups), key=lambda one: -sum(len(fold.train) for fold in groups[one[1]]))
    return [str(number) for number, _ in order]


def fit(fit: Fit, job: str, folder: Path) -> Fitted:
    """Answer every fold of a group, and the external cohorts; a malformed answer is the model's error."""
    question = fit.question
    opened, split = question.cohort, question.split
    store: CohortStore = opened.store
    folds = list(split.groups().values())[int(job)]
    numbers = {fold.name: number for number, fold in enumerate(split.folds)}
    views = _views(fit, opened)
    asked_too = {name: question.companions[name] for name in externals(question)}
    others = {name: (other, _views(fit, other)) for name, other in asked_too.items()}
    answered = 0
    model: Any = fit.model_class()
    if isinstance(model, Pretrains):
        rows = pretraining_rows(folds)
        model.pretrain(views.training(rows, sorted(store.measured_genes(rows))))
    for fold in folds:
        model.fit(views.training(fold.train, fold.genes))
        number = fold_file(numbers[fold.name])
        write(folder / number, store, fold.test, fold.genes, _answer(model, fit.card.name, views, fold))
        answered += len(fold.test)
        for name, (other, its_views) in others.items():
            common = external_fold(store, split, other, question.seed)
            its_views.in_measure_of(views)
            (folder / external_folder(name)).mkdir(parents=True, exist_ok=True)
            # The model is asked for the genes that it was fitted on; those that the other cohort lacks are left out.
            whole = _answer(model, fit.card.name, its_views, replace(common, genes=fold.genes))
            kept = np.array([fold.genes.index(gene) for gene in common.genes], dtype=np.int64)
            write(folder / external_folder(name) / number, other.store, common.test, common.genes, whole[:, kept])
            answered += len(common.test)
    return Fitted.of(model, answered)


def _views(fit: Fit, opened: Opened) -> ViewMaker:
    """Views of a cohort for this model."""
    features = fit.features.get(opened.name)
    embedding = features.embeddings[CELLS] if fit.card.encoder and features else None
    crops = cohort_crops(opened.store, opened.entry.root)
    return ViewMaker(opened.store, fit.settings, crops, embedding, opened.entry.truth, fit.workspace)


def _answer(model: Any, name: str, views: ViewMaker, fold: Fold) -> FloatArray:
    """What a fitted model answers for the fold's test rows."""
    shape = (len(fold.test), len(fold.genes))
    return checked(model.predict(views.inputs(fold.test, fold.genes)), shape, name, fold.name)
