"""``cells.zarr.zip`` by hand: Zarr version 2 in a stored zip with fixed dates, so that its bytes never change.

Only what identifies cells is in it (ids, summary, the polygons' owners); the label masks are left out.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import numpy as np

from protocols.files import written_whole
from protocols.phantom.tissue import Float

SUMMARY_COLUMNS = (
    "cell_centroid_x", "cell_centroid_y", "cell_area", "nucleus_centroid_x", "nucleus_centroid_y", "nucleus_area",
    "z_level", "nucleus_count",
)  # fmt: skip


def _entry(archive: ZipFile, name: str, content: bytes) -> None:
    info = ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    info.external_attr = 0o644 << 16
    archive.writestr(info, content, compress_type=ZIP_STORED)


def _array(archive: ZipFile, name: str, values: np.ndarray[Any, Any], attributes: dict[str, Any] | None = None) -> None:
    """One array as a single chunk: bytes shuffled (all first bytes, all second bytes, …), then zstd."""
    import pyarrow as pa

    size = values.dtype.itemsize
    shuffled = np.ascontiguousarray(values).view(np.uint8).reshape(-1, size).T.tobytes()
    header = {
        "chunks": list(values.shape),
        "compressor": {"id": "zstd", "level": 9},
        "dtype": values.dtype.newbyteorder("<").str,
        "fill_value": 0,
        "filters": [{"id": "shuffle", "elementsize": size}],
        "order": "C",
        "shape": list(values.shape),
        "zarr_format": 2,
    }
    _entry(archive, f"{name}/.zarray", json.dumps(header, indent=1).encode())
    if attributes:
        _entry(archive, f"{name}/.zattrs", json.dumps(attributes, indent=1).encode())
    packed = pa.Codec("zstd", compression_level=9).compress(shuffled, asbytes=True)
    _entry(archive, f"{name}/{'.'.join('0' * values.ndim)}", packed)


def write_cells_zarr(path: Path, summary: Float) -> None:
    """``summary`` is ``(n, 8)`` in the order of :data:`SUMMARY_COLUMNS`; cells are numbered from 1, suffix 1."""
    count = len(summary)
    numbers = np.arange(1, count + 1, dtype="<u4")
    group = json.dumps({"zarr_format": 2}).encode()
    with written_whole(path) as part, ZipFile(part, "w") as archive:
        _entry(archive, ".zgroup", group)
        _entry(archive, ".zattrs", json.dumps({"major_version": 6, "number_cells": count}).encode())
        _array(archive, "cell_id", np.stack([numbers, np.ones_like(numbers)], axis=1))
        _array(archive, "cell_summary", summary.astype("<f8"), {"column_names": list(SUMMARY_COLUMNS)})
        _entry(archive, "polygon_sets/.zgroup", group)
        for number in ("0", "1"):
            _entry(archive, f"polygon_sets/{number}/.zgroup", group)
            _array(archive, f"polygon_sets/{number}/cell_index", numbers - np.uint32(1))
