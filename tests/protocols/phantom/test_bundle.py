"""Geometry and image of a bundle: frames, outlines, nuclei where they should be, and an independent reader."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from scipy.spatial import cKDTree

from protocols.phantom.bundle import cell_id
from protocols.phantom.generate import slide_names
from protocols.phantom.outlines import areas
from protocols.phantom.tissue import make_tissue
from tests.protocols.phantom.tiny import SEED, TINY, alignment, centroids, read_counts, to_he_px

SLIDE = "breast-p1-s1"


@pytest.fixture(scope="module")
def bundle(cohort: Path) -> Path:
    return cohort / "xenium" / SLIDE


def test_cell_ids_are_10x_text() -> None:
    assert cell_id(1) == "aaaaaaab-1"
    assert cell_id(0x1F) == "aaaaaabp-1"


def test_centroids_go_back_to_where_the_cells_were_drawn(cohort: Path) -> None:
    turns = set()
    for name in slide_names(TINY):
        folder = cohort / "xenium" / name.slide
        matrix = alignment(folder)
        drawn = make_tissue(TINY, SEED, name).xy / TINY.mpp
        np.testing.assert_allclose(to_he_px(folder, centroids(folder)), drawn, atol=0.005)
        forward = (np.column_stack([drawn, np.ones(len(drawn))]) @ matrix.T)[:, :2] * 0.2125
        np.testing.assert_allclose(forward, centroids(folder), atol=0.002)
        assert (centroids(folder) > 0).all()
        angle = np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0]))
        assert 14 < abs(angle) < 76
        assert np.sqrt(np.linalg.det(matrix[:2, :2])) == pytest.approx(TINY.mpp / 0.2125, rel=0.015)
        turns.add(round(float(angle), 3))
    assert len(turns) == len(slide_names(TINY))


def test_a_dark_nucleus_lies_at_every_projected_centroid(cohort: Path) -> None:
    """Red light is what haematoxylin absorbs: nuclei are darker there than points half-way between cells."""
    for name in slide_names(TINY)[:3]:
        folder = cohort / "xenium" / name.slide
        red = tifffile.imread(folder / f"{name.slide}_he_image.ome.tif")[..., 0].astype(float)
        px = to_he_px(folder, centroids(folder))

        def light(points: np.ndarray, red: np.ndarray = red) -> np.ndarray:  # type: ignore[type-arg]
            x, y = np.round(points).astype(int).T
            return np.mean([red[y + i, x + j] for i in (-1, 0, 1) for j in (-1, 0, 1)], axis=0)

        inside = ((px > 14) & (px < TINY.image_px - 14)).all(axis=1)
        px = px[inside]
        around = np.mean([light(px + 11 * np.array([np.cos(t), np.sin(t)])) for t in np.arange(8) * np.pi / 4], axis=0)
        assert (light(px) < around).mean() > 0.93
        # Planted fault: x and y exchanged, the classic mistake, must not pass.
        assert (light(px[:, ::-1]) < around).mean() < 0.75


def test_cells_keep_their_distance(bundle: Path) -> None:
    px = to_he_px(bundle, centroids(bundle)) * TINY.mpp
    assert 90 < len(px) < 200
    nearest = cKDTree(px).query(px, k=2)[0][:, 1]
    assert nearest.min() > TINY.cell_spacing_um - 0.01
    assert np.median(nearest) < 14


def test_outlines_are_closed_lie_around_their_cell_and_nuclei_lie_in_cells(bundle: Path) -> None:
    cells = pd.read_parquet(bundle / "cells.parquet").set_index("cell_id")
    found = {}
    for kind in ("cell", "nucleus"):
        table = pd.read_parquet(bundle / f"{kind}_boundaries.parquet")
        assert list(table.columns) == ["cell_id", "vertex_x", "vertex_y", "label_id"]
        assert list(table.cell_id.unique()) == list(cells.index)
        xy = table[["vertex_x", "vertex_y"]].to_numpy(float).reshape(len(cells), -1, 2)
        np.testing.assert_array_equal(xy[:, 0], xy[:, -1])
        np.testing.assert_allclose(areas(xy[:, :-1]), cells[f"{kind}_area"], rtol=1e-3)
        found[kind] = xy
    centre = cells[["x_centroid", "y_centroid"]].to_numpy()[:, None]
    reach = {kind: np.linalg.norm(xy - centre, axis=2) for kind, xy in found.items()}
    assert (reach["nucleus"] <= reach["cell"] + 0.4).all()
    assert (cells.nucleus_area <= cells.cell_area + 1.0).all()
    assert areas(np.array([[[0.0, 0], [2, 0], [2, 3], [0, 3]]])) == pytest.approx([6.0])


def test_keypoints_fit_the_alignment(cohort: Path) -> None:
    for name in slide_names(TINY):
        folder = cohort / "xenium" / name.slide
        points = pd.read_csv(folder / f"{name.slide}_keypoints.csv")
        assert list(points.columns) == ["region", "xenium_x_um", "xenium_y_um", "he_x_px", "he_y_px"]
        assert (points.groupby("region").size() == TINY.keypoints_per_region).all()
        assert points.region.nunique() == TINY.keypoint_regions
        back = to_he_px(folder, points[["xenium_x_um", "xenium_y_um"]].to_numpy())
        off = (back - points[["he_x_px", "he_y_px"]].to_numpy()) * TINY.mpp
        assert 0.1 < off.std() < 0.5
        assert np.abs(off).max() < 1.5


def test_image_is_a_pyramid_with_its_pixel_size(bundle: Path) -> None:
    with tifffile.TiffFile(bundle / f"{SLIDE}_he_image.ome.tif") as tif:
        assert tif.is_ome
        series = tif.series[0]
        assert [level.shape for level in series.levels] == [(352, 352, 3), (176, 176, 3)]
        page = tif.pages[0]
        assert page.is_tiled
        assert page.compression.name == "JPEG"
        assert "DateTime" not in page.tags
        assert 'PhysicalSizeX="0.5"' in str(tif.ome_metadata)
        full, half = (level.asarray().astype(float) for level in series.levels)
    small = full.reshape(176, 2, 176, 2, 3).mean(axis=(1, 3))
    assert np.abs(small - half).mean() < 6
    assert 90 < full.mean() < 220


def test_openslide_reads_the_image_as_tifffile_does(bundle: Path) -> None:
    import openslide

    path = bundle / f"{SLIDE}_he_image.ome.tif"
    with openslide.OpenSlide(path) as slide:
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(TINY.mpp)
        seen = np.asarray(slide.read_region((100, 40), 0, (64, 32)).convert("RGB")).astype(int)
    assert np.abs(seen - tifffile.imread(path)[40:72, 100:164].astype(int)).mean() < 2


def test_experiment_file_counts_the_cells(bundle: Path) -> None:
    specs = json.loads((bundle / "experiment.xenium").read_text())
    assert specs["num_cells"] == len(centroids(bundle))
    assert specs["pixel_size"] == 0.2125
    assert specs["analysis_sw_version"].startswith("xenium-3.")
    assert set(specs["xenium_explorer_files"].values()) <= {path.name for path in bundle.iterdir()}


def test_scanpy_reads_the_matrix(bundle: Path) -> None:
    import scanpy

    counts, genes, ids, barcodes = read_counts(bundle)
    data = scanpy.read_10x_h5(bundle / "cell_feature_matrix.h5", gex_only=False)
    kept = data[:, data.var["feature_types"] == "Gene Expression"]
    assert list(kept.obs_names) == barcodes
    assert list(kept.var_names) == genes
    assert list(kept.var["gene_ids"]) == ids
    np.testing.assert_array_equal(kept.X.toarray(), counts)
    assert (data.var["feature_types"] == "Negative Control Probe").sum() == TINY.control_probes


@pytest.mark.slow
# spatialdata and what it imports (zarr, ome-zarr, dask, xarray) warn of their own future changes, and the reader warns
# that the label masks, which a phantom has not, are absent: none of it is about the files.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore:The table is annotating:UserWarning")
def test_spatialdata_io_sees_the_same_cells_counts_and_image(bundle: Path) -> None:
    pytest.importorskip("spatialdata_io", exc_type=ImportError)
    from spatialdata.transformations import get_transformation
    from spatialdata_io import xenium

    data = xenium(
        bundle,
        cells_labels=False,
        nucleus_labels=False,
        transcripts=False,
        morphology_mip=False,
        morphology_focus=False,
    )
    counts, genes, _, barcodes = read_counts(bundle)
    table = data["table"]
    assert list(table.obs_names) == barcodes
    assert list(table.var_names) == genes
    np.testing.assert_array_equal(table.X.toarray(), counts)
    np.testing.assert_allclose(table.obsm["spatial"], centroids(bundle))
    assert (table.obs["nucleus_count"] == 1).all()
    image = data["he_image"]["scale0"]["image"]
    assert image.dims == ("c", "y", "x")
    expected = tifffile.imread(bundle / f"{SLIDE}_he_image.ome.tif")
    np.testing.assert_array_equal(np.moveaxis(image.to_numpy(), 0, -1), expected)
    affine = get_transformation(data["he_image"], "global").to_affine_matrix(("x", "y"), ("x", "y"))
    np.testing.assert_allclose(affine, alignment(bundle))
    outlines = data["nucleus_boundaries"]
    assert list(outlines["cell_id"]) == barcodes
    assert outlines.geometry.is_valid.mean() > 0.99
    centres = np.column_stack([outlines.geometry.centroid.x, outlines.geometry.centroid.y])
    assert np.abs(centres - centroids(bundle)).max() < 2.5
