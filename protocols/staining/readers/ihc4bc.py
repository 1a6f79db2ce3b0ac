"""IHC4BC's tree of paired H&E and IHC patches, with its label files."""

from __future__ import annotations

from protocols.task import Part, Reader

READER = Reader(
    name="ihc4bc",
    task="staining",
    read=Part("protocols.readers.ihc4bc:read_ihc4bc"),
    options=("images", "labels", "markers", "stride_share", "filters", "aligned"),
)
