"""HEX's augmentation: symmetries, turns with black corners, colours within their bounds, each tile on its own row."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
import torch

from baselines.training.hex_augmentation import _hue, grey, jittered, rotated, turned


def test_turns_by_hand() -> None:
    image = torch.arange(9, dtype=torch.uint8).view(1, 1, 3, 3).repeat(1, 3, 1, 1)
    for degrees, quarters in ((0.0, 0), (90.0, 1), (-90.0, -1)):
        found = rotated(image, torch.tensor([degrees]))
        assert torch.equal(found, image.rot90(quarters, (-2, -1))), degrees


def test_a_turn_leaves_black_corners_and_the_middle() -> None:
    """As PIL turns: the share of white that is left, and black in all four corners."""
    from PIL import Image

    side = 65
    for degrees in (45.0, 20.0):
        white = torch.full((1, 3, side, side), 255, dtype=torch.uint8)
        found = rotated(white, torch.tensor([degrees]))[0, 0].numpy()
        assert [int(found[y, x]) for y in (0, -1) for x in (0, -1)] == [0, 0, 0, 0]
        theirs = np.asarray(Image.fromarray(white[0, 0].numpy()).rotate(degrees))
        assert (found != theirs).mean() < 0.02
    lopsided = np.zeros((side, side), dtype=np.uint8)
    lopsided[8:20, 24:60] = 255
    ours = rotated(torch.from_numpy(lopsided).expand(1, 3, -1, -1), torch.tensor([30.0]))[0, 0].numpy()
    assert (ours != np.asarray(Image.fromarray(lopsided).rotate(30.0))).mean() < 0.02


def test_every_tile_keeps_its_row_and_the_generator_decides() -> None:
    """Tile i is of colour i: what comes back in its row is that colour or a black corner."""
    colours = np.arange(1, 201, dtype=np.uint8)
    crops = np.broadcast_to(colours[:, None, None, None], (200, 17, 17, 3))
    found = turned(crops, torch.Generator().manual_seed(0))
    assert found.dtype == np.uint8
    assert found.shape == crops.shape
    for colour, tile in zip(colours, found, strict=True):
        assert set(np.unique(tile)) <= {0, int(colour)}
        assert tile[8, 8, 0] == colour
    corners = (found[:, 0, 0, 0] == 0).mean()
    assert 0.8 < corners <= 1.0
    assert np.array_equal(found, turned(crops, torch.Generator().manual_seed(0)))
    assert not np.array_equal(found, turned(crops, torch.Generator().manual_seed(1)))


def test_colours_move_by_little_and_each_tile_by_its_own() -> None:
    x = torch.full((300, 3, 4, 4), 0.5)
    x[:, 0] = 0.6
    moved = jittered(x, torch.Generator().manual_seed(0))
    gap = (moved - x).abs()
    assert 0.01 < float(gap.mean()) < 0.06
    assert float(gap.max()) < 0.6 * 0.1 + 0.6 * 0.1 + 0.02
    assert len({tuple(one.tolist()) for one in moved[:, :, 0, 0]}) == 300
    assert torch.equal(moved, jittered(x, torch.Generator().manual_seed(0)))
    assert float(jittered(torch.zeros(2, 3, 4, 4), torch.Generator()).abs().max()) == 0


def test_hue_is_the_standard_library_s() -> None:
    rng = np.random.default_rng(0)
    colours = np.concatenate([rng.random((200, 3)), [[0.3, 0.3, 0.3], [1, 0, 0], [0, 1, 0], [0, 0, 1]]])
    by = np.linspace(-0.3, 0.3, len(colours))
    expected = []
    for (red, green, blue), shift in zip(colours, by, strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
        expected.append(colorsys.hsv_to_rgb((hue + shift) % 1.0, saturation, value))
    x = torch.from_numpy(colours).view(-1, 3, 1, 1)
    found = _hue(x, torch.from_numpy(by).view(-1, 1, 1, 1))[:, :, 0, 0]
    assert found.numpy() == pytest.approx(np.array(expected), abs=1e-9)


def test_luma_by_hand() -> None:
    x = torch.tensor([1.0, 0.5, 0.25]).view(1, 3, 1, 1)
    assert float(grey(x)) == pytest.approx(0.299 + 0.587 / 2 + 0.114 / 4)
