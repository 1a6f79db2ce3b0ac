"""A made-up cohort of patients in memory, for contract checks and tests of survival models."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from protocols.contract import RowArray, Settings
from protocols.errors import look_up
from protocols.seeds import generator
from protocols.survival.views import PatientView, SurvivalTrainingView

SIGNATURES = {f"signature {letter}": tuple(f"{letter}{k}" for k in range(6)) for letter in "ABCDEF"}
CLINICAL = ("age", "is_female", "stage", "grade")
TILE_WIDTH = 12
PROTEINS = ("CD4", "CD8", "CD68", "CD66b")
TOKEN_WIDTH = 6


def toy_survival(n: int = 120, *, seed: int = 0, settings: Settings | None = None) -> SurvivalTrainingView:
    """``n`` patients with holes in their tables, bags of 3 to 9 tiles and a few proteins.

    Gene A0 and a shift of the tiles' first features raise the hazard, and so does stage a little; the rest is noise.
    """
    rng = generator(seed, "survival toy")
    features = tuple(sorted(f"{gene}_rnaseq" for genes in SIGNATURES.values() for gene in genes))
    genomic = rng.normal(size=(n, len(features)))
    clinical = np.column_stack(
        [rng.normal(60, 10, n), rng.integers(0, 2, n), rng.integers(1, 5, n), rng.integers(1, 4, n)]
    )
    seen = rng.normal(size=n)
    hazards = {"image": 1.2 * seen, "genome": 1.2 * genomic[:, features.index("A0_rnaseq")]}
    hazards["all"] = hazard = hazards["image"] + hazards["genome"] + 0.3 * (clinical[:, 2] - 2.5)
    event_time = 30 * (rng.exponential(size=n) / np.exp(hazard)) ** 0.75
    censored = rng.exponential(80, n)
    proteins, tokens = _proteins(generator(seed, "survival toy proteins"), hazards["image"])
    bags = {}
    patients = np.array([f"toy-{k:03d}" for k in range(n)])
    for row, patient in enumerate(patients.tolist()):
        tiles = generator(seed, "survival toy bag", patient).normal(size=(3 + row % 7, TILE_WIDTH))
        tiles[:, :3] += seen[row]
        bags[patient] = tiles.astype(np.float32)
    genomic[rng.random(genomic.shape) < 0.05] = np.nan
    clinical[rng.random(clinical.shape) < 0.05] = np.nan
    row_of = {patient: row for row, patient in enumerate(patients.tolist())}
    return SurvivalTrainingView(
        patient=patients,
        settings=settings or Settings(),
        clinical_features=CLINICAL,
        clinical=clinical.astype(np.float32),
        genomic_features=features,
        genomic=genomic.astype(np.float32),
        signatures=SIGNATURES,
        bag_reader=bags.__getitem__,
        bag_dim=TILE_WIDTH,
        oracle_reader=lambda which, wanted: look_up(which, hazards, kind="oracle", where="the toy cohort")[
            [row_of[name] for name in wanted.tolist()]
        ],
        protein_features=tuple(sorted(f"{kind}_{name}" for kind in ("mean", "niche") for name in PROTEINS)),
        proteins=proteins,
        token_reader=lambda patient: tokens[row_of[patient]],
        time=np.maximum(np.minimum(event_time, censored), 0.01),
        event=event_time <= censored,
    )


def _proteins(rng: np.random.Generator, hazard: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A table ``(n, 8)`` with holes and tokens ``(n, 4, 6)``: the hazard that tiles show, with noise, in two columns
    (a mean and a niche) and in the first two tokens."""
    n = len(hazard)
    table = rng.normal(size=(n, 2 * len(PROTEINS)))
    table[:, 0] += hazard
    table[:, len(PROTEINS)] += hazard
    table[rng.random(table.shape) < 0.05] = np.nan
    tokens = rng.normal(size=(n, len(PROTEINS), TOKEN_WIDTH))
    tokens[:, :2] += hazard[:, None, None]
    return table.astype(np.float32), tokens.astype(np.float32)


def take(view: PatientView, positions: RowArray) -> Any:
    """The same view of some of its patients, in the order given."""
    taken = {name: getattr(view, name)[positions] for name in ("patient", "clinical", "genomic", "proteins")}
    if isinstance(view, SurvivalTrainingView):
        taken |= {"time": view.time[positions], "event": view.event[positions]}
    return replace(view, **taken)


def inputs_of(view: SurvivalTrainingView) -> PatientView:
    """The patients without their follow-up."""
    return PatientView(
        **{name: value for name, value in vars(view).items() if name not in ("time", "event", "workspace")}
    )
