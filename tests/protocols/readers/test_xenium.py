from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from protocols.errors import UserError
from protocols.readers.readers import read_slide

from .bundles import picture, rotation, truncate, write_bundle, write_cells, write_keypoints, write_matrix, write_ome


@pytest.fixture
def bundle(tmp_path):
    return write_bundle(tmp_path)


def read(bundle, **options):
    return read_slide("xenium", replace(bundle.entry, options=options), bundle.folder.parent)


def xy(slide):
    return slide.units[["x_px", "y_px"]].to_numpy()


def test_a_bundle_is_read_whole(bundle):
    slide = read(bundle)
    assert slide.genes == ("ESR1", "CD3E", "FOXA1")
    np.testing.assert_array_equal(slide.counts.toarray(), bundle.counts[:, [0, 2, 3]])
    np.testing.assert_allclose(xy(slide), bundle.xy_px, atol=1e-6)
    assert slide.units["cell_id"].tolist() == [f"cell-{i}" for i in range(12)]
    assert slide.mpp == pytest.approx(0.5)
    assert slide.unit == "cell"
    assert any("1 features that are no genes" in note for note in slide.notes)


@pytest.mark.parametrize("kabsch", ["similarity", "rigid"])
def test_key_points_lead_to_the_same_pixels(bundle, kabsch):
    slide = read(bundle, alignment="keypoints", kabsch=kabsch)
    np.testing.assert_allclose(xy(slide), bundle.xy_px, atol=1e-6)
    assert sum("key points, RMS 0.00 px" in note for note in slide.notes) == 2


def test_polygon_centroids_are_an_option(bundle):
    # The boundaries are squares around centroid + (3, 3) µm; closed polygons repeat their first vertex.
    moved = read(bundle, centroid="polygon")
    shift = np.linalg.inv(bundle.to_dapi)[:2, :2] @ (np.array([3.0, 3.0]) / 0.2125)
    np.testing.assert_allclose(xy(moved) - bundle.xy_px, np.tile(shift, (12, 1)), atol=1e-6)


def test_mpp_comes_from_the_alignment_where_the_image_does_not_say(bundle):
    write_ome(bundle.folder / "s1_he_image.ome.tif", picture(200, 160), mpp=None)
    assert read(bundle).mpp == pytest.approx(0.5)


def test_a_disagreement_on_mpp_is_noted(bundle):
    write_ome(bundle.folder / "s1_he_image.ome.tif", picture(200, 160), mpp=0.6)
    slide = read(bundle)
    assert slide.mpp == pytest.approx(0.6)
    assert any("0.6000" in note and "0.5000" in note for note in slide.notes)
    assert read(bundle, mpp="0.5").mpp == 0.5


def test_files_outside_the_bundle_can_be_named(bundle):
    root = bundle.folder.parent
    for name in ("s1_he_image.ome.tif", "s1_he_imagealignment.csv"):
        (bundle.folder / name).rename(root / f"other_{name}")
    files = {
        "bundle": "bundle",
        "image": "other_s1_he_image.ome.tif",
        "alignment_csv": "other_s1_he_imagealignment.csv",
    }
    slide = read_slide("xenium", replace(bundle.entry, files=files), root)
    np.testing.assert_allclose(xy(slide), bundle.xy_px, atol=1e-6)


FILES = [
    "experiment.xenium",
    "cells.parquet",
    "cell_feature_matrix.h5",
    "s1_he_image.ome.tif",
    "s1_he_imagealignment.csv",
]


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(bundle, name):
    (bundle.folder / name).unlink()
    with pytest.raises(UserError, match="missing") as caught:
        read(bundle)
    assert name in str(caught.value) or name.removeprefix("s1") in str(caught.value)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_truncated_file_is_named(bundle, name, share):
    truncate(bundle.folder / name, share)
    with pytest.raises(UserError, match=name) as caught:
        read(bundle)
    assert "\n" not in str(caught.value)


