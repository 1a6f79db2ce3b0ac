"""Cross-cancer: does it hold for a cancer type that was never seen?"""

from __future__ import annotations

from protocols.expression.settings import ExpressionSettings, split_settings
from protocols.expression.splits import (
    at_most,
    choose_genes,
    drop_single_patient_cancers,
    known_patients,
    patients_by_cancer,
    small_slides,
)
from protocols.expression.store import CohortStore
from protocols.splits import Exclusion, Fold, Split


def cross_cancer(store: CohortStore, settings: ExpressionSettings, seed: int) -> Split:
    """Leave one cancer out; genes are the union over all cancers, absent (never zero) where a panel lacks them.

    A patient with slides of two cancers is trained on in neither's absence: their slides leave the training set.
    """
    chosen = split_settings(settings, seed)
    slides, excluded = small_slides(store, chosen)
    slides, unknown = known_patients(slides)
    slides, single = drop_single_patient_cancers(slides)
    by_cancer = patients_by_cancer(slides)
    notes = [*excluded, *unknown, *single]
    if len(by_cancer) < 2:
        return Split((), (*notes, Exclusion("every cancer", "cross-cancer needs two cancers with two patients each")))
    folds = []
    for cancer, patients in by_cancer.items():
        train_slides = [s for s in slides if s.cancer != cancer and s.patient not in patients]
        train = at_most(store.rows_of(train_slides), chosen, cancer)
        test = store.rows_of([slide for slide in slides if slide.cancer == cancer])
        genes = choose_genes(store, train, {gene for slide in slides for gene in slide.genes}, chosen)
        folds.append(Fold(f"without {cancer}", f"without {cancer}", train, test, genes))
    return Split(tuple(folds), tuple(notes))
