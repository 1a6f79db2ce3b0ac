"""Inter-patient: does what was learned on some patients of a cancer hold for another patient?"""

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
from protocols.splits import Fold, Split


def inter_patient(store: CohortStore, settings: ExpressionSettings, seed: int) -> Split:
    """Leave one patient out within each cancer; genes are the union over the cancer's patients.

    The n-th patients of all cancers form one group (they may share pre-training), unless somebody has slides
    of two cancers: then each fold stands alone.
    """
    chosen = split_settings(settings, seed)
    slides, excluded = small_slides(store, chosen)
    slides, unknown = known_patients(slides)
    slides, single = drop_single_patient_cancers(slides)
    by_cancer = patients_by_cancer(slides)
    everybody = [patient for patients in by_cancer.values() for patient in patients]
    share = len(everybody) == len(set(everybody))
    folds = []
    for cancer, patients in by_cancer.items():
        of_cancer = [slide for slide in slides if slide.cancer == cancer]
        for turn, patient in enumerate(patients):
            name = f"{cancer}/{patient}"
            train = at_most(store.rows_of([s for s in of_cancer if s.patient != patient]), chosen, name)
            test = store.rows_of([slide for slide in of_cancer if slide.patient == patient])
            genes = choose_genes(store, train, {gene for slide in of_cancer for gene in slide.genes}, chosen)
            folds.append(Fold(name, f"patient{turn}" if share else name, train, test, genes))
    return Split(tuple(folds), (*excluded, *unknown, *single))
