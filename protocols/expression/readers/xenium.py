"""A Xenium output bundle with its H&E image."""

from __future__ import annotations

from protocols.task import Part, Reader

READER = Reader(
    name="xenium",
    task="expression",
    read=Part("protocols.readers.xenium:read"),
    columns=("bundle",),
    optional_columns=("image", "alignment_csv", "keypoints"),
    option_columns=("alignment", "kabsch", "centroid", "mpp", "max_outside"),
)
