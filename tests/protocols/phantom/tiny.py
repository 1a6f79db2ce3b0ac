"""A phantom small enough to make in a test, and plain readers of its files (none of the package's own)."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from scipy import sparse

from protocols.phantom.settings import MINI, PhantomSettings

TINY: PhantomSettings = replace(
    MINI,
    profile="tiny",
    cancers=("breast", "lung"),
    patients_per_cancer=2,
    lone_cancer="cervix",
    image_px=352,
    cell_spacing_um=10.8,
    core_genes=60,
    shared_genes=6,
    shared_pool=14,
    private_genes=3,
    lacking_genes=4,
    oracle_draws=64,
    replicate_draws=12,
    pyramid_levels=2,
    tile_px=128,
)
SEED = 5


def hashes(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def read_counts(bundle: Path) -> tuple[np.ndarray[Any, Any], list[str], list[str], list[str]]:
    """Dense (cells, genes) counts of the Gene Expression features, gene names, gene ids, barcodes."""
    with h5py.File(bundle / "cell_feature_matrix.h5") as file:
        matrix = file["matrix"]
        whole = sparse.csc_matrix((matrix["data"][:], matrix["indices"][:], matrix["indptr"][:]), matrix["shape"][:])
        kind, name, ident, barcodes = (
            [value.decode() for value in matrix[key][:]]
            for key in ("features/feature_type", "features/name", "features/id", "barcodes")
        )
    keep = [i for i, value in enumerate(kind) if value == "Gene Expression"]
    return whole.T.toarray()[:, keep], [name[i] for i in keep], [ident[i] for i in keep], barcodes


def centroids(bundle: Path) -> np.ndarray[Any, Any]:
    return pd.read_parquet(bundle / "cells.parquet")[["x_centroid", "y_centroid"]].to_numpy()


def alignment(bundle: Path) -> np.ndarray[Any, Any]:
    return np.loadtxt(bundle / f"{bundle.name}_he_imagealignment.csv", delimiter=",")


def to_he_px(bundle: Path, um: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Xenium µm to H&E pixels by inverting the alignment file, written out independently of the generator."""
    inverse = np.linalg.inv(alignment(bundle))
    homogeneous = np.column_stack([um / 0.2125, np.ones(len(um))])
    return (homogeneous @ inverse.T)[:, :2]
