"""The local graph of a cell: up to k nearest cells within a radius, and the cell itself as the last node."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

ABSENT = -1


def nearest_cells(
    xy_um: NDArray[np.floating], slide: NDArray[np.str_], centres: NDArray[np.int64], *, count: int, radius_um: float
) -> NDArray[np.int64]:
    """Rows of up to ``count`` nearest other cells of the same slide within ``radius_um``.

    int64 ``(len(centres), count)``, nearest first, :data:`ABSENT` on the right where fewer lie within the radius.
    ``xy_um`` is ``(n, 2)``.
    """
    from scipy.spatial import cKDTree

    found = np.full((len(centres), count), ABSENT, dtype=np.int64)
    for name in np.unique(slide[centres]):
        rows = np.flatnonzero(slide == name)
        mine = np.flatnonzero(slide[centres] == name)
        tree = cKDTree(xy_um[rows])
        # One more than asked for, because the cell finds itself; unfound places are numbered len(rows).
        _, near = tree.query(xy_um[centres[mine]], k=range(1, count + 2), distance_upper_bound=radius_um)
        near = np.append(rows, ABSENT)[near]
        near[near == centres[mine][:, None]] = ABSENT
        order = np.argsort(near == ABSENT, axis=1, kind="stable")[:, :count]
        found[mine] = np.take_along_axis(near, order, axis=1)
    return found


@dataclass(frozen=True)
class LocalGraphs:
    """The graphs of one batch as one disjoint graph.

    ``cells`` int64 ``(nodes,)``: each node's row; ``edges`` int64 ``(2, e)``: every ordered pair of different nodes
    of one graph; ``distance`` float32 ``(e, 1)``: its length in units of the radius; ``centre`` int64 ``(batch,)``:
    the node of each graph's own cell.
    """

    cells: torch.Tensor
    edges: torch.Tensor
    distance: torch.Tensor
    centre: torch.Tensor

    def to(self, device: torch.device) -> LocalGraphs:
        return LocalGraphs(*(part.to(device) for part in (self.cells, self.edges, self.distance, self.centre)))


def local_graphs(
    centres: NDArray[np.int64], neighbours: NDArray[np.int64], xy_um: NDArray[np.floating], radius_um: float
) -> LocalGraphs:
    """Fully connected graphs of ``centres`` ``(batch,)`` and ``neighbours`` ``(batch, k)``, rows of ``xy_um``."""
    slots = np.concatenate([neighbours, centres[:, None]], axis=1)
    valid = slots != ABSENT
    number = np.cumsum(valid).reshape(valid.shape) - 1
    pairs = valid[:, :, None] & valid[:, None, :] & ~np.eye(slots.shape[1], dtype=bool)
    graph, source, target = np.nonzero(pairs)
    offset = xy_um[slots[graph, source]] - xy_um[slots[graph, target]]
    distance = np.sqrt((offset.astype(np.float64) ** 2).sum(axis=1)) / radius_um
    return LocalGraphs(
        cells=torch.from_numpy(slots[valid]),
        edges=torch.from_numpy(np.stack([number[graph, source], number[graph, target]])),
        distance=torch.from_numpy(distance.astype(np.float32)[:, None]),
        centre=torch.from_numpy(number[:, -1].copy()),
    )
