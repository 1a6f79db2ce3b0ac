"""What encoders see of a crop: all of it, or its middle at their own resolution; recorded, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from baselines.encoders.embedding import embed
from protocols.contract import Settings
from protocols.errors import UserError
from protocols.images.source import ArrayCrops

ENTRY: dict[str, Any] = {"timm": "resnet18", "pixels": 32, "kwargs": {"layers": (1, 1, 1, 1), "channels": (8, 8, 8, 8)}}


def settings(mpp: float | None) -> Settings:
    return Settings(threads=1, encoders={"small": ENTRY | {"mpp": mpp}})


def crops(pixels: int) -> ArrayCrops:
    return ArrayCrops(np.random.default_rng(0).integers(0, 256, (5, pixels, pixels, 3), dtype=np.uint8))


def test_native_is_the_middle_of_the_crop_as_it_is(tmp_path: Path) -> None:
    source, rows = crops(64), np.arange(5)
    record = embed("small", source, rows, settings(0.5), tmp_path / "a.npy", um=32, field="native")
    middle = ArrayCrops(np.ascontiguousarray(source.array[:, 16:48, 16:48]))  # 32 pixels of 0.5 µm: 16 of 32 µm
    whole = embed("small", middle, rows, settings(0.5), tmp_path / "b.npy", um=16)
    assert np.array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy"))
    assert (record.seen_um, record.seen_mpp) == (16.0, 0.5)
    assert (whole.seen_um, whole.seen_mpp) == (16.0, 0.5)


def test_whole_is_the_crop_resized_and_says_its_resolution(tmp_path: Path) -> None:
    record = embed("small", crops(64), np.arange(5), settings(0.5), tmp_path / "a.npy", um=32, field="whole")
    assert (record.seen_um, record.seen_mpp) == (32.0, 1.0)


def test_without_a_known_resolution_native_is_the_whole_and_the_record_says_so(tmp_path: Path) -> None:
    record = embed("small", crops(64), np.arange(5), settings(None), tmp_path / "a.npy", um=32, field="native")
    assert (record.seen_um, record.seen_mpp) == (32.0, 1.0)


def test_published_sizes_of_the_full_profile() -> None:
    from baselines.encoders.field_of_view import native, whole
    from baselines.encoders.table import ENCODERS

    uni, ctranspath, conch = (ENCODERS[name] for name in ("uni", "ctranspath", "conch"))
    assert native(uni, uni.full, 112.0, 224).um == 112.0
    assert native(ctranspath, ctranspath.full, 224.0, 448).mpp == 1.0
    assert whole(conch.full, 112.0, view=1.0).mpp == 0.25
    with pytest.raises(UserError, match=r"224 pixels of 1 µm, 224 µm in all.*which is 112 µm wide.*set um to 224"):
        native(ctranspath, ctranspath.full, 112.0, 224)


def test_a_crop_that_is_too_coarse_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"at 0.5 µm a pixel.*theirs are 1 \(32 µm in 32 pixels\); set pixels to 64"):
        embed("small", crops(32), np.arange(5), settings(0.5), tmp_path / "a.npy", um=32, field="native")
    assert not (tmp_path / "a.npy").exists()
