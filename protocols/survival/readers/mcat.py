"""MCAT's tables: one CSV with outcome, clinical and genomic columns, slides and signatures beside it."""

from __future__ import annotations

from protocols.task import Part, Reader

READER = Reader(
    name="mcat",
    task="survival",
    read=Part("protocols.readers.mcat_tables:read_mcat"),
    required=("table",),
    options=("slides", "signatures", "splits", "endpoint"),
)
