from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest

from protocols.errors import UserError
from protocols.expression.cohort import SlideEntry
from protocols.readers.protein_h5ad import read_protein_h5ad
from protocols.readers.readers import read_slide

from .bundles import picture, truncate, write_ome

X = np.array([[0.0, 1.0], [0.25, 0.5], [0.75, 0.125]])
XY = np.array([[10.0, 20.0], [110.0, 30.0], [60.0, 90.0]])


def annotated(x=X, ids=("a", "b", "c"), names=("CD8", "Ki67"), spatial=True, **obs):
    data = anndata.AnnData(x, pd.DataFrame(obs, index=list(ids)), pd.DataFrame(index=list(names)))
    if spatial:
        data.obsm["spatial"] = XY
    return data


def table(tmp_path, data, **options):
    data.write_h5ad(tmp_path / "a.h5ad")
    return read_protein_h5ad(tmp_path / "a.h5ad", **options)


def test_intensities_and_positions_are_read(tmp_path):
    found = table(tmp_path, annotated(phenotype=["T", None, "B"]))
    assert (found.ids.tolist(), found.markers) == (["a", "b", "c"], ("CD8", "Ki67"))
    assert found.intensities.tolist() == X.tolist()
    assert found.intensities.dtype == np.float32
    assert found.xy.tolist() == XY.tolist()
    assert found.cell_type.tolist() == ["T", "", "B"]
    assert "0 to 1" in found.span


def test_columns_of_obs_and_layers_are_named(tmp_path):
    data = annotated(px=[1.0, 2.0, 3.0], py=[4.0, 5.0, 6.0], kind=["T", "B", "T"])
    data.layers["raw"] = X * 1000
    found = table(tmp_path, data, x_column="px", y_column="py", layer="raw", cell_type_column="kind", markers=("Ki67",))
    assert found.xy.tolist() == [[1, 4], [2, 5], [3, 6]]
    assert found.intensities.tolist() == [[1000], [500], [125]]
    assert found.cell_type.tolist() == ["T", "B", "T"]
    known = annotated(spatial=False, X_position=[1.0, 2.0, 3.0], Y_position=[4.0, 5.0, 6.0])
    assert table(tmp_path, known).xy.tolist() == [[1, 4], [2, 5], [3, 6]]


@pytest.mark.filterwarnings("ignore:Observation names are not unique", "ignore:Variable names are not unique")
@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (lambda: annotated(-X - 1), {}, "'CD8' are negative"),
        (lambda: annotated(np.where(X == 0.5, np.nan, X)), {}, "'Ki67' are not finite"),
        (lambda: annotated(ids=("a", "a", "c")), {}, "cell ids occur more than once"),
        (lambda: annotated(names=("CD8", "CD8")), {}, "markers occur more than once"),
        (lambda: annotated(spatial=False), {}, "no known columns of positions"),
        (lambda: annotated(px=[1.0, 1.0, 1.0], py=[1.0, 2.0, 3.0]), {"x_column": "px", "y_column": "py"}, "every cell"),
        (lambda: annotated(px=[1.0, 2.0, 3.0]), {"x_column": "px"}, "one of x_column and y_column"),
        (lambda: annotated(), {"layer": "raw"}, "no layer 'raw'"),
        (lambda: annotated(), {"markers": ("CD88",)}, "did you mean 'CD8'"),
        (lambda: annotated(kind=["T", "B", "T"]), {"cell_type_column": "kinds"}, "did you mean 'kind'"),
        (lambda: annotated()[:0].copy(), {}, "0 cells, 2 markers"),
    ],
)
def test_each_fault_gets_one_clear_line(tmp_path, data, options, message):
    with pytest.raises(UserError, match=message) as caught:
        table(tmp_path, data(), **options)
    assert "\n" not in str(caught.value)


def test_a_torn_file_is_named(tmp_path):
    annotated().write_h5ad(tmp_path / "a.h5ad")
    truncate(tmp_path / "a.h5ad")
    with pytest.raises(UserError, match=r"a\.h5ad.*truncated"):
        read_protein_h5ad(tmp_path / "a.h5ad")


def test_the_reader_puts_cells_on_the_image(tmp_path):
    write_ome(tmp_path / "i.ome.tif", picture(200, 160), mpp=0.5)
    annotated().write_h5ad(tmp_path / "a.h5ad")
    entry = SlideEntry(
        "s", None, "colon", {"h5ad": "a.h5ad", "image": "i.ome.tif"}, {"xy_unit": "um", "max_outside": "0.7"}
    )
    slide = read_slide("protein_h5ad", entry, tmp_path)
    assert slide.units["x_px"].tolist() == [20]
    assert (slide.unit, slide.mpp, slide.genes) == ("cell", 0.5, ("CD8", "Ki67"))
    assert slide.intensities.tolist() == [[0, 1]]
