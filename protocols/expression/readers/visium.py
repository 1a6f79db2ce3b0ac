"""Space Ranger's outs folder with the full-resolution image."""

from __future__ import annotations

from protocols.task import Part, Reader

READER = Reader(
    name="visium",
    task="expression",
    read=Part("protocols.readers.visium:read"),
    columns=("outs", "image"),
    optional_columns=(),
    option_columns=("mpp", "max_outside"),
)
