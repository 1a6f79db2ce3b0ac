"""Parquet files whose bytes depend on their content only, and small."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.files import written_whole


def write_parquet(path: Path, columns: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> None:
    """Write columns (NumPy arrays or lists of text) with zstd; text is dictionary-coded, numbers are byte-split.

    No pandas metadata is stored: it would tie the bytes to a pandas version.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays = {name: values if isinstance(values, pa.Array) else pa.array(values) for name, values in columns.items()}
    table = pa.table(arrays)
    if metadata:
        table = table.replace_schema_metadata(dict(metadata))
    text = [field.name for field in table.schema if pa.types.is_string(field.type)]
    split = {field.name: "BYTE_STREAM_SPLIT" for field in table.schema if field.name not in text}
    with written_whole(path) as part:
        pq.write_table(
            table,
            part,
            compression="zstd",
            compression_level=12,
            use_dictionary=text,
            column_encoding=split,
            write_statistics=False,
            store_schema=bool(metadata),
        )


def write_lattice(path: Path, columns: Mapping[str, Any]) -> None:
    """Write columns with few distinct values (outlines on the pixel lattice): everything dictionary-coded."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with written_whole(path) as part:
        pq.write_table(
            pa.table({name: pa.array(values) for name, values in columns.items()}),
            part,
            compression="zstd",
            compression_level=12,
            write_statistics=False,
            store_schema=False,
        )


def half(values: NDArray[np.float64]) -> NDArray[np.float16]:
    return values.astype(np.float16)
