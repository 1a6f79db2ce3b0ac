"""Five folds by patient: does what was learned on some patients hold for others, over the whole cohort?"""

from __future__ import annotations

import numpy as np

from protocols.expression.settings import ExpressionSettings, split_settings
from protocols.expression.splits import at_most, choose_genes, known_patients, small_slides
from protocols.expression.store import CohortStore
from protocols.seeds import generator
from protocols.splits import Exclusion, Fold, Split


def five_folds(store: CohortStore, settings: ExpressionSettings, seed: int) -> Split:
    """Patients (sorted, then shuffled with the seed) are dealt to ``folds`` folds in turn, so sizes differ by one at
    most; never more folds than patients. Each fold trains on everybody else, whatever their cancer, and stands alone.
    """
    chosen = split_settings(settings, seed)
    slides, excluded = small_slides(store, chosen)
    slides, unknown = known_patients(slides)
    notes = (*excluded, *unknown)
    patients = sorted({str(slide.patient) for slide in slides})
    folds = min(chosen.folds, len(patients))
    if folds < 2:
        return Split((), (*notes, Exclusion("every slide", "folds by patient need two patients")))
    shuffled = [patients[place] for place in generator(seed, "five_folds").permutation(len(patients))]
    fold_of = {patient: place % folds for place, patient in enumerate(shuffled)}
    candidates = {gene for slide in slides for gene in slide.genes}
    made = []
    for number in range(folds):
        name = f"fold{number}"
        tested = [slide for slide in slides if fold_of[str(slide.patient)] == number]
        train = at_most(store.rows_of([slide for slide in slides if slide not in tested]), chosen, name)
        test = store.rows_of(tested)
        made.append(Fold(name, name, np.sort(train), test, choose_genes(store, train, candidates, chosen)))
    return Split(tuple(made), notes)
