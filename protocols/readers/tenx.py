"""10x Genomics' feature–barcode matrix in HDF5, as Cell Ranger, Space Ranger and Xenium write it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from protocols.errors import UserError
from protocols.readers import checks


@dataclass(frozen=True)
class FeatureMatrix:
    """``counts`` is CSR ``(barcodes, genes)`` of "Gene Expression" features only; ``left_out`` counts the others."""

    barcodes: NDArray[np.str_]
    names: NDArray[np.str_]
    counts: sparse.csr_matrix
    left_out: int

    def rows_of(self, ids: NDArray[np.str_], *, where: object) -> sparse.csr_matrix:
        """Counts in the order of ``ids``; an id without counts is an error."""
        checks.require_unique(self.barcodes, "barcode", where=where)
        order = np.argsort(self.barcodes)
        place = np.minimum(np.searchsorted(self.barcodes[order], ids), len(order) - 1) if len(order) else np.array([])
        missing = np.ones(len(ids), bool) if not len(order) else self.barcodes[order[place]] != ids
        if missing.any():
            raise UserError(
                f"{int(missing.sum())} of {len(ids)} units have no counts, e.g. {str(ids[missing][0])!r}",
                where=where,
                expected="the same ids in the matrix and in the table of units",
                remedy="take both from one run",
            )
        return sparse.csr_matrix(self.counts[order[place]])

    def notes(self) -> tuple[str, ...]:
        return (f"{self.left_out} features that are no genes (controls) were left out",) if self.left_out else ()


def read_feature_matrix(path: Path) -> FeatureMatrix:
    """The ``matrix`` group: columns are barcodes, rows are features."""
    with checks.open_h5(path, "feature matrix") as file:
        group = file["matrix"]
        data, indices, indptr = (np.asarray(group[name]) for name in ("data", "indices", "indptr"))
        barcodes = checks.as_text(np.asarray(group["barcodes"]))
        names = checks.as_text(np.asarray(group["features"]["name"]))
        kinds = checks.as_text(np.asarray(group["features"]["feature_type"]))
        shape = (int(group["shape"][0]), int(group["shape"][1]))
    consistent = (
        shape == (len(names), len(barcodes))
        and len(kinds) == len(names)
        and len(indptr) == shape[1] + 1
        and len(data) == len(indices) == indptr[-1]
        and (not len(indices) or 0 <= indices.min() <= indices.max() < shape[0])
        and (np.diff(indptr) >= 0).all()
    )
    if not consistent:
        raise checks.damaged(path, "feature matrix", ValueError("its arrays do not fit together"))
    genes = kinds == "Gene Expression"
    if not genes.any():
        raise UserError(
            "no gene among the features", where=path, expected='features of type "Gene Expression"', remedy="check it"
        )
    by_barcode = sparse.csr_matrix((data, indices, indptr), shape=(shape[1], shape[0]))
    counts = sparse.csr_matrix(by_barcode[:, np.flatnonzero(genes)])
    return FeatureMatrix(barcodes, names[genes], counts, int((~genes).sum()))
