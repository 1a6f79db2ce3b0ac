"""Neighbours and local graphs on a hand-made slide."""

from __future__ import annotations

import numpy as np
import torch

from past_model.neighbours import ABSENT, local_graphs, nearest_cells

XY = np.array([[0, 0], [3, 0], [0, 4], [50, 0], [1, 0]], dtype=np.float32)
SLIDE = np.array(["a", "a", "a", "a", "b"])


def test_nearest_first_within_the_radius_and_the_slide() -> None:
    near = nearest_cells(XY, SLIDE, np.array([0, 3, 1]), count=3, radius_um=10)
    assert near.tolist() == [[1, 2, ABSENT], [ABSENT, ABSENT, ABSENT], [0, 2, ABSENT]]


def test_only_so_many_are_kept() -> None:
    assert nearest_cells(XY, SLIDE, np.array([0]), count=1, radius_um=10).tolist() == [[1]]


def test_cell_is_not_its_own_neighbour_even_beside_a_twin() -> None:
    xy = np.zeros((3, 2), dtype=np.float32)
    near = nearest_cells(xy, np.array(["a"] * 3), np.arange(3), count=2, radius_um=1)
    assert [sorted(row) for row in near.tolist()] == [[1, 2], [0, 2], [0, 1]]


def test_agrees_with_all_pairs() -> None:
    rng = np.random.default_rng(3)
    xy = rng.uniform(0, 30, (60, 2)).astype(np.float32)
    slide = rng.choice(["a", "b"], 60)
    near = nearest_cells(xy, slide, np.arange(60), count=5, radius_um=6)
    for i, row in enumerate(near):
        distance = np.linalg.norm(xy - xy[i], axis=1).astype(float)
        distance[(slide != slide[i]) | (np.arange(60) == i) | (distance >= 6)] = np.inf
        expected = np.argsort(distance)[: min(5, np.isfinite(distance).sum())]
        assert [cell for cell in row if cell != ABSENT] == expected.tolist()


def test_graphs_are_complete_disjoint_and_end_in_their_centre() -> None:
    graphs = local_graphs(np.array([0, 3]), np.array([[1, 2], [ABSENT, ABSENT]]), XY, radius_um=10)
    assert graphs.cells.tolist() == [1, 2, 0, 3]
    assert graphs.centre.tolist() == [2, 3]
    assert {tuple(edge) for edge in graphs.edges.T.tolist()} == {(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)}
    length = {tuple(e): d for e, d in zip(graphs.edges.T.tolist(), graphs.distance[:, 0].tolist(), strict=True)}
    assert length[0, 1] == length[1, 0] == 0.5  # a 3-4-5 triangle over a radius of 10
    assert graphs.distance.dtype == torch.float32


def test_eight_neighbours_give_seventy_two_edges() -> None:
    xy = np.random.default_rng(0).uniform(0, 1, (9, 2)).astype(np.float32)
    graphs = local_graphs(np.array([8]), np.arange(8)[None], xy, radius_um=1)
    assert graphs.edges.shape == (2, 72)
