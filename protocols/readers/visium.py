"""Space Ranger's ``outs`` folder: filtered counts, tissue positions, and the full-resolution H&E image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from protocols.errors import UserError
from protocols.expression.cohort import SlideData, SlideEntry
from protocols.images.image import open_image
from protocols.readers import arrays, checks
from protocols.readers.assemble import agreed_mpp, build_slide
from protocols.readers.tenx import read_feature_matrix

COLUMNS = ["barcode", "in_tissue", "array_row", "array_col", "pxl_row_in_fullres", "pxl_col_in_fullres"]


def read(entry: SlideEntry, root: Path) -> SlideData:
    """Spots under tissue. mpp: the option, else the array's pitch of 100 µm.

    The spot diameter of scalefactors_json.json is not used: Space Ranger's "diameter" is neither the printed
    55 µm nor the same in all versions, while the pitch is exact. The image must be the full-resolution one.
    """
    outs = root / entry.files["outs"]
    if not outs.is_dir():
        raise UserError("outs is missing", where=outs, expected="Space Ranger's outs folder", remedy="correct the path")
    matrix_path = checks.find_one(outs, ("*filtered_feature_bc_matrix.h5",), "feature matrix")
    matrix = read_feature_matrix(matrix_path)
    positions = _positions(outs / "spatial")
    positions = positions[positions["in_tissue"] == 1]
    ids = checks.as_text(positions["barcode"])
    listed = np.isin(ids, matrix.barcodes)
    positions, ids = positions[listed], ids[listed]
    checks.require_unique(ids, "spot", where=outs / "spatial")
    lost = len(matrix.barcodes) - len(ids)
    lost_notes = (f"{lost} barcodes lie outside the tissue or have no position: left out",) if lost else ()
    xy = positions[["pxl_col_in_fullres", "pxl_row_in_fullres"]].to_numpy(np.float64)
    image = checks.require_file(root / entry.files["image"], "image")
    with open_image(image) as slide:
        size, image_mpp = (slide.width, slide.height), slide.mpp
    given = checks.option_number(entry, "mpp")
    notes: tuple[str, ...] = ()
    mpp = given
    if mpp is None:
        grid = positions[["array_col", "array_row"]].to_numpy(np.float64)
        scale = arrays.fit_scale(arrays.hexagonal_grid_um(grid, arrays.VISIUM_PITCH_UM), xy, where=outs / "spatial")
        mpp, notes = scale.mpp, scale.notes()
        notes += agreed_mpp(mpp, image_mpp, given_by="the array", measured_by="the image")
    return build_slide(
        entry,
        unit="spot",
        image=image,
        size=size,
        mpp=mpp,
        ids=ids,
        xy_px=xy,
        names=matrix.names.tolist(),
        counts=matrix.rows_of(ids, where=matrix_path),
        where=outs,
        notes=(*notes, *matrix.notes(), *lost_notes),
    )


def _positions(folder: Path) -> pd.DataFrame:
    """``tissue_positions.csv`` (with header) or, before Space Ranger 2, ``tissue_positions_list.csv`` (without)."""
    path = checks.find_one(folder, ("tissue_positions.csv", "tissue_positions_list.csv"), "tissue positions")
    named = path.name == "tissue_positions.csv"
    try:
        frame = pd.read_csv(path) if named else pd.read_csv(path, header=None, names=COLUMNS)
    except (ValueError, pd.errors.ParserError) as error:
        raise checks.damaged(path, "CSV", error) from error
    checks.require_columns([str(name) for name in frame.columns], COLUMNS, where=path)
    return frame
