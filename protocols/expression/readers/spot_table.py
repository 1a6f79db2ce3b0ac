"""Spatial Transcriptomics or Visium as tables: counts, spots, image."""

from __future__ import annotations

from protocols.task import Part, Reader

READER = Reader(
    name="spot_table",
    task="expression",
    read=Part("protocols.readers.spot_table:read"),
    columns=("counts", "spots", "image"),
    optional_columns=("gene_names",),
    option_columns=("mpp", "pitch_um", "pixel_scale", "x_column", "y_column", "max_outside"),
)
