"""GSE7390, which comes inside scikit-survival: a cohort without a root of its own."""

from __future__ import annotations

from protocols.task import Part, Reader

READER = Reader(
    name="gse7390",
    task="survival",
    read=Part("protocols.readers.gse7390:read_gse7390"),
    options=("endpoint",),
    data_files=Part("protocols.readers.gse7390:data_files"),
)
