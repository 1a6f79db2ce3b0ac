"""From HEX's files to what a model sees: stored, cropped by name, and recognised."""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import pytest

from protocols.expression.cohort import SlideEntry
from protocols.expression.store import CohortInfo, write_store
from protocols.expression.view_makers import cohort_crops
from protocols.images.tile_folder import recognised_by
from protocols.readers.readers import read_slide

from .bundles import picture


@pytest.fixture
def root(tmp_path):
    for number, slide in enumerate(("a", "b")):
        pixels = picture(48, 16, seed=number)
        (tmp_path / slide).mkdir()
        for index in range(3):
            tile = pixels[:, 16 * index : 16 * index + 16, ::-1]
            cv2.imwrite(str(tmp_path / slide / f"{slide}_{index}.png"), np.ascontiguousarray(tile))
        frame = pd.DataFrame({"slide": slide, "index": range(3), "x": [0, 16, 32], "y": 0})
        frame["mean_intensity_channel1"] = [0.25, 0.5, 0.75]
        frame.to_csv(tmp_path / f"{slide}.csv", index=False)
    return tmp_path


def test_a_stored_cohort_of_tiles_gives_every_unit_its_own_picture(root, tmp_path):
    slides = [
        read_slide("hex", SlideEntry(name, name, "lung", {"table": f"{name}.csv", "tiles": name}), root)
        for name in ("a", "b")
    ]
    info = CohortInfo("c", False, "tile", crop_um=4.0, crop_pixels=16, measure="raw")
    store = write_store(tmp_path / "store", info, iter(slides), root)
    assert [slide.image for slide in store.slides] == ["a", "b"]
    rows = np.array([5, 0, 4])
    expected = [picture(48, 16, seed=1)[:, 32:], picture(48, 16, seed=0)[:, :16], picture(48, 16, seed=1)[:, 16:32]]
    np.testing.assert_array_equal(cohort_crops(store, root).read(rows), np.stack(expected))
    assert store.intensities(rows, ["channel1"])[:, 0].tolist() == [0.75, 0.25, 0.5]
    assert all(recognised_by(root / slide.image).is_file() for slide in store.slides)
