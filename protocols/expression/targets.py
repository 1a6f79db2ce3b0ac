"""What a fold's models learn and are held against: what was measured, in the measure fitted on its training rows.

Said here once, for fitting, for scoring, for the choice of genes and for the audit: no other code makes a target.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from protocols.contract import FloatArray, RowArray
from protocols.expression.measures import Measure, Scale, fit_scale
from protocols.expression.store import CohortStore


@dataclass(frozen=True, eq=False)
class Targets:
    """Targets of ``genes`` in one fold's measure. ``scale`` is None of counts, which need none."""

    genes: tuple[str, ...]
    scale: Scale | None

    def of(self, store: CohortStore, rows: RowArray) -> FloatArray:
        """float32 ``(n, genes)``, NaN where the slide's panel lacks the gene. ``store`` may be an external cohort."""
        if self.scale is None:
            return store.targets(rows, self.genes)
        return self.scale.targets(store.intensities(rows, self.genes))


def fold_targets(store: CohortStore, train: RowArray, genes: Sequence[str]) -> Targets:
    """The targets of a fold that trains on ``train``: nothing else is looked at (but for the measure that says so)."""
    measure: Measure = store.measure
    if measure.of == "counts":
        return Targets(tuple(genes), None)
    rows = train if measure.fitted_on != "cohort" else np.arange(len(store), dtype=np.int64)

    def column(gene: str) -> FloatArray:
        return store.intensities(rows, [gene])[:, 0]

    return Targets(tuple(genes), fit_scale(measure, genes, column))
