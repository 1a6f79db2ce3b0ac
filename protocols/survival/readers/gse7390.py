"""GSE7390, which comes inside scikit-survival: nothing is read from a folder."""

from __future__ import annotations

from protocols.task import Part, Reader

READER = Reader(
    name="gse7390",
    task="survival",
    read=Part("protocols.readers.gse7390:read_gse7390"),
    required=(),
    options=("endpoint",),
)
