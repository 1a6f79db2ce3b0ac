"""Tables of cells in the layouts that people have, written by hand with their true names of columns."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from protocols.errors import UserError
from protocols.expression.cohort import SlideEntry
from protocols.readers.cell_table import read_cell_table
from protocols.readers.readers import read_slide

from .bundles import picture, write_ome

MCMICRO = """CellID,DNA_6,ELANE,CD57,X_centroid,Y_centroid,Area,MajorAxisLength,Eccentricity,Solidity,Extent,Orientation
1,17449.5,1179.5,161.25,10.5,20.5,117,12.4,0.25,0.96,0.81,-1.1
2,18053.0,1124.75,177.5,110.5,30.5,92,11.9,0.54,0.95,0.70,-0.4
3,11210.0,0,65535,60.5,90.5,100,11.0,0.50,0.95,0.70,0.4
"""
SCIMAP = """CellID,DNA1,BG1,CD25,KI67,X_position,Y_position,Area,phenotype
1,4430.3,662.3,582.4,1167.4,10,20,132,Tumor
2,4628.1,784.3,612.1,697.6,110,30,91,
"""
QUPATH = "\t".join(
    [
        "Image", "Object ID", "Name", "Classification", "Parent", "Centroid X µm", "Centroid Y µm", "Nucleus: Area",
        "Nucleus: DAPI mean", "Nucleus: CD8 mean", "Cell: DAPI mean", "Cell: CD8 mean", "Cell: CD8 max",
        "Cell: Ki67: Mean",
    ]
) + "\n" + "\n".join(
    [
        "\t".join(["a.tif", "u-1", "Tumor", "Tumor", "Root", "5.25", "10.5", "30", "9", "8", "7", "1.5", "44", "2.5"]),
        "\t".join(["a.tif", "u-2", "", "", "Root", "55.25", "15.5", "33", "9", "8", "7", "3.5", "55", "4.5"]),
    ]
) + "\n"  # fmt: skip


def table(tmp_path, text, name="t.csv", encoding="utf-8", **options):
    path = tmp_path / name
    data = text.encode(encoding)
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return read_cell_table(path, **options)


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_mcmicros_layout(tmp_path, name):
    found = table(tmp_path, MCMICRO, name)
    assert found.ids.tolist() == ["1", "2", "3"]
    assert found.markers == ("ELANE", "CD57")
    assert found.intensities.dtype == np.float32
    assert found.intensities.tolist() == [[1179.5, 161.25], [1124.75, 177.5], [0, 65535]]
    assert found.xy.tolist() == [[10.5, 20.5], [110.5, 30.5], [60.5, 90.5]]
    assert (found.unit, found.cell_type) == ("px", None)
    assert "DNA_6" in " ".join(found.notes)
    assert "Area, MajorAxisLength" in " ".join(found.notes)
    assert "from 0 to 65535 (float64" in found.span
    assert "16 bits" in found.span


def test_scimaps_layout(tmp_path):
    found = table(tmp_path, SCIMAP)
    assert found.markers == ("CD25", "KI67")
    assert found.cell_type.tolist() == ["Tumor", ""]
    assert any("DNA1, BG1" in note for note in found.notes)
    assert any("cell types are of the column phenotype" in note for note in found.notes)


@pytest.mark.parametrize(
    ("name", "encoding"), [("q.tsv", "utf-8"), ("q.txt", "latin-1"), ("q.csv", "utf-8-sig"), ("q.tsv.gz", "utf-8")]
)
def test_qupaths_export(tmp_path, name, encoding):
    found = table(tmp_path, QUPATH, name, encoding)
    assert found.ids.tolist() == ["u-1", "u-2"]
    assert (found.unit, found.markers) == ("um", ("CD8", "Ki67"))
    assert found.intensities.tolist() == [[1.5, 2.5], [3.5, 4.5]]
    assert found.cell_type.tolist() == ["Tumor", ""]
    assert any("compartment Cell" in note for note in found.notes)
    assert any("left out: DAPI" in note for note in found.notes)


def test_named_columns_come_before_known_ones(tmp_path):
    text = "cell,px,py,CD3,DAPI,kind\na,1,2,3,4,T\nb,5,6,7,8,B\n"
    with pytest.raises(UserError, match=r"no known columns of positions.*x_column"):
        table(tmp_path, text)
    options = {"id_column": "cell", "x_column": "px", "y_column": "py", "cell_type_column": "kind"}
    found = table(tmp_path, text, **options)
    assert (found.ids.tolist(), found.markers, found.cell_type.tolist()) == (["a", "b"], ("CD3",), ["T", "B"])
    assert table(tmp_path, text, markers=("DAPI", "CD3"), **options).intensities.tolist() == [[4, 3], [8, 7]]
    assert table(tmp_path, QUPATH, markers=("Ki67", "Nucleus: CD8 mean")).intensities.tolist() == [[2.5, 8], [4.5, 8]]
    assert any("numbered from 1" in note for note in table(tmp_path, "x,y,CD3\n1,2,3\n4,5,6\n").notes)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, "file is empty"),
        ("x,y,CD3\n", {}, "no rows"),
        ("x,y,CD3,CD3\n1,2,3,4\n", {}, "'CD3' occurs more than once"),
        ("CellID,x,y,CD3\n1,1,2,3\n1,2,3,4\n", {}, "cell ids occur more than once, e.g. '1'"),
        ("CellID,x,y,CD3\n1,1,2,3\n,2,3,4\n", {}, "1 cells have no 'CellID'"),
        ("x,y,CD3\n1,2,-3\n4,5,6\n", {}, "1 values of 'CD3' are negative, e.g. -3"),
        ("x,y,CD3\n1,2,\n4,5,6\n", {}, "1 values of 'CD3' are not finite"),
        ("x,y,CD3\n1,2,inf\n4,5,6\n", {}, "1 values of 'CD3' are not finite"),
        ("x,y,CD3\n1,2,much\n4,5,6\n7,8,9\n", {}, "1 values of 'CD3' are no numbers, e.g. 'much'"),
        ("x,y,CD3\n1,2,3\n1,5,6\n", {}, "'x' is 1 for every cell"),
        ("x,y,CD3\n1,2,3\nleft,5,6\n", {}, "1 values of 'x' are no numbers"),
        ("x;y;CD3\n1,5;2,5;3,5\n2,5;3,5;4,5\n", {}, "decimal commas, e.g. '1,5'"),
        ("x,y,CD3\n1,5,2,5,3,5\n", {}, "3 names in the header, 6 values.*decimal commas"),
        ("x,y,CD3\n1,2,3\n4,5,6,7\n", {}, "truncated or damaged"),
        ("x,y,Area\n1,2,3\n4,5,6\n", {}, "no column looks like a marker"),
        ("x,y,CD3\n1,2,3\n4,5,6\n", {"x_column": "X_centroid"}, "no column 'X_centroid'"),
        ("x,y,CD8A\n1,2,3\n4,5,6\n", {"markers": ("CD8",)}, "marker 'CD8'.*did you mean 'CD8A'"),
        ("x,y,CD3\n1,2,3\n4,5,6\n", {"markers": ("CD3", "CD3")}, "occur more than once"),
        ("x,y,CD3\n1,2,3\n4,5,6\n", {"id_column": "Cell"}, "no column 'Cell'"),
        ("x,y,phenotype,CD3\n1,2,T,3\n4,5,B,6\n", {"cell_type_column": "phenotypes"}, "did you mean 'phenotype'"),
    ],
)
def test_each_fault_gets_one_clear_line(tmp_path, text, options, message):
    with pytest.raises(UserError, match=message) as caught:
        table(tmp_path, text, **options)
    assert "\n" not in str(caught.value)


def test_a_torn_gzip_is_named(tmp_path):
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress((MCMICRO * 50).encode())[:-30])
    with pytest.raises(UserError, match=r"t\.csv\.gz.*truncated"):
        read_cell_table(tmp_path / "t.csv.gz")


@pytest.mark.parametrize(
    ("top", "looks"), [("1", "0 to 1"), ("200", "8 bits"), ("60000", "16 bits"), ("70000", "above 16 bits")]
)
def test_a_note_says_what_the_numbers_look_like(tmp_path, top, looks):
    assert looks in table(tmp_path, f"x,y,CD3\n1,2,0\n4,5,{top}\n").span


@pytest.fixture
def root(tmp_path):
    write_ome(tmp_path / "i.ome.tif", picture(200, 160), mpp=0.5)
    return tmp_path


def read(root, text, **options):
    (root / "t.csv").write_text(text, encoding="utf-8")
    return read_slide(
        "cell_table", SlideEntry("s", "p", "colon", {"table": "t.csv", "image": "i.ome.tif"}, options), root
    )


def test_cells_lie_on_the_image(root):
    slide = read(root, MCMICRO)
    assert (slide.unit, slide.mpp, slide.counts, slide.genes) == ("cell", 0.5, None, ("ELANE", "CD57"))
    assert slide.units["x_px"].tolist() == [10.5, 110.5, 60.5]
    assert any("from 0 to 65535 (float64" in note for note in slide.notes)
    um = read(root, QUPATH)  # 0.5 µm a pixel
    assert um.units["x_px"].tolist() == [10.5, 110.5]
    assert um.units["y_px"].tolist() == [21, 31]
    assert um.cell_type.tolist() == ["Tumor", ""]
    assert read(root, QUPATH, mpp="0.25", max_outside="0.6").units["x_px"].tolist() == [21]
    assert read(root, MCMICRO, xy_unit="um", max_outside="0.7").units["x_px"].tolist() == [21]
    assert read(root, MCMICRO, unit="tile", markers="DNA_6;ELANE").genes == ("DNA_6", "ELANE")


def test_cells_outside_the_image_are_refused_or_left_out(root):
    far = MCMICRO.replace("110.5", "900")
    with pytest.raises(UserError, match=r"1 of 3 cells \(33%\) lie outside"):
        read(root, far)
    slide = read(root, far, max_outside="0.5")
    assert slide.units["cell_id"].tolist() == ["1", "3"]
    assert slide.intensities.shape == (2, 2)
    assert any("1 of 3 cells lie outside the image" in note for note in slide.notes)


def test_a_marker_that_says_nothing_is_told(root):
    slide = read(root, "x,y,CD3,CD8\n1,2,0,1\n4,5,0,2\n")
    assert any("1 markers are the same everywhere: CD3" in note for note in slide.notes)
    with pytest.raises(UserError, match="the slide is empty"):
        read(root, "x,y,CD3,CD8\n1,2,0,0\n4,5,0,0\n")


def test_options_are_checked(root):
    with pytest.raises(UserError, match="option xy_unit is 'mm'"):
        read(root, MCMICRO, xy_unit="mm")
    with pytest.raises(UserError, match=r"unknown key 'xcolumn'.*did you mean 'x_column'"):
        read(root, MCMICRO, xcolumn="x")
