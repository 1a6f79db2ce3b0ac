"""An AnnData file with obsm['spatial'] in pixels, and its image."""

from __future__ import annotations

from protocols.task import Part, Reader

READER = Reader(
    name="h5ad",
    task="expression",
    read=Part("protocols.readers.h5ad:read"),
    columns=("h5ad", "image"),
    optional_columns=(),
    option_columns=("mpp", "layer", "unit", "pixel_scale", "max_outside"),
)
