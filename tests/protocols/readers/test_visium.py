from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import pytest

from protocols.errors import UserError
from protocols.expression.cohort import SlideEntry
from protocols.readers.readers import read_slide
from protocols.readers.visium import COLUMNS

from .bundles import picture, write_matrix

ENTRY = SlideEntry("s", "p", "breast", {"outs": "outs", "image": "i.png"})


@pytest.fixture(params=["tissue_positions.csv", "tissue_positions_list.csv"])
def root(tmp_path, request):
    """Four spots under tissue, one beside it; 2 µm per px."""
    (tmp_path / "outs" / "spatial").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "i.png"), picture(200, 160))
    row, col = np.array([0, 0, 1, 1, 2]), np.array([0, 2, 1, 3, 0])
    frame = pd.DataFrame({"barcode": [f"B{i}-1" for i in range(5)], "in_tissue": [1, 1, 1, 1, 0]})
    frame["array_row"], frame["array_col"] = row, col
    frame["pxl_row_in_fullres"], frame["pxl_col_in_fullres"] = row * 25 * np.sqrt(3) + 5, col * 25.0 + 5
    path = tmp_path / "outs" / "spatial" / request.param
    frame[COLUMNS].to_csv(path, index=False, header=request.param == "tissue_positions.csv")
    counts = np.arange(12).reshape(4, 3)
    write_matrix(
        tmp_path / "outs" / "filtered_feature_bc_matrix.h5", [f"B{i}-1" for i in (3, 1, 0, 2)], list("ABC"), counts
    )
    return tmp_path


def test_spots_under_tissue_get_their_own_counts(root):
    slide = read_slide("visium", ENTRY, root)
    assert slide.units["cell_id"].tolist() == ["B0-1", "B1-1", "B2-1", "B3-1"]
    assert slide.counts.toarray()[:, 0].tolist() == [6, 3, 9, 0]
    assert slide.units["x_px"].tolist() == [5, 55, 30, 80]
    assert slide.mpp == pytest.approx(2.0)


def test_a_matrix_or_positions_that_are_missing_are_named(root):
    (root / "outs" / "filtered_feature_bc_matrix.h5").unlink()
    with pytest.raises(UserError, match="feature matrix file is missing"):
        read_slide("visium", ENTRY, root)


def test_positions_without_their_columns_are_refused(root):
    for path in (root / "outs" / "spatial").iterdir():
        path.unlink()
    (root / "outs" / "spatial" / "tissue_positions.csv").write_text("barcode,in_tissue\nB0-1,1\n")
    with pytest.raises(UserError, match="no column 'array_row'"):
        read_slide("visium", ENTRY, root)
