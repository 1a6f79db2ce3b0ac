"""AnnData files with ``obsm["spatial"]`` in level-0 pixels of an image."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from protocols.errors import UserError, did_you_mean
from protocols.expression.cohort import SlideData, SlideEntry, Unit
from protocols.images.image import open_image
from protocols.readers import checks
from protocols.readers.assemble import agreed_mpp, build_slide


@dataclass(frozen=True)
class AnnotatedCounts:
    """What a reader takes from an h5ad; ``uns`` is its unstructured part, for the image's scale."""

    ids: NDArray[np.str_]
    names: list[str]
    counts: Any
    xy: NDArray[np.float64]
    uns: dict[str, Any]
    notes: tuple[str, ...]


def read(entry: SlideEntry, root: Path) -> SlideData:
    """One h5ad with its image.

    Counts: the option ``layer``, else ``layers["counts"]``, else X, else raw.X, the first that holds whole
    numbers. Options: ``mpp`` (else the image's own), ``unit`` = spot (default) or cell, ``pixel_scale``.
    """
    path = root / entry.files["h5ad"]
    found = read_annotated(path, entry)
    image = checks.require_file(root / entry.files["image"], "image")
    with open_image(image) as slide:
        size, image_mpp = (slide.width, slide.height), slide.mpp
    given = checks.option_number(entry, "mpp")
    mpp = image_mpp if given is None else given
    differ = () if mpp is None else agreed_mpp(mpp, image_mpp, given_by="the manifest", measured_by="the image")
    return build_slide(
        entry,
        unit=cast(Unit, checks.option_choice(entry, "unit", ("spot", "cell"))),
        image=image,
        size=size,
        mpp=mpp,
        ids=found.ids,
        xy_px=found.xy * (checks.option_number(entry, "pixel_scale", 1.0) or 1.0),
        names=found.names,
        counts=found.counts,
        where=path,
        notes=(*found.notes, *differ),
    )


def read_annotated(path: Path, entry: SlideEntry) -> AnnotatedCounts:
    """Ids, counts and positions of an h5ad."""
    import anndata

    checks.require_file(path, "h5ad")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # duplicate names and old layouts are checked here, in our words
        try:
            data = anndata.read_h5ad(path)
        except Exception as error:  # anndata wraps whatever its registry meets
            raise checks.damaged(path, "h5ad", error) from error
        if "spatial" not in data.obsm:
            raise UserError(
                'no obsm["spatial"]',
                where=path,
                expected="positions in level-0 pixels",
                remedy=did_you_mean("spatial", list(data.obsm.keys())),
            )
        matrix, genes, used = _raw_counts(data, entry, path)
    xy = np.asarray(data.obsm["spatial"], np.float64)
    if xy.ndim != 2 or xy.shape[1] < 2:
        raise UserError(f'obsm["spatial"] is {xy.shape}', where=path, expected="(n, 2)", remedy="store x and y")
    note = () if used == "X" else (f"counts are from {used}",)
    ids, names = checks.as_text(data.obs_names), [str(name) for name in genes]
    return AnnotatedCounts(ids, names, matrix, xy[:, :2], dict(data.uns), note)


def _raw_counts(data: Any, entry: SlideEntry, path: Path) -> tuple[Any, Any, str]:
    layer = entry.options.get("layer", "")
    if layer and layer != "X":
        if layer not in data.layers:
            raise UserError(
                f"no layer {layer!r}",
                where=path,
                expected="a layer of the file",
                remedy=did_you_mean(layer, data.layers),
            )
        return data.layers[layer], data.var_names, f"layer {layer}"
    if layer == "X":
        return data.X, data.var_names, "X"
    if "counts" in data.layers:
        return data.layers["counts"], data.var_names, "layer counts"
    if data.X is not None and (_is_whole(data.X) or data.raw is None or not _is_whole(data.raw.X)):
        return data.X, data.var_names, "X"  # if it is not whole either, whole_counts says so
    if data.raw is None:
        raise UserError("no X, no raw and no layer counts", where=path, expected="raw counts", remedy="store them")
    return data.raw.X, data.raw.var_names, "raw.X"


def _is_whole(matrix: Any) -> bool:
    values = np.asarray(getattr(matrix, "data", matrix)) if hasattr(matrix, "indptr") else np.asarray(matrix)
    return bool(values.dtype.kind in "iub" or (np.isfinite(values).all() and (values == np.floor(values)).all()))
