"""R², maps of tiles and nearest centroids, each against an independent library."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.metrics import structural_similarity
from sklearn.metrics import f1_score, r2_score
from sklearn.neighbors import NearestCentroid
from sklearn.preprocessing import StandardScaler

from protocols.metrics.lattice_maps import lattice_of, ssim_per_gene
from protocols.metrics.nearest_centroid import fit_nearest_centroid, macro_f1
from protocols.metrics.variance_explained import r_squared_per_gene


def test_r_squared_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(3, 2, (200, 5)).astype(np.float32)
    predicted = (0.4 * truth + rng.normal(size=truth.shape)).astype(np.float32)
    predicted[:, 4] = 2.0  # constant: an answer that explains nothing
    found = r_squared_per_gene(truth, predicted)
    expected = [r2_score(t.astype(float), p.astype(float)) for t, p in zip(truth.T, predicted.T, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert found.min() < 0  # the scale is wrong, and r does not see it
    holes = truth.copy()
    holes[::3, 0] = np.nan
    kept = np.isfinite(holes[:, 0])
    assert r_squared_per_gene(holes, predicted)[0] == pytest.approx(r2_score(truth[kept, 0], predicted[kept, 0]))


def test_r_squared_is_undefined_where_a_correlation_is() -> None:
    truth = np.column_stack([np.full(5, 2.0), [1, 2, np.nan, np.nan, np.nan], np.full(5, np.nan), np.arange(5.0)])
    found = r_squared_per_gene(truth, np.ones_like(truth))
    assert np.isnan(found).tolist() == [True, True, True, False]


def grid_of(side: int, step: float = 112.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    row, column = np.divmod(np.arange(side * side), side)
    return row, column, np.column_stack([50 + step * column, 900 + step * row]).astype(np.float32)


def test_a_map_of_whole_tiles_is_scikit_images() -> None:
    row, column, xy = grid_of(12)
    rng = np.random.default_rng(1)
    truth = rng.uniform(size=(144, 3)).astype(np.float32)
    predicted = np.clip(truth + rng.normal(0, 0.2, truth.shape), 0, 1).astype(np.float32)
    order = rng.permutation(144)
    grid = lattice_of(xy[order])
    assert grid is not None
    assert (grid.row.tolist(), grid.column.tolist()) == (row[order].tolist(), column[order].tolist())
    found = ssim_per_gene(predicted[order], truth[order], grid, 1.0)
    for gene in range(3):
        maps = [side[:, gene].reshape(12, 12).astype(float) for side in (truth, predicted)]
        assert found[gene] == pytest.approx(structural_similarity(*maps, win_size=7, data_range=1.0), abs=1e-9)
    # Of another unit, with the truth's own range: the same number.
    scaled = ssim_per_gene(predicted[order] * 255, truth[order] * 255, grid, None)
    for gene in range(3):
        maps = [side[:, gene].reshape(12, 12).astype(float) for side in (truth, predicted)]
        own = structural_similarity(*maps, win_size=7, data_range=np.ptp(maps[0]))
        assert scaled[gene] == pytest.approx(own, abs=1e-6)


def test_a_missing_tile_is_in_no_window() -> None:
    _, _, xy = grid_of(12)
    rng = np.random.default_rng(2)
    truth, predicted = rng.uniform(size=(2, 144, 1))
    gone = np.arange(144) == 0  # a corner: one window of 36 has it
    kept = lattice_of(xy[~gone])
    assert kept is not None
    found = ssim_per_gene(predicted[~gone], truth[~gone], kept, 1.0)
    maps = [side[:, 0].reshape(12, 12) for side in (truth, predicted)]
    _, local = structural_similarity(*maps, win_size=7, data_range=1.0, full=True)
    inner = local[3:-3, 3:-3].ravel()
    assert found[0] == pytest.approx(inner[1:].mean(), abs=1e-9)


def test_what_is_no_lattice_has_no_map() -> None:
    rng = np.random.default_rng(3)
    assert lattice_of(rng.uniform(0, 1000, (50, 2)).astype(np.float32)) is None
    _, _, xy = grid_of(5)
    assert lattice_of(np.concatenate([xy, xy[:1]])) is None  # two at one place
    assert lattice_of(xy[:1]) is None
    assert lattice_of(rng.permutation(100_000)[:200].reshape(100, 2).astype(np.float64)) is None  # whole numbers
    tiny = lattice_of(grid_of(2)[2])
    assert tiny is not None
    assert np.isnan(ssim_per_gene(np.ones((4, 1)), np.ones((4, 1)), tiny, 1.0)).all()  # no window fits
    wide = lattice_of(grid_of(9)[2])
    assert wide is not None
    assert np.isnan(ssim_per_gene(np.ones((81, 1)), np.ones((81, 1)), wide, None)).all()  # a constant truth's range


def test_nearest_centroids_are_scikit_learns() -> None:
    rng = np.random.default_rng(4)
    labels = rng.choice(["B", "T", "tumour"], 600, p=[0.2, 0.3, 0.5])
    centre = {"B": [5, 0, 0, 1], "T": [0, 50, 1, 1], "tumour": [0, 0, 3, 1]}
    values = np.array([centre[name] for name in labels]) + rng.normal(0, [3, 30, 2, 0.5], (600, 4))
    values = values.astype(np.float32)
    train, test = slice(0, 400), slice(400, 600)
    chunks = [(values[at : at + 150], labels[at : at + 150]) for at in range(0, 400, 150)]
    chunks[-1] = (values[300:400], labels[300:400])
    found = fit_nearest_centroid(iter(chunks))
    assert found is not None
    scaler = StandardScaler().fit(values[train].astype(float))
    theirs = NearestCentroid().fit(scaler.transform(values[train].astype(float)), labels[train])
    np.testing.assert_allclose(found.centre, theirs.centroids_, atol=1e-9)
    said = found.assign(values[test])
    assert said.tolist() == theirs.predict(scaler.transform(values[test].astype(float))).tolist()
    expected = f1_score(labels[test], said, average="macro", zero_division=0)
    assert macro_f1(labels[test], said) == pytest.approx(expected, abs=1e-12)
    assert 0.5 < expected < 1


def test_what_is_not_annotated_or_not_measured_counts_nowhere() -> None:
    rng = np.random.default_rng(5)
    values = rng.normal(size=(40, 3))
    labels = np.where(np.arange(40) % 2 == 0, "a", "b")
    values[labels == "b", 0] += 3
    whole = fit_nearest_centroid([(values, labels)])
    unknown = np.concatenate([labels, np.full(5, "")])
    more = fit_nearest_centroid([(np.concatenate([values, np.full((5, 3), 1e6)]), unknown)])
    assert whole is not None
    assert more is not None
    np.testing.assert_allclose(whole.centre, more.centre)
    constant = fit_nearest_centroid([(np.column_stack([values, np.full(40, 7.0)]), labels)])
    assert constant is not None
    assert constant.assign(np.column_stack([values, np.full(40, 7.0)])).tolist() == whole.assign(values).tolist()
    lacking = values.copy()
    lacking[:10, 2] = np.nan
    two = fit_nearest_centroid([(values[:, :2], labels)])
    holed = fit_nearest_centroid([(lacking, labels)])
    assert two is not None
    assert holed is not None
    assert holed.assign(values).tolist() == two.assign(values[:, :2]).tolist()
    assert fit_nearest_centroid([(values, np.full(40, "a"))]) is None
    assert fit_nearest_centroid([(values, np.full(40, ""))]) is None
    assert macro_f1(np.array([], dtype=str), np.array([], dtype=str)) is None
