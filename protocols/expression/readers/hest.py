"""HEST-1k: st/<id>.h5ad with patches/<id>.h5 or the whole image."""

from __future__ import annotations

from protocols.task import Part, Reader

READER = Reader(
    name="hest",
    task="expression",
    read=Part("protocols.readers.hest:read"),
    columns=("h5ad",),
    optional_columns=("patches", "image"),
    option_columns=("mpp", "layer", "unit", "max_outside"),
)
