"""Plain tables, one row a patient: outcome, clinical, genomic, proteins."""

from __future__ import annotations

from protocols.task import Part, Reader

READER = Reader(
    name="tidy",
    task="survival",
    read=Part("protocols.readers.patient_tables:read_tidy"),
    required=("outcome",),
    options=("clinical", "genomic", "proteins", "slides", "signatures", "splits", "endpoint"),
)
