"""MCAT's published validation risks, scored again: every fold's C-index and the table's rounded cells."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from protocols.metrics.concordance import harrell
from tests.cohorts import real_data

TABLE = {
    "tcga_blca": {"MCAT": (0.624, 0.034), "SNN": (0.541, 0.016), "AMIL": (0.536, 0.038)},
    "tcga_brca": {"MCAT": (0.580, 0.069), "SNN": (0.466, 0.058), "AMIL": (0.564, 0.050)},
    "tcga_luad": {"MCAT": (0.620, 0.032), "SNN": (0.539, 0.069), "AMIL": (0.559, 0.060)},
}


@pytest.mark.realdata
def test_every_published_c_index_is_met() -> None:
    folder = real_data("mcat")
    risks = pd.read_csv(folder / "published_predictions.csv.gz")
    expected = pd.read_csv(folder / "cindex_per_fold.csv")
    columns = ["model", "cohort", "fold"]
    measured = {}
    for key, part in risks.groupby(columns):
        event = part["censorship"].to_numpy() == 0
        measured[key] = harrell(part["survival_months"].to_numpy(float), event, part["risk"].to_numpy(float)).value
    assert len(expected) == len(measured) == 165
    for row in expected.itertuples(index=False):
        assert measured[row.model, row.cohort, row.fold] == pytest.approx(row.cindex, abs=1e-9)
    for cohort, cells in TABLE.items():
        for model, (mean, spread) in cells.items():
            folds = [value for (m, c, _), value in measured.items() if (m, c) == (model, cohort)]
            assert (round(float(np.mean(folds)), 3), round(float(np.std(folds)), 3)) == (mean, spread)