def test_two_candidate_images_are_refused(bundle):
    write_ome(bundle.folder / "s2_he_image.ome.tif", picture(20, 20))
    with pytest.raises(UserError, match="2 files could be"):
        read(bundle)


def test_a_singular_alignment_is_refused(bundle):
    (bundle.folder / "s1_he_imagealignment.csv").write_text("1,2,0\n2,4,0\n0,0,1\n")
    with pytest.raises(UserError, match="singular"):
        read(bundle)


def test_an_alignment_read_the_wrong_way_round_puts_cells_outside(bundle):
    np.savetxt(bundle.folder / "s1_he_imagealignment.csv", np.linalg.inv(bundle.to_dapi), delimiter=",")
    with pytest.raises(UserError, match="lie outside the image"):
        read(bundle)


def test_duplicate_cells_and_cells_without_counts_are_refused(bundle):
    ids = [f"cell-{i}" for i in range(12)]
    write_cells(bundle.folder, ["cell-1", *ids[1:]], bundle.xy_um)
    with pytest.raises(UserError, match="'cell-1'"):
        read(bundle)
    write_cells(bundle.folder, ["new", *ids[1:]], bundle.xy_um)
    with pytest.raises(UserError, match=r"1 of 12 units have no counts, e\.g\. 'new'"):
        read(bundle)


@pytest.mark.parametrize(
    ("counts", "message"),
    [(-np.ones((12, 2)), "negative"), (np.full((12, 2), 0.5), "not whole"), (np.zeros((12, 2)), "empty")],
)
def test_counts_that_are_none_are_refused(bundle, counts, message):
    ids = [f"cell-{i}" for i in range(12)]
    write_matrix(bundle.folder / "cell_feature_matrix.h5", ids, ["A", "B"], counts)
    with pytest.raises(UserError, match=message):
        read(bundle)


def test_a_matrix_whose_arrays_disagree_is_damaged(bundle):
    import h5py

    with h5py.File(bundle.folder / "cell_feature_matrix.h5", "r+") as file:
        file["matrix/indices"][0] = 99
    with pytest.raises(UserError, match="do not fit together"):
        read(bundle)
    with h5py.File(bundle.folder / "cell_feature_matrix.h5", "r+") as file:
        del file["matrix/indptr"]
    with pytest.raises(UserError, match="indptr"):
        read(bundle)


def test_genes_of_one_symbol_are_added_up_and_noted(bundle):
    ids = [f"cell-{i}" for i in range(12)]
    write_matrix(bundle.folder / "cell_feature_matrix.h5", ids, ["A", "B", "A"], np.tile([1, 2, 3], (12, 1)))
    slide = read(bundle)
    assert slide.genes == ("A", "B")
    assert slide.counts.toarray()[0].tolist() == [4, 2]
    assert any("repeat a gene's name" in note for note in slide.notes)


def test_non_finite_centroids_are_refused(bundle):
    bundle.xy_um[3] = np.nan
    write_cells(bundle.folder, [f"cell-{i}" for i in range(12)], bundle.xy_um)
    with pytest.raises(UserError, match="1 cells have no finite position"):
        read(bundle)


def test_bad_key_points_are_refused(bundle):
    path = bundle.folder / "s1_keypoints.csv"
    write_keypoints(path, bundle.xy_um, np.zeros_like(bundle.xy_px))
    with pytest.raises(UserError, match="do not span"):
        read(bundle, alignment="keypoints")
    path.write_text("region,xenium_x_um,xenium_y_um,he_x,he_y_px\n")
    with pytest.raises(UserError, match="no column 'he_x_px'"):
        read(bundle, alignment="keypoints")


def test_a_rotated_bundle_keeps_left_and_right(tmp_path):
    # The affine in the bundle turns by 30°; a reader that transposed it would turn by −30°.
    bundle = write_bundle(tmp_path)
    assert not np.allclose(bundle.to_dapi[:2, :2], rotation(-30, 0.5 / 0.2125, (0, 0))[:2, :2])
    np.testing.assert_allclose(xy(read(bundle)), bundle.xy_px, atol=1e-6)
