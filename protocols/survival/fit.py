"""Fits one survival model on one fold and keeps its risks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from protocols.contract import Card
from protocols.survival.answers import checked, fold_file, write
from protocols.survival.bags import TILES, Bags, ProteinTokens, have_tokens, serves
from protocols.survival.store import PatientStore
from protocols.survival.view_makers import PatientViews
from protocols.task import Fit, Fitted, Question, lacks_truth


def lacks(question: Question, card: Card) -> str:
    """The reason a model cannot be asked about a cohort, or an empty text."""
    opened = question.cohort
    store: PatientStore = opened.store
    truth = lacks_truth(card, opened.entry.truth)
    if truth:
        return truth
    if "slides" in card.needs and not store.slides:
        return "needs slides, and the cohort has none"
    if "slides" in card.needs and card.encoder and not serves(opened, card.encoder):
        return f"some patients have neither a slide nor a bag of encoder {card.encoder}"
    if "genomic" in card.needs and not store.genomic_features:
        return "needs a genomic table, and the cohort has none"
    if "clinical" in card.needs and not store.clinical_features:
        return "needs clinical variables, and the cohort has none"
    if "proteins" in card.needs and not store.protein_features:
        return "needs a protein table, and the cohort has none"
    if "protein_tokens" in card.needs and not have_tokens(store):
        return "some patients have no bag of protein_tokens"
    return ""


def jobs(question: Question) -> list[str]:
    """A fold is fitted by itself."""
    return [f"{number:04d}" for number in range(len(question.split.folds))]


def fit(fit: Fit, job: str, folder: Path) -> Fitted:
    """Fit on a fold's training patients, answer for its test patients, and write the answer once it was checked."""
    question, number = fit.question, int(job)
    fold, opened = question.split.folds[number], question.cohort
    features = fit.features.get(opened.name)
    bags = Bags(opened, fit.card.encoder, features.embeddings.get(TILES)) if fit.card.encoder and features else None
    truth = opened.entry.truth if "oracle" in fit.card.needs else None
    tokens = ProteinTokens(opened) if "protein_tokens" in fit.card.needs else None
    views = PatientViews(opened.store, fit.settings, bags, truth, tokens)
    model: Any = fit.model_class()
    model.fit(views.training(fold.train, fit.workspace))
    test = views.inputs(fold.test)
    answer = checked(model.predict(test), len(test), fit.card.name, f"{opened.name} {fold.name}")
    write(folder / fold_file(number), test.patient, answer)
    return Fitted.of(model, len(test))
