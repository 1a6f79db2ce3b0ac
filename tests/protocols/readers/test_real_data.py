"""The readers on real public data; ``SLIDE2OMICS_REAL_DATA`` names its folder."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from protocols.expression.cohort import SlideEntry
from protocols.images.crops import CohortCrops
from protocols.images.image import open_image
from protocols.readers.manifest import read_manifest
from protocols.readers.readers import read_slide

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif("SLIDE2OMICS_REAL_DATA" not in os.environ, reason="SLIDE2OMICS_REAL_DATA is not set"),
]

MANIFEST = Path(__file__).parents[3] / "docs" / "examples" / "her2st_slides.csv"
SPOTS = {"A1": 346, "C2": 187, "C3": 180, "C4": 184, "C5": 181, "C6": 178}


@pytest.fixture(scope="module")
def real():
    return Path(os.environ["SLIDE2OMICS_REAL_DATA"])


@pytest.fixture(scope="module")
def slides(real):
    root = real / "her2st"
    return {entry.slide: read_slide("spot_table", entry, root) for entry in read_manifest(MANIFEST, root, "spot_table")}


def test_all_six_her2st_sections_are_read(slides):
    assert {name: slide.counts.shape[0] for name, slide in slides.items()} == SPOTS
    assert {slide.entry.patient for slide in slides.values()} == {"A", "C"}
    for name, slide in slides.items():
        # 200 µm between spots are 290 px of the C scans; A1 was shrunk to 2,000 px.
        assert slide.mpp == pytest.approx(3.19 if name == "A1" else 0.688, rel=0.005)
        assert not any("outside" in note for note in slide.notes)


def test_published_genes_are_among_those_read(slides, real):
    published = set(np.load(real / "her2st" / "her_hvg_cut_1000.npy", allow_pickle=False).astype(str).tolist())
    for slide in slides.values():
        assert len(published & set(slide.genes)) > 0.99 * len(published)


def test_her2st_crops_lie_on_tissue(slides):
    slide = slides["C2"]
    xy = slide.units[["x_px", "y_px"]].to_numpy()
    source = CohortCrops(np.zeros(len(xy), int), xy, [(slide.image, slide.mpp)], 112.0, 224)
    crops = source.read(np.arange(len(xy)))
    assert crops.shape == (187, 224, 224, 3)
    # Haematoxylin and eosin take green away; glass does not.
    assert (crops[..., 1].mean(axis=(1, 2)) < 200).mean() > 0.95
    far = CohortCrops(np.zeros(1, int), np.array([[300.0, 300.0]]), [(slide.image, slide.mpp)], 112.0, 224)
    assert far.read(np.array([0]))[..., 1].mean() > crops[..., 1].mean()


def test_visium_tables_are_read(real):
    files = {"counts": "counts.csv.gz", "spots": "spots.csv", "image": "breast_visium_lowres_HE.png"}
    slide = read_slide("spot_table", SlideEntry("v", None, "breast", files), real / "visium_breast")
    assert slide.counts.shape[0] == 20
    assert slide.mpp == pytest.approx(14.76, abs=0.05)


def test_svs_regions_equal_openslides(real):
    import openslide

    path = real / "svs" / "CMU-1-Small-Region.svs"
    slide = openslide.OpenSlide(str(path))
    with open_image(path) as image:
        assert (image.width, image.height, image.mpp) == (2220, 2967, 0.499)
        for x, y, w, h in ((0, 0, 300, 300), (1000, 1500, 700, 300), (2000, 2800, 220, 167)):
            expected = np.asarray(slide.read_region((x, y), 0, (w, h)).convert("RGB"))
            np.testing.assert_array_equal(image.read_region(x, y, w, h), expected)
    slide.close()
