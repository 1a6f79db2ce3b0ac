"""Xenium output bundles: cells, counts, the H&E image and its registration.

Frames: cells are in micrometres; the morphology (DAPI) image has ``pixel_size`` µm per pixel (experiment.xenium);
the alignment CSV maps H&E pixels to DAPI pixels as Xenium Explorer writes it, so it is inverted here.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.errors import UserError
from protocols.expression.cohort import SlideData, SlideEntry
from protocols.images.image import open_image
from protocols.readers import alignment, checks
from protocols.readers.assemble import agreed_mpp, build_slide
from protocols.readers.tenx import read_feature_matrix

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Registration:
    """Cells' centres in level-0 pixels, µm per such pixel, and what is to be known about the fit."""

    xy_px: Points
    mpp: float
    notes: tuple[str, ...]


def read(entry: SlideEntry, root: Path) -> SlideData:
    """One bundle.

    Options: ``alignment`` = csv (default) or keypoints; ``kabsch`` = similarity (default: scale fitted) or rigid
    (scale from mpp); ``centroid`` = cells (cells.parquet, default) or polygon (area centroid of the cell
    boundary, as PAST centres its patches); ``mpp``. Every cell of cells.parquet is kept, no quality filter is applied.
    mpp: the option, else the image's own, else the alignment's scale.
    """
    bundle = root / entry.files["bundle"]
    if not bundle.is_dir():
        raise UserError("the bundle is missing", where=bundle, expected="a Xenium output folder", remedy="correct it")
    pixel_size = _pixel_size(checks.require_file(bundle / "experiment.xenium", "experiment"))
    image = _role(entry, root, "image", bundle, ("*_he_image.ome.tif", "*_he_image.ome.tiff"))
    cells = checks.read_parquet(bundle / "cells.parquet", ("cell_id", "x_centroid", "y_centroid"), "cells")
    ids = checks.as_text(cells["cell_id"])
    checks.require_unique(ids, "cell", where=bundle / "cells.parquet")
    matrix = read_feature_matrix(bundle / "cell_feature_matrix.h5")
    counts = matrix.rows_of(ids, where=bundle / "cell_feature_matrix.h5")
    if checks.option_choice(entry, "centroid", ("cells", "polygon")) == "polygon":
        xy_um = _polygon_centroids(bundle / "cell_boundaries.parquet", ids)
    else:
        xy_um = cells[["x_centroid", "y_centroid"]].to_numpy(np.float64)
    with open_image(image) as slide:
        size, image_mpp = (slide.width, slide.height), slide.mpp
    stated = checks.option_number(entry, "mpp", image_mpp)
    if checks.option_choice(entry, "alignment", ("csv", "keypoints")) == "csv":
        path = _role(entry, root, "alignment_csv", bundle, ("*_he_imagealignment.csv",))
        placed = _by_csv(path, xy_um, pixel_size)
    else:
        path = _role(entry, root, "keypoints", bundle, ("*_keypoints.csv",))
        rigid = checks.option_choice(entry, "kabsch", ("similarity", "rigid")) == "rigid"
        placed = _by_keypoints(path, xy_um, stated if rigid else None, rigid=rigid)
    mpp = placed.mpp if stated is None else stated
    extra = len(matrix.barcodes) - len(ids)
    extra_note = (f"{extra} barcodes of the matrix are no cells of cells.parquet",) if extra else ()
    return build_slide(
        entry,
        unit="cell",
        image=image,
        size=size,
        mpp=mpp,
        ids=ids,
        xy_px=placed.xy_px,
        names=matrix.names.tolist(),
        counts=counts,
        where=bundle,
        notes=(
            *placed.notes,
            *agreed_mpp(mpp, placed.mpp, given_by="the image or the manifest", measured_by="the alignment"),
            *matrix.notes(),
            *extra_note,
        ),
    )


def _role(entry: SlideEntry, root: Path, role: str, bundle: Path, patterns: tuple[str, ...]) -> Path:
    """The file named in the manifest, else the one in the bundle."""
    if role in entry.files:
        return checks.require_file(root / entry.files[role], role)
    return checks.find_one(bundle, patterns, role)


def _pixel_size(path: Path) -> float:
    try:
        value = float(json.loads(path.read_text(encoding="utf-8"))["pixel_size"])
    except (ValueError, KeyError, TypeError) as error:
        raise checks.damaged(path, "experiment.xenium (JSON with pixel_size)", error) from error
    if not (math.isfinite(value) and value > 0):
        raise UserError(f"pixel_size is {value}", where=path, expected="µm per DAPI pixel above 0", remedy="correct it")
    return value


def _by_csv(path: Path, xy_um: Points, pixel_size: float) -> Registration:
    to_dapi = alignment.read_alignment_csv(path)
    to_image = alignment.invert_affine(to_dapi, where=path)
    mpp = alignment.affine_scale(to_dapi) * pixel_size
    return Registration(alignment.apply(to_image, xy_um / pixel_size), mpp, ())


def _by_keypoints(path: Path, xy_um: Points, mpp: float | None, *, rigid: bool) -> Registration:
    if rigid and mpp is None:
        raise UserError(
            "a rigid fit needs the image's mpp",
            where=path,
            expected="mpp in the image or the manifest",
            remedy="set it",
        )
    points = alignment.read_keypoints(path)
    fits = alignment.fit_regions(points, mpp, where=path)
    weights = np.array([item.points for item in fits], np.float64)
    fitted = float(np.average([1 / item.fit.scale for item in fits], weights=weights))
    return Registration(alignment.combine_regions(fits, xy_um), fitted, alignment.describe(fits, points))


def _polygon_centroids(path: Path, ids: NDArray[np.str_]) -> Points:
    """Area centroid (shoelace formula) of each cell's boundary, in the order of ``ids``."""
    frame = checks.read_parquet(path, ("cell_id", "vertex_x", "vertex_y"), "cell boundaries")
    owner = checks.as_text(frame["cell_id"])
    place = pd.Index(ids).get_indexer(pd.Index(owner))
    missing = len(ids) - len(np.unique(place[place >= 0]))
    if missing:
        raise UserError(
            f"{missing} cells have no boundary",
            where=path,
            expected="one polygon a cell",
            remedy="use centroid = cells",
        )
    keep = place >= 0
    order = np.argsort(place[keep], kind="stable")
    place, xy = place[keep][order], frame.loc[keep, ["vertex_x", "vertex_y"]].to_numpy(np.float64)[order]
    starts = np.flatnonzero(np.r_[True, np.diff(place) > 0])
    sizes = np.diff(np.r_[starts, len(place)])
    mean = np.add.reduceat(xy, starts) / sizes[:, None]
    local = xy - np.repeat(mean, sizes, axis=0)  # near 0, so that areas are not differences of large numbers
    following = np.roll(local, -1, axis=0)
    following[starts + sizes - 1] = local[starts]
    cross = local[:, 0] * following[:, 1] - following[:, 0] * local[:, 1]
    area = np.add.reduceat(cross, starts) / 2
    moment = np.add.reduceat((local + following) * cross[:, None], starts)
    flat = np.abs(area) < 1e-9  # a polygon without area has only its vertices' mean
    shift = np.where(flat[:, None], 0.0, moment / (6 * np.where(flat, 1.0, area))[:, None])
    return np.asarray(mean + shift, np.float64)
