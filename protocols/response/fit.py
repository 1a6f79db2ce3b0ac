"""Fits one response model on one fold and keeps its probabilities."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from protocols.contract import Card
from protocols.response.answers import checked, fold_file, write
from protocols.response.contract import BIOMARKERS, biomarker_columns, niche_columns
from protocols.response.store import ResponseStore
from protocols.response.views import inputs, training
from protocols.task import Fit, Fitted, Question, lacks_truth


def lacks(question: Question, card: Card) -> str:
    """The reason a model cannot be asked about a cohort, or an empty text."""
    store: ResponseStore = question.cohort.store
    truth = lacks_truth(card, question.cohort.entry.truth)
    if truth:
        return truth
    if "clinical" in card.needs and not store.clinical_features:
        return "needs clinical variables, and the cohort has none"
    if "proteins" in card.needs and not store.protein_features:
        return "needs a table of proteins, and the cohort has none"
    if "niches" in card.needs and not len(niche_columns(store.protein_features)):
        return "needs niche_* columns among the proteins, and the cohort has none"
    for which in BIOMARKERS:
        if which in card.needs and not len(biomarker_columns(store.clinical_features, which)):
            return f"needs a clinical column {which}, and the cohort has none"
    return ""


def jobs(question: Question) -> list[str]:
    """A fold is fitted by itself."""
    return [f"{number:04d}" for number in range(len(question.split.folds))]


def fit(fit: Fit, job: str, folder: Path) -> Fitted:
    """Fit on a fold's training patients, answer for its test patients, and write the answer once it was checked."""
    question, number = fit.question, int(job)
    fold, opened = question.split.folds[number], question.cohort
    model: Any = fit.model_class()
    model.fit(training(opened.store, fold.train, fit.settings, fit.workspace))
    truth = opened.entry.truth if "oracle" in fit.card.needs else None
    test = inputs(opened.store, fold.test, fit.settings, truth)
    answer = checked(model.predict(test), len(test), fit.card.name, f"{opened.name} {fold.name}")
    write(folder / fold_file(number), test.patient, answer)
    return Fitted.of(model, len(test))
