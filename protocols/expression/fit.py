"""Fits one expression model on one group of folds and keeps its answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from protocols.contract import Card, FloatArray, Pretrains
from protocols.expression.answers import checked, fold_file, write
from protocols.expression.pretraining import pretraining_rows
from protocols.expression.roles import externals
from protocols.expression.store import CohortStore
from protocols.expression.view_makers import CELLS, ViewMaker, cohort_crops
from protocols.splits import Fold
from protocols.task import Fit, Fitted, Question, lacks_truth


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
    """Answer every fold of a group; a malformed answer is the model's error."""
    question = fit.question
    opened, split = question.cohort, question.split
    store: CohortStore = opened.store
    folds = list(split.groups().values())[int(job)]
    numbers = {fold.name: number for number, fold in enumerate(split.folds)}
    features = fit.features.get(opened.name)
    embedding = features.embeddings[CELLS] if fit.card.encoder and features else None
    crops = cohort_crops(store, opened.entry.root)
    views = ViewMaker(store, fit.settings, crops, embedding, opened.entry.truth, fit.workspace)
    model: Any = fit.model_class()
    if isinstance(model, Pretrains):
        rows = pretraining_rows(folds)
        model.pretrain(views.training(rows, sorted(store.measured_genes(rows))))
    for fold in folds:
        answer = _answer(model, fit.card.name, views, fold)
        write(folder / fold_file(numbers[fold.name]), store, fold.test, fold.genes, answer)
    return Fitted.of(model, sum(len(fold.test) for fold in folds))


def _answer(model: Any, name: str, views: ViewMaker, fold: Fold) -> FloatArray:
    """Fit on the fold's training rows and answer for its test rows."""
    model.fit(views.training(fold.train, fold.genes))
    shape = (len(fold.test), len(fold.genes))
    return checked(model.predict(views.inputs(fold.test, fold.genes)), shape, name, fold.name)
