"""GTEx's tables of normal tissue."""

from __future__ import annotations

from protocols.task import Part, Reader

READER = Reader(
    name="gtex",
    task="bulk",
    read=Part("protocols.readers.gtex:read_gtex"),
    required=("files",),
    data_files=Part("protocols.readers.gtex:data_files"),
)
