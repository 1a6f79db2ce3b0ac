"""Sections with spatial transcriptomics, read as slides of spots are."""

from __future__ import annotations

from protocols.task import Part, Reader

READER = Reader(
    name="visium",
    task="bulk",
    read=Part("protocols.readers.visium:read"),
    required=("sections_of", "manifest"),
    options=("window", "stride", "genes", "modules"),
)
