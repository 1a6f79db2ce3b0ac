"""A state dict in the layout of SEQUOIA's release, filled by the formula, at sizes of a test's own."""

from __future__ import annotations

import torch

from tests.parity.vectors import fill_by_formula, read

WIDTH, PLACES, GENES = 64, 9, 11
"""The stored vectors' sizes of features, places and outputs; heads stay as they are, those of the profile mini."""


def published_layout(width: int, places: int, genes: int) -> dict[str, torch.Tensor]:
    """The keys of ``sequoia_vis.json`` with other widths."""
    sizes = {WIDTH: width, PLACES: places, GENES: genes}
    state = {}
    for key, shape in read("sequoia_vis").shapes().items():
        own = tuple(sizes.get(extent, extent) for extent in shape)
        if key.endswith("0.projection.weight"):  # its columns are the heads side by side, not features
            own = (width, shape[1])
        state[key] = torch.empty(own)
    fill_by_formula(state)
    return state
