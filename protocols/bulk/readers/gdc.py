"""GDC's downloads: a manifest, a sample sheet and one file of counts an aliquot."""

from __future__ import annotations

from protocols.task import Part, Reader

READER = Reader(
    name="gdc",
    task="bulk",
    read=Part("protocols.readers.gdc:read_gdc"),
    required=("files",),
    data_files=Part("protocols.readers.gdc:data_files"),
)
