"""HEX's release: a table of channel means a slide, and its folder of tiles or the whole image."""

from __future__ import annotations

from protocols.expression.proteins import ProteinReader
from protocols.task import Part

READER = ProteinReader(
    name="hex",
    task="expression",
    read=Part("protocols.readers.hex:read"),
    columns=("table",),
    optional_columns=("tiles", "image"),
    option_columns=("mpp", "xy", "tile_px", "markers", "max_outside"),
)
