"""Plain tables, one row a patient: outcome, clinical, proteins."""

from __future__ import annotations

from protocols.task import Part, Reader

READER = Reader(
    name="tidy",
    task="response",
    read=Part("protocols.response.tables:read_tidy"),
    required=("outcome",),
    options=("clinical", "proteins", "endpoint"),
)
