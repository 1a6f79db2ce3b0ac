"""A token a marker from a slide's maps, as HEX's script makes them, and its trap of scale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from protocols.contract import Settings
from protocols.errors import UserError
from protocols.readers.bag_files import read_bag
from suite.tools.token_bag import SIDE, picture, refuse_squashed, write_bag

MARKERS = ("CD8", "DAPI", "Ki67")


def maps() -> np.ndarray:
    planes = np.random.default_rng(0).random((3, 30, 50), dtype=np.float32)
    planes[0] = planes[0] * 2 - 0.5  # beyond both ends
    return planes


def test_a_picture_is_the_script_s() -> None:
    """By PIL: cut to [0, 1], times 255, to 8 bits, RGB, squeezed to 224 pixels by its bicubic filter."""
    plane = maps()[0]
    eight = Image.fromarray((np.minimum(np.maximum(plane, 0), 1) * 255).astype(np.uint8)).convert("RGB")
    theirs = np.asarray(eight.resize((SIDE, SIDE), Image.Resampling.BICUBIC)).astype(int)
    ours = picture(plane)
    assert ours.shape == (SIDE, SIDE, 3)
    assert np.abs(ours.astype(int) - theirs).max() <= 1


def test_a_bag_is_read_as_bags_are(tmp_path: Path) -> None:
    record = write_bag(tmp_path / "x.h5", maps(), MARKERS, Settings(threads=1), "a slide")
    found = read_bag(tmp_path / "x.h5", "protein_tokens")
    assert found.shape == (3, 96)  # the mini encoder's width; 384 as published
    assert np.abs(found[0] - found[1]).max() > 1e-3
    assert record.source == "random"
    write_bag(tmp_path / "y.h5", maps(), MARKERS, Settings(threads=1), "a slide")
    assert (tmp_path / "x.h5").read_bytes() == (tmp_path / "y.h5").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.h5", "y.h5"]


def test_maps_divided_by_255_twice_are_refused(tmp_path: Path) -> None:
    """103.56 of 8 bits divided by 255² is .001593, as in HEX's own sample: every pixel would be 0 as 8-bit picture."""
    small = np.array([[0.0, 103.56 / 255**2]], dtype=np.float32)
    assert not picture(small).any()
    with pytest.raises(UserError, match="no value reaches 1/255"):
        write_bag(tmp_path / "x.h5", small[None], ("CD8",), Settings(threads=1), "a map")
    assert not list(tmp_path.iterdir())
    refuse_squashed(np.array([0.0, 103.56 / 255], dtype=np.float32), "a map")


def test_another_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"expected a name ending in \.h5"):
        write_bag(tmp_path / "x.pt", maps(), MARKERS, Settings(threads=1), "a slide")
