"""The graph branch: two graph-attention layers over each cell's neighbourhood (torch_geometric, imported lazily)."""

from __future__ import annotations

import warnings
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from past_model.neighbours import LocalGraphs
from past_model.settings import PastSettings


class GraphEncoder(nn.Module):
    """Node features ``(nodes, in)`` to the centre cells' vectors, float32 ``(batch, cell_dim)``.

    One head a layer, each followed by layer-norm; ReLU and dropout between them. With ``distances``, GATv2 with the
    edge's length as its feature (a self-loop has length 0); without, plain GAT as in the released code.
    """

    def __init__(self, settings: PastSettings, in_channels: int, *, distances: bool) -> None:
        super().__init__()
        with warnings.catch_warnings():  # torch_geometric scripts some of its classes while it is imported
            warnings.simplefilter("ignore", DeprecationWarning)
            from torch_geometric.nn import GATConv, GATv2Conv

        sizes = (in_channels, settings.graph_hidden, settings.cell_dim)
        self.distances = distances
        self.convs = nn.ModuleList(
            GATv2Conv(inner, outer, edge_dim=1, fill_value=0.0) if distances else GATConv(inner, outer)
            for inner, outer in pairwise(sizes)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(size) for size in sizes[1:])
        self.dropout = settings.graph_dropout

    def forward(self, nodes: Tensor, graphs: LocalGraphs) -> Tensor:
        last = len(self.convs) - 1
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            edge = {"edge_attr": graphs.distance} if self.distances else {}
            nodes = norm(conv(nodes, graphs.edges, **edge))
            if i < last:
                nodes = functional.dropout(functional.relu(nodes), self.dropout, self.training)
        return nodes[graphs.centre]
