"""SEQUOIA's reference table: one row a slide with its expression."""

from __future__ import annotations

from protocols.task import Part, Reader

READER = Reader(
    name="reference_table",
    task="bulk",
    read=Part("protocols.readers.reference_table:read_reference_table"),
    required=("files",),
    data_files=Part("protocols.readers.reference_table:data_files"),
)
