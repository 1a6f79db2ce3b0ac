from __future__ import annotations

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from protocols.errors import UserError
from protocols.expression.cohort import SlideEntry
from protocols.images.crops import CohortCrops
from protocols.readers.readers import read_slide

from .bundles import picture, truncate, write_ome

COUNTS = np.arange(1, 13).reshape(4, 3)
IDS = [f"s{i}" for i in range(4)]
XY = np.array([[60.0, 60.0], [140.0, 60.0], [60.0, 100.0], [141.0, 103.0]])


def annotated(matrix=COUNTS, ids=IDS, names=("A", "B", "C"), **parts):
    data = anndata.AnnData(
        sparse.csr_matrix(matrix.astype(np.float32)), pd.DataFrame(index=ids), pd.DataFrame(index=list(names)), **parts
    )
    data.obsm["spatial"] = XY
    return data


def entry(options=None, **files):
    return SlideEntry("s", "p", "breast", files, options or {})


@pytest.fixture
def root(tmp_path):
    write_ome(tmp_path / "i.ome.tif", picture(200, 160), mpp=0.5)
    return tmp_path


def read(root, data, **options):
    data.write_h5ad(root / "a.h5ad")
    return read_slide("h5ad", entry(options, h5ad="a.h5ad", image="i.ome.tif"), root)


def test_an_h5ad_is_read_whole(root):
    slide = read(root, annotated())
    assert slide.counts.toarray().tolist() == COUNTS.tolist()
    assert slide.genes == ("A", "B", "C")
    np.testing.assert_array_equal(slide.units[["x_px", "y_px"]], XY)
    assert (slide.mpp, slide.unit) == (0.5, "spot")
    assert read(root, annotated(), unit="cell", mpp="0.25", pixel_scale="1/2").units["x_px"].tolist() == [
        30,
        70,
        30,
        70.5,
    ]


def test_raw_counts_are_found_where_they_are(root):
    logged = np.log1p(COUNTS)
    layered = annotated(logged, layers={"counts": COUNTS})
    assert read(root, layered).counts.toarray().tolist() == COUNTS.tolist()
    raw = annotated()
    raw.raw = raw.copy()
    raw.X = sparse.csr_matrix(logged)
    assert read(root, raw).counts.toarray().tolist() == COUNTS.tolist()
    named = annotated(logged, layers={"umi": COUNTS})
    assert read(root, named, layer="umi").counts.toarray().tolist() == COUNTS.tolist()
    with pytest.raises(UserError, match="did you mean 'umi'"):
        read(root, named, layer="umis")
    with pytest.raises(UserError, match="not whole"):
        read(root, annotated(logged))


@pytest.mark.filterwarnings("ignore:Observation names are not unique")
def test_faults_of_an_h5ad_are_named(root):
    with pytest.raises(UserError, match="more than once"):
        read(root, annotated(ids=["a", "a", "b", "c"]))
    without = annotated()
    del without.obsm["spatial"]
    with pytest.raises(UserError, match="no obsm"):
        read(root, without)
    annotated().write_h5ad(root / "a.h5ad")
    truncate(root / "a.h5ad")
    with pytest.raises(UserError, match=r"a\.h5ad.*truncated"):
        read_slide("h5ad", entry(h5ad="a.h5ad", image="i.ome.tif"), root)


SIDE = 40  # level-0 pixels; 20 µm at 0.5 µm per px
PICTURE = picture(200, 160)


def write_patches(path, layout, ids, xy):
    """HEST-1k: corners and patch_size_src; its benchmark: centres with x and y exchanged and patch_size."""
    corners = np.round(xy - SIDE / 2).astype(int)
    coords = corners if layout == "hest-1k" else xy[:, ::-1].astype(int)
    with h5py.File(path, "w") as file:
        file["img"] = np.stack([PICTURE[y : y + SIDE, x : x + SIDE] for x, y in corners])
        file["img"].attrs["patch_size_src" if layout == "hest-1k" else "patch_size"] = SIDE
        file["barcode"] = np.array(ids, "S").reshape(-1, 1)
        file["coords"] = coords


@pytest.mark.parametrize("layout", ["hest-1k", "benchmark"])
def test_hest_patches_serve_the_same_crops_as_the_image(root, layout):
    annotated(uns={"metadata": {"pixel_size_um_estimated": 0.5}}).write_h5ad(root / "a.h5ad")
    order = [2, 0, 3]  # one unit has no patch, and patches come in an order of their own
    write_patches(root / "p.h5", layout, [IDS[i] for i in order], XY[order])
    slide = read_slide("hest", entry(h5ad="a.h5ad", patches="p.h5"), root)
    assert slide.units["cell_id"].tolist() == ["s0", "s2", "s3"]
    assert slide.counts.toarray().tolist() == COUNTS[[0, 2, 3]].tolist()
    assert any("1 of 4 spots have no patch" in note for note in slide.notes)
    xy, number = slide.units[["x_px", "y_px"]].to_numpy(), np.zeros(3, int)
    whole = read_slide("hest", entry(h5ad="a.h5ad", image="i.ome.tif"), root)
    for um, pixels in ((20.0, 40), (10.0, 20), (10.0, 30)):
        patches = CohortCrops(number, xy, [(slide.image, slide.mpp)], um, pixels)
        image = CohortCrops(number, xy, [(whole.image, whole.mpp)], um, pixels)
        rows = np.array([2, 0, 1, 0])
        np.testing.assert_array_equal(patches.read(rows), image.read(rows))
        ((places, crops),) = patches.batches(rows, 10)
        np.testing.assert_array_equal(crops, image.read(rows[places]))


def test_crops_wider_than_the_patches_are_refused(root):
    annotated(uns={"mpp": 0.5}).write_h5ad(root / "a.h5ad")
    write_patches(root / "p.h5", "hest-1k", IDS, XY)
    slide = read_slide("hest", entry(h5ad="a.h5ad", patches="p.h5"), root)
    source = CohortCrops(np.zeros(4, int), XY, [(slide.image, slide.mpp)], 30.0, 40)
    with pytest.raises(UserError, match=r"show 20\.0 µm, crops need 30 µm"):
        source.read(np.arange(4))


def test_patches_of_other_units_are_refused(root):
    annotated(uns={"mpp": 0.5}).write_h5ad(root / "a.h5ad")
    write_patches(root / "p.h5", "hest-1k", IDS[::-1], XY)  # barcodes in the wrong order
    with pytest.raises(UserError, match="not centred on the units"):
        read_slide("hest", entry(h5ad="a.h5ad", patches="p.h5"), root)
    write_patches(root / "p.h5", "hest-1k", ["x", "y", "z", "w"], XY)
    with pytest.raises(UserError, match="empty"):
        read_slide("hest", entry(h5ad="a.h5ad", patches="p.h5"), root)


def test_hest_wants_patches_or_an_image(root):
    annotated().write_h5ad(root / "a.h5ad")
    with pytest.raises(UserError, match="both given or both missing"):
        read_slide("hest", entry(h5ad="a.h5ad"), root)


def test_damaged_patches_are_named(root):
    annotated(uns={"mpp": 0.5}).write_h5ad(root / "a.h5ad")
    write_patches(root / "p.h5", "hest-1k", IDS, XY)
    truncate(root / "p.h5", 0.5)
    with pytest.raises(UserError, match=r"p\.h5.*truncated"):
        read_slide("hest", entry(h5ad="a.h5ad", patches="p.h5"), root)
