"""AnnData of proteins: X or a layer holds intensities, ``obsm["spatial"]`` or two columns of ``obs`` the positions."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.errors import UserError, did_you_mean
from protocols.readers import checks
from protocols.readers.cell_layouts import CELL_TYPES, XyUnit, known_layout
from protocols.readers.cell_table import CellTable, cell_types, positions
from protocols.readers.intensities import checked_intensities, marker_names


def read_protein_h5ad(
    path: Path,
    *,
    layer: str = "",
    x_column: str = "",
    y_column: str = "",
    xy_unit: XyUnit = "px",
    markers: Sequence[str] = (),
    cell_type_column: str = "",
) -> CellTable:
    """One file; X unless ``layer`` names another, every variable unless ``markers`` names some of them.

    Positions: the columns of ``obs`` that are named, else ``obsm["spatial"]``, else columns of a known layout.
    """
    import anndata

    checks.require_file(path, "h5ad")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # duplicate names and old layouts are checked here, in our words
        try:
            data = anndata.read_h5ad(path)
        except Exception as error:  # anndata wraps whatever its registry meets
            raise checks.damaged(path, "h5ad", error) from error
    if not (data.n_obs and data.n_vars):
        raise UserError(
            f"{data.n_obs} cells, {data.n_vars} markers", where=path, expected="some of both", remedy="write it again"
        )
    ids = checks.as_text(data.obs_names)
    checks.require_unique(ids, "cell", where=path)
    xy, said = _places(data, x_column, y_column, path)
    names = marker_names(list(data.var_names), where=path)
    matrix, used = _matrix(data, layer, path)
    if markers:
        matrix, names = matrix[:, _columns(markers, names, path)], marker_names(markers, where=path)
    matrix = matrix.toarray() if hasattr(matrix, "toarray") else np.asarray(matrix)
    values, span = checked_intensities(matrix, names, where=path)
    columns = [str(name) for name in data.obs.columns]
    if cell_type_column and cell_type_column not in columns:
        raise _no_column(cell_type_column, columns, path)
    type_name = cell_type_column or next((name for name in CELL_TYPES if name in columns), "")
    told = (f"cell types are of the column {type_name}",) if type_name and not cell_type_column else ()
    kinds = cell_types(data.obs[type_name].astype(object)) if type_name else None
    return CellTable(ids, xy, xy_unit, names, values, kinds, (said, f"intensities are of {used}", *told), span)


def _places(data: Any, x_column: str, y_column: str, path: Path) -> tuple[NDArray[np.float64], str]:
    columns = [str(name) for name in data.obs.columns]
    if bool(x_column) != bool(y_column):
        raise UserError(
            "one of x_column and y_column is given", where=path, expected="both or none", remedy="name the other"
        )
    if not x_column and "spatial" in data.obsm:
        spatial = np.asarray(data.obsm["spatial"], np.float64)
        if spatial.ndim != 2 or spatial.shape[1] < 2:
            raise UserError(
                f'obsm["spatial"] is {spatial.shape}', where=path, expected="(n, 2)", remedy="store x and y"
            )
        return spatial[:, :2], 'positions are obsm["spatial"]'
    layout = known_layout(columns)
    if not x_column and layout is None:
        raise UserError(
            'no obsm["spatial"], and no known columns of positions in obs', where=path, expected="positions",
            remedy=f"name them in the options x_column and y_column; obs has {', '.join(columns[:8]) or 'none'}",
        )  # fmt: skip
    x, y = (x_column, y_column) if x_column or layout is None else (layout.x, layout.y)
    for name in (x, y):
        if name not in columns:
            raise _no_column(name, columns, path)
    return np.stack([positions(data.obs, name, path) for name in (x, y)], axis=1), f"positions are obs: {x}, {y}"


def _matrix(data: Any, layer: str, path: Path) -> tuple[Any, str]:
    if layer and layer != "X":
        if layer not in data.layers:
            raise UserError(
                f"no layer {layer!r}", where=path, expected="a layer of the file",
                remedy=did_you_mean(layer, data.layers),
            )  # fmt: skip
        return data.layers[layer], f"layer {layer}"
    if data.X is None:
        raise UserError("no X", where=path, expected="intensities", remedy="name a layer in the option layer")
    return data.X, "X"


def _columns(markers: Sequence[str], names: Sequence[str], path: Path) -> list[int]:
    for one in markers:
        if one not in names:
            raise UserError(
                f"no marker {one!r}", where=path, expected="variables of the file", remedy=did_you_mean(one, names)
            )
    return [names.index(one) for one in markers]


def _no_column(name: str, columns: Sequence[str], path: Path) -> UserError:
    return UserError(f"no column {name!r}", where=path, expected="a column of obs", remedy=did_you_mean(name, columns))
