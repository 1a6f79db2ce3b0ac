"""Neighbours and local graphs by hand."""

from __future__ import annotations

import numpy as np

from past_model.neighbours import ABSENT, local_graphs, nearest_cells

XY = np.array([[0, 0], [3, 0], [0, 4], [100, 0], [1, 0]], dtype=np.float32)
SLIDE = np.array(["a", "a", "a", "a", "b"])


def test_nearest_first_within_radius_and_slide_without_the_cell_itself() -> None:
    found = nearest_cells(XY, SLIDE, np.array([0, 3, 4, 1]), count=2, radius_um=10)
    assert found.tolist() == [[1, 2], [ABSENT, ABSENT], [ABSENT, ABSENT], [0, 2]]
    assert nearest_cells(XY, SLIDE, np.array([0]), count=1, radius_um=10).tolist() == [[1]]
    assert nearest_cells(XY, SLIDE, np.array([0]), count=2, radius_um=3.5).tolist() == [[1, ABSENT]]


def test_cells_at_one_place_find_each_other_not_themselves() -> None:
    xy = np.zeros((3, 2), dtype=np.float32)
    found = nearest_cells(xy, np.full(3, "a"), np.arange(3), count=2, radius_um=1)
    assert [sorted(row) for row in found.tolist()] == [[1, 2], [0, 2], [0, 1]]


def test_agrees_with_all_distances() -> None:
    rng = np.random.default_rng(0)
    xy, slide = rng.uniform(0, 100, (80, 2)), rng.choice(["a", "b"], 80)
    found = nearest_cells(xy, slide, np.arange(80), count=4, radius_um=20)
    for i, row in enumerate(found):
        apart = np.where(slide == slide[i], np.hypot(*(xy - xy[i]).T), np.inf)
        apart[i] = np.inf
        order = [int(j) for j in np.argsort(apart) if apart[j] < 20][:4]
        assert row.tolist() == order + [ABSENT] * (4 - len(order))


def test_graphs_are_fully_connected_with_the_centre_last_and_distances_in_radii() -> None:
    graphs = local_graphs(np.array([0, 3]), np.array([[1, 2], [ABSENT, ABSENT]]), XY, radius_um=10)
    assert graphs.cells.tolist() == [1, 2, 0, 3]
    assert graphs.centre.tolist() == [2, 3]
    edges = dict(zip(map(tuple, graphs.edges.T.tolist()), graphs.distance[:, 0].tolist(), strict=True))
    assert edges.keys() == {(a, b) for a in range(3) for b in range(3) if a != b}  # the lone cell has none
    np.testing.assert_allclose([edges[2, 0], edges[2, 1], edges[0, 1], edges[1, 0]], [0.3, 0.4, 0.5, 0.5], rtol=1e-6)


def test_eight_neighbours_make_seventy_two_edges() -> None:
    xy = np.random.default_rng(0).uniform(0, 5, (9, 2))
    near = nearest_cells(xy, np.full(9, "a"), np.array([4]), count=8, radius_um=30)
    assert local_graphs(np.array([4]), near, xy, 30).edges.shape == (2, 72)
