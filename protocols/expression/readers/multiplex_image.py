"""A multi-channel OME-TIFF and the H&E of the same frame: means over tiles."""

from __future__ import annotations

from protocols.expression.proteins import ProteinReader
from protocols.task import Part

READER = ProteinReader(
    name="multiplex_image",
    task="expression",
    read=Part("protocols.readers.multiplex_image:read"),
    columns=("codex", "image"),
    option_columns=("tile_um", "tissue", "markers", "mpp", "max_outside"),
)
