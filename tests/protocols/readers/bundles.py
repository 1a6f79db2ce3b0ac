"""Tiny inputs in the real files' formats, whole by default; each test breaks what it is about."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import tifffile
from pyarrow import parquet as pq
from scipy import sparse

from protocols.expression.cohort import SlideEntry

PIXEL_SIZE = 0.2125


def picture(width: int, height: int, seed: int = 0) -> np.ndarray:
    """uint8 ``(h, w, 3)``: x in red, y in green, noise in blue, so that every pixel is recognisable."""
    y, x = np.mgrid[:height, :width]
    blue = np.random.default_rng(seed).integers(0, 256, (height, width))
    return np.stack([x % 256, y % 256, blue], axis=2).astype(np.uint8)


def write_ome(path: Path, pixels: np.ndarray, mpp: float | None = 0.5, levels: int = 1, **options: Any) -> Path:
    metadata: dict[str, Any] = {"axes": "YXS"}
    if mpp is not None:
        metadata |= {"PhysicalSizeX": mpp, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": mpp, "PhysicalSizeYUnit": "µm"}
    options = {"photometric": "rgb", "tile": (64, 64), "compression": "zlib"} | options
    with tifffile.TiffWriter(path, ome=True) as tiff:
        tiff.write(pixels, subifds=levels - 1, metadata=metadata, **options)
        for level in range(1, levels):
            tiff.write(pixels[:: 2**level, :: 2**level], subfiletype=1, **options)
    return path


def write_matrix(
    path: Path, barcodes: list[str], names: list[str], counts: np.ndarray, kinds: list[str] | None = None
) -> Path:
    """A 10x feature–barcode HDF5 of ``counts`` (barcodes × features)."""
    by_barcode = sparse.csr_matrix(counts)
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        group["data"], group["indices"], group["indptr"] = by_barcode.data, by_barcode.indices, by_barcode.indptr
        group["shape"] = np.array(by_barcode.shape[::-1], np.int32)
        group["barcodes"] = np.array(barcodes, "S")
        features = group.create_group("features")
        features["id"] = np.array([f"ENSG{i:011d}" for i in range(len(names))], "S")
        features["name"] = np.array(names, "S")
        features["feature_type"] = np.array(kinds or ["Gene Expression"] * len(names), "S")
    return path


@dataclass
class Bundle:
    """A Xenium bundle of a few cells with known pixel positions on a 200 × 160 image of 0.5 µm per pixel."""

    folder: Path
    xy_px: np.ndarray
    xy_um: np.ndarray
    counts: np.ndarray
    to_dapi: np.ndarray

    @property
    def entry(self) -> SlideEntry:
        return SlideEntry("s1", "p1", "breast", {"bundle": self.folder.name})


def rotation(degrees: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    a = np.deg2rad(degrees)
    return np.array(
        [
            [scale * np.cos(a), -scale * np.sin(a), shift[0]],
            [scale * np.sin(a), scale * np.cos(a), shift[1]],
            [0.0, 0.0, 1.0],
        ]
    )


def write_bundle(root: Path, number: int = 12, mpp: float = 0.5) -> Bundle:
    folder = root / "bundle"
    folder.mkdir()
    rng = np.random.default_rng(1)
    xy_px = rng.uniform(10, 150, (number, 2))
    to_dapi = rotation(30, mpp / PIXEL_SIZE, (400.0, 25.0))
    xy_um = (xy_px @ to_dapi[:2, :2].T + to_dapi[:2, 2]) * PIXEL_SIZE
    counts = rng.poisson(2.0, (number, 4)).astype(np.int32) + 1
    ids = [f"cell-{i}" for i in range(number)]
    (folder / "experiment.xenium").write_text(json.dumps({"pixel_size": PIXEL_SIZE, "num_cells": number}))
    write_cells(folder, ids, xy_um)
    order = rng.permutation(number)  # barcodes need not come in the order of the cells
    write_matrix(
        folder / "cell_feature_matrix.h5",
        [ids[i] for i in order],
        ["ESR1", "NegControlProbe_1", "CD3E", "FOXA1"],
        counts[order],
        ["Gene Expression", "Negative Control Probe", "Gene Expression", "Gene Expression"],
    )
    write_ome(folder / "s1_he_image.ome.tif", picture(200, 160), mpp, levels=2)
    np.savetxt(folder / "s1_he_imagealignment.csv", to_dapi, delimiter=",")
    write_keypoints(folder / "s1_keypoints.csv", xy_um, xy_px)
    squares = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0]])
    vertices = np.concatenate([xy_um[i] + 3.0 + squares for i in range(number)])
    table = {"cell_id": np.repeat(ids, 5), "vertex_x": vertices[:, 0], "vertex_y": vertices[:, 1]}
    pq.write_table(pa.table(table), folder / "cell_boundaries.parquet")
    return Bundle(folder, xy_px, xy_um, counts, to_dapi)


def write_cells(folder: Path, ids: list[str], xy_um: np.ndarray) -> None:
    table = {"cell_id": ids, "x_centroid": xy_um[:, 0], "y_centroid": xy_um[:, 1]}
    pq.write_table(pa.table(table), folder / "cells.parquet")


def write_keypoints(path: Path, xy_um: np.ndarray, xy_px: np.ndarray) -> None:
    regions = np.where(np.arange(len(xy_um)) % 2 == 0, "tumour", "stroma")
    pd.DataFrame(
        {
            "region": regions,
            "xenium_x_um": xy_um[:, 0],
            "xenium_y_um": xy_um[:, 1],
            "he_x_px": xy_px[:, 0],
            "he_y_px": xy_px[:, 1],
        }
    ).to_csv(path, index=False)


def truncate(path: Path, share: float = 0.6) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
