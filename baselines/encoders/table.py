"""The encoder table: one row per published image encoder, as plain data.

Sizes come per profile: ``full`` is the published architecture, ``mini`` the same blocks, fewer and smaller, on 64-pixel
input. ``loading.build_encoder`` makes the network.
"""

from __future__ import annotations

from baselines.encoders.rows_photographs import PHOTOGRAPHS
from baselines.encoders.rows_tissue import TISSUE
from baselines.encoders.spec import EncoderSpec
from protocols.errors import look_up

ENCODERS: dict[str, EncoderSpec] = {row.name: row for row in (*PHOTOGRAPHS, *TISSUE)}


def encoder_spec(name: str) -> EncoderSpec:
    """The table's row, or an error that suggests the nearest name."""
    return look_up(name, ENCODERS, kind="encoder", where="the encoder table")
