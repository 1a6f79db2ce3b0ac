"""The embedding file: order, batches, wholeness, memory, preprocessing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from baselines.encoders.embedding import central, embed, prepared, to_input
from baselines.encoders.modules import build_encoder
from baselines.encoders.spec import IMAGENET
from baselines.encoders.table import ENCODERS
from protocols.contract import CropArray, RowArray, Settings
from protocols.images.source import ArrayCrops

SETTINGS = Settings(threads=1)


def _crops(n: int = 21, pixels: int = 64) -> ArrayCrops:
    return ArrayCrops(np.random.default_rng(0).integers(0, 256, (n, pixels, pixels, 3), dtype=np.uint8))


class Scattered(ArrayCrops):
    """Gives crops in another order than asked, as a tile-ordered reader does."""

    def batches(self, rows: RowArray, size: int) -> Iterator[tuple[RowArray, CropArray]]:
        order = np.random.default_rng(3).permutation(len(rows))
        for start in range(0, len(rows), size):
            at = order[start : start + size]
            yield at, self.array[rows[at]]


@pytest.mark.parametrize("name", ["uni", "conch", "ctranspath", "resnet50"])
def test_rows_are_in_the_order_asked_whatever_the_batches(name: str, tmp_path: Path) -> None:
    source, rows = _crops(), np.array([4, 20, 0, 7, 11])
    record = embed(name, source, rows, SETTINGS, tmp_path / "a.npy")
    embed(name, Scattered(source.array), rows, SETTINGS, tmp_path / "b.npy", batch=2)
    a, b = np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy")
    assert record.source == "random"
    assert a.shape == (5, ENCODERS[name].mini.dim)
    assert a.dtype == np.float32
    np.testing.assert_allclose(a, b, atol=1e-5 * np.abs(a).max())
    size = ENCODERS[name].mini
    with torch.inference_mode():
        one = build_encoder(name, SETTINGS)(
            prepared(central(source.array[[20]], size.view), size, ENCODERS[name], torch.device("cpu"))
        )
    np.testing.assert_allclose(a[1], one[0].numpy(), atol=1e-5 * np.abs(a).max())


def test_twice_the_same_bytes_and_progress(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    for name in ("a", "b"):
        embed("uni", _crops(), np.arange(21), SETTINGS, tmp_path / name, lambda d, t: seen.append((d, t)), batch=8)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert seen[:3] == [(8, 21), (16, 21), (21, 21)]


def test_nothing_is_left_when_reading_breaks(tmp_path: Path) -> None:
    class Broken(ArrayCrops):
        def batches(self, rows: RowArray, size: int) -> Iterator[tuple[RowArray, CropArray]]:
            yield np.arange(2), self.array[:2]
            raise OSError("the disk is gone")

    with pytest.raises(OSError, match="disk"):
        embed("uni", Broken(_crops().array), np.arange(21), SETTINGS, tmp_path / "a.npy")
    assert list(tmp_path.iterdir()) == []


def test_input_is_normalised_channel_by_channel() -> None:
    crop = np.full((1, 8, 8, 3), (255, 0, 51), dtype=np.uint8)
    x = to_input(crop, 8, IMAGENET, torch.device("cpu"), "bilinear")
    expected = [(1 - 0.485) / 0.229, (0 - 0.456) / 0.224, (0.2 - 0.406) / 0.225]
    assert x[0, :, 3, 3].tolist() == pytest.approx(expected, rel=1e-5)
    resized = to_input(crop, 12, IMAGENET, torch.device("cpu"), "bilinear")
    assert resized.shape == (1, 3, 12, 12)
    assert resized[0, :, 5, 5].tolist() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("side", "view", "expected"), [(64, 0.5, 32), (64, 1.0, 64), (9, 0.5, 5), (10, 0.5, 6)])
def test_central_keeps_the_centre(side: int, view: float, expected: int) -> None:
    crop = np.zeros((1, side, side, 1), dtype=np.uint8)
    crop[0, side // 2, side // 2] = 1
    cut = central(crop, view)
    assert cut.shape[1:3] == (expected, expected)
    assert cut[0, expected // 2, expected // 2] == 1
