"""Made-up treated patients in memory, for contract checks and tests of response models."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from protocols.contract import RowArray, Settings
from protocols.errors import look_up
from protocols.response.views import PatientView, TrainingView
from protocols.seeds import generator

MARKERS = ("CD3e", "CD4", "CD8", "CD68", "FOXP3", "PD-L1")
CLINICAL = ("age", "pdl1", "tmb")
PROTEINS = tuple(sorted((*(f"mean_{name}" for name in MARKERS), "niche_CD8_CD4", "niche_CD68_MPO")))
STRENGTH = {"pdl1": 0.8, "tmb": 0.8, "mean_CD8": 1.2, "niche_CD8_CD4": 1.2}
"""Log odds a standard deviation; the rest is noise."""
READS = {"pdl1": ("pdl1",), "tmb": ("tmb",), "clinical": ("pdl1", "tmb"), "means": ("mean_CD8",),
         "proteins": ("mean_CD8", "niche_CD8_CD4"), "all": tuple(STRENGTH)}  # fmt: skip
"""What each kind of model can know."""


def toy_response(n: int = 150, *, seed: int = 0, settings: Settings | None = None) -> TrainingView:
    """``n`` patients, a third or so of whom respond, with holes in both tables."""
    rng = generator(seed, "response toy")
    features = (*CLINICAL, *PROTEINS)
    values = rng.normal(size=(n, len(features)))
    place = {name: features.index(name) for name in STRENGTH}
    logits = {
        which: -0.8 + sum(STRENGTH[name] * values[:, place[name]] for name in names) for which, names in READS.items()
    }
    truth = {which: 1 / (1 + np.exp(-logit)) for which, logit in logits.items()}
    response = rng.random(n) < truth["all"]
    response[:4] = [True, True, False, False]  # the fewest of whom still are of both outcomes
    shown = values * np.array([10.0, 0.3, 4.0, *np.full(len(PROTEINS), 0.1)]) + 2
    shown[rng.random(shown.shape) < 0.03] = np.nan
    patients = np.array([f"toy-{k:04d}" for k in range(n)])
    row_of = {patient: row for row, patient in enumerate(patients.tolist())}
    split = len(CLINICAL)
    return TrainingView(
        patient=patients,
        settings=settings or Settings(),
        clinical_features=CLINICAL,
        clinical=shown[:, :split].astype(np.float32),
        protein_features=PROTEINS,
        proteins=shown[:, split:].astype(np.float32),
        oracle_reader=lambda which, wanted: look_up(which, truth, kind="oracle", where="the toy cohort")[
            [row_of[name] for name in wanted.tolist()]
        ],
        response=response,
    )


def take(view: PatientView, positions: RowArray) -> Any:
    """The same view of some of its patients, in the order given."""
    taken = {name: getattr(view, name)[positions] for name in ("patient", "clinical", "proteins")}
    if isinstance(view, TrainingView):
        taken["response"] = view.response[positions]
    return replace(view, **taken)


def inputs_of(view: TrainingView) -> PatientView:
    """The patients without their outcome."""
    return PatientView(**{name: value for name, value in vars(view).items() if name not in ("response", "workspace")})
