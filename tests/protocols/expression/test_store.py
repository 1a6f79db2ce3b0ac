"""The stored cohort: what was read comes back by row number, holes included."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from protocols.errors import UserError
from protocols.expression.store import CohortStore
from tests.cohorts import SlideSpec, folder_hash, six_patients, slide_data, store_of


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> CohortStore:
    return store_of(six_patients(), tmp_path_factory.mktemp("cohort"))


def test_counts_come_back_in_any_row_order(store: CohortStore) -> None:
    rows = np.array([700, 3, 130, 4, 701])
    counts, measured, totals = store.counts(rows, ["B", "E", "A"])
    for position, row in enumerate(rows):
        slide = store.slides[store.slide_index[row]]
        data = slide_data(next(spec for spec in six_patients() if spec.slide == slide.slide))
        whole = data.counts[row - slide.start].toarray().ravel()
        for column, gene in enumerate(["B", "E", "A"]):
            assert measured[position, column] == (gene in slide.genes)
            if gene in slide.genes:
                assert counts[position, column] == whole[slide.genes.index(gene)]
        assert totals[position] == whole.sum()


def test_unmeasured_is_nan_never_zero(store: CohortStore) -> None:
    rows = np.array([0, 120])  # slide s1 measures E, s2 does not
    targets = store.targets(rows, ["E"])
    assert np.isfinite(targets[0, 0])
    assert np.isnan(targets[1, 0])


def test_target_by_hand(store: CohortStore) -> None:
    counts, _, totals = store.counts(np.array([5]), ["B"])
    assert store.targets(np.array([5]), ["B"])[0, 0] == pytest.approx(
        np.log1p(counts[0, 0] / totals[0] * 1e4), rel=1e-6
    )


def test_micrometres_follow_mpp(store: CohortStore) -> None:
    assert np.allclose(store.xy_um[:3], store.units[["x_px", "y_px"]].to_numpy()[:3] * 0.5)


def test_hash_is_of_content(tmp_path: Path) -> None:
    specs = [SlideSpec("a", "p", "x"), SlideSpec("b", "q", "x")]
    first = folder_hash(store_of(specs, tmp_path / "1").folder)
    assert folder_hash(store_of(specs, tmp_path / "2").folder) == first
    assert folder_hash(store_of(specs, tmp_path / "3", seed=1).folder) != first
    assert folder_hash(store_of([specs[0], SlideSpec("b", "other", "x")], tmp_path / "4").folder) != first


def test_missing_store_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="dvc repro read"):
        CohortStore(tmp_path)
