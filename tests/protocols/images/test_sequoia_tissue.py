"""SEQUOIA's background rules, of the paper and of the released code, on slides whose answer is known by hand."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.color import rgb2hsv
from skimage.exposure import is_low_contrast
from skimage.filters import threshold_otsu

from protocols.contract import CropArray
from protocols.errors import UserError
from protocols.images import sequoia_tissue
from protocols.images.image import open_image
from protocols.images.sequoia_tissue import channels, histograms, otsu, own_share, sequoia_released, slide_thresholds
from protocols.images.tissue_tiles import RULES, saturation, tile_slide
from tests.cohorts import real_data

SIDE = 64
"""A tile's side in pixels: 32 µm at 0.5 µm."""
PINK, GLASS, PEN = (200, 110, 170), (244, 243, 245), (20, 16, 45)
GRID = 4


def textured(colour: tuple[int, int, int], spread: float = 30.0, seed: int = 0, side: int = GRID * SIDE) -> CropArray:
    """A colour whose brightness varies in blots of 8 pixels, as nuclei make it vary, with noise in every pixel."""
    rng = np.random.default_rng(seed)
    blots = np.clip(rng.normal(size=(side // 8, side // 8)), -1.5, 0.4).repeat(8, 0).repeat(8, 1)
    values = np.array(colour) * (1 + spread / 128 * blots[..., None]) + rng.normal(0, spread / 4, (side, side, 3))
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def tile_at(image: CropArray, row: int, column: int) -> CropArray:
    return image[row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE]


def glass(side: int = GRID * SIDE) -> CropArray:
    return np.full((side, side, 3), GLASS, np.uint8)


def kept(path: Path, image: CropArray, rule: str) -> list[tuple[int, int]]:
    """(row, column) of the tiles that a rule keeps, through the public way in."""
    tifffile.imwrite(
        path, image, tile=(128, 128), photometric="rgb", resolution=(2e4, 2e4), resolutionunit="CENTIMETER"
    )
    found = tile_slide(path, um=SIDE / 2, tissue=rule, max_tiles=1000, seed=0)
    return [(int(y // SIDE), int(x // SIDE)) for x, y in found.centres]


@pytest.mark.parametrize("rule", ["sequoia_paper", "sequoia_released"])
def test_a_white_slide_has_no_tissue(tmp_path: Path, rule: str) -> None:
    with pytest.raises(UserError, match=f"none of 16 tiles is tissue by the rule '{rule}'"):
        kept(tmp_path / "s.tif", glass(), rule)


def test_half_a_tile_of_background_divides_paper_and_code(tmp_path: Path) -> None:
    """Rows 1 and 2 of column 1 are whole, of column 2 their left half: the released code takes both columns."""
    image = glass()
    image[SIDE : 3 * SIDE, SIDE : 2 * SIDE + SIDE // 2] = textured(PINK)[: 2 * SIDE, : SIDE + SIDE // 2]
    assert kept(tmp_path / "a.tif", image, "sequoia_paper") == [(1, 1), (2, 1)]
    assert kept(tmp_path / "b.tif", image, "sequoia_released") == [(1, 1), (1, 2), (2, 1), (2, 2)]


@pytest.mark.parametrize(("background", "stays"), [(0.125, True), (0.25, False)])
def test_the_paper_allows_a_fifth_of_background(tmp_path: Path, background: float, stays: bool) -> None:
    image = glass()
    tissue = round(SIDE * (1 - background))
    tile_at(image, 1, 1)[:, :tissue] = textured(PINK)[:SIDE, :tissue]
    tile_at(image, 2, 2)[:] = textured(PINK)[:SIDE, :SIDE]
    assert ((1, 1) in kept(tmp_path / "s.tif", image, "sequoia_paper")) is stays


def test_the_upper_left_pixel_decides_in_the_released_code(tmp_path: Path) -> None:
    """Two tiles with half their area in tissue: the left half, with the corner, and the right half, without."""
    image = glass()
    tile_at(image, 1, 1)[:, : SIDE // 2] = textured(PINK)[:SIDE, : SIDE // 2]
    tile_at(image, 2, 2)[:, SIDE // 2 :] = textured(PINK)[:SIDE, : SIDE // 2]
    assert kept(tmp_path / "s.tif", image, "sequoia_released") == [(1, 1)]


def test_the_released_code_never_keeps_the_first_row_and_column(tmp_path: Path) -> None:
    """Erosion comes in from beyond the image's border, and those tiles' corners lie on it."""
    image = glass()
    image[:, : 3 * SIDE] = textured(PINK)[:, : 3 * SIDE]
    assert kept(tmp_path / "a.tif", image, "sequoia_released") == [(r, c) for r in (1, 2, 3) for c in (1, 2)]
    assert kept(tmp_path / "b.tif", image, "sequoia_paper") == [(r, c) for r in range(4) for c in range(3)]


def test_dark_ink_is_no_tissue_in_the_released_code(tmp_path: Path) -> None:
    """The paper names no rule for pens: a dark blue one is as saturated as tissue."""
    image = glass()
    tile_at(image, 1, 1)[:] = textured(PINK)[:SIDE, :SIDE]
    tile_at(image, 2, 2)[:] = textured((90, 60, 240), 100.0)[:SIDE, :SIDE]
    tile_at(image, 2, 2)[::2] = PEN
    assert kept(tmp_path / "a.tif", image, "sequoia_released") == [(1, 1)]
    assert kept(tmp_path / "b.tif", image, "sequoia_paper") == [(1, 1), (2, 2)]


@pytest.mark.parametrize("rule", ["sequoia_paper", "sequoia_released"])
def test_flat_colour_has_too_little_contrast(tmp_path: Path, rule: str) -> None:
    """Saturated all over, but of one grey within a twentieth of the range."""
    image = glass()
    tile_at(image, 1, 1)[:] = textured(PINK)[:SIDE, :SIDE]
    tile_at(image, 2, 2)[:] = textured(PINK, 2.0)[:SIDE, :SIDE]
    assert kept(tmp_path / "s.tif", image, rule) == [(1, 1)]


def noisy(seed: int) -> CropArray:
    """Tissue of irregular outline on glass, with noise in every pixel, so that masks are ragged."""
    rng = np.random.default_rng(seed)
    shape = ndimage.gaussian_filter(rng.normal(size=(GRID * SIDE, GRID * SIDE)), 30) > 0
    image = np.where(shape[..., None], textured(PINK, seed=seed), glass()).astype(float)
    return np.clip(image + rng.normal(0, 12, image.shape), 0, 255).astype(np.uint8)


def released_by_the_letter(image: CropArray) -> list[tuple[int, int]]:
    """The rule on a whole image in memory, from its description, with scikit-image's own saturation and thresholds."""

    def mask(rgb: CropArray) -> np.ndarray:
        hue_saturation = rgb2hsv(rgb)[..., 1]
        bright = np.all([rgb[..., k] > threshold_otsu(rgb[..., k]) for k in range(3)], axis=0)
        return (hue_saturation > threshold_otsu(hue_saturation)) & ~bright & (rgb > 50).all(axis=-1)

    whole = ndimage.binary_erosion(ndimage.binary_dilation(mask(image), iterations=3), iterations=3)
    found = []
    for row, column in np.ndindex(GRID, GRID):
        tile = tile_at(image, row, column)
        if whole[row * SIDE, column * SIDE]:
            covered = ndimage.binary_dilation(mask(tile), iterations=3).mean()
            if covered > 0.2 and not is_low_contrast(tile):
                found.append((row, column))
    return found


@pytest.mark.parametrize("seed", range(6))
def test_the_released_rule_by_the_letter(tmp_path: Path, seed: int) -> None:
    image = noisy(seed)
    assert kept_or_none(tmp_path / "s.tif", image) == released_by_the_letter(image)


def test_the_letter_is_tried_on_slides_with_tissue() -> None:
    assert sum(len(released_by_the_letter(noisy(seed))) for seed in range(6)) > 12


@pytest.mark.parametrize("fault", ["DARKEST", "REACH", "RELEASED_TISSUE"])
def test_a_fault_in_a_constant_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """The letter-by-letter reference would notice each number of the rule being another."""
    monkeypatch.setattr(sequoia_tissue, fault, {"DARKEST": 150, "REACH": 0, "RELEASED_TISSUE": 0.75}[fault])
    assert any(
        kept_or_none(tmp_path / f"{seed}.tif", noisy(seed)) != released_by_the_letter(noisy(seed)) for seed in range(6)
    )


def kept_or_none(path: Path, image: CropArray) -> list[tuple[int, int]]:
    try:
        return kept(path, image, "sequoia_released")
    except UserError:
        return []


@given(st.integers(0, 10_000), st.integers(2, 40))
@settings(max_examples=40, deadline=None)
def test_otsu_is_scikit_images(seed: int, size: int) -> None:
    values = np.random.default_rng(seed).integers(0, 256, (size, size)).astype(np.uint8)
    assert otsu(np.bincount(values.ravel(), minlength=256)) == threshold_otsu(values)


def test_one_value_is_its_own_threshold() -> None:
    """Nothing is above it: a constant slide has no tissue."""
    assert otsu(np.bincount([7] * 5, minlength=256)) == 7


def test_saturation_beside_the_colours() -> None:
    rgb = np.array([[[200, 100, 150], [0, 0, 0], [9, 9, 9], [255, 0, 0]]], np.uint8)
    assert channels(rgb)[0, :, 3].tolist() == [128, 0, 0, 255]
    assert histograms(rgb)[3][[0, 128, 255]].tolist() == [2, 1, 1]


def test_saturation_is_that_of_the_other_rules() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (50, 50, 3)).astype(np.uint8)
    assert np.abs(channels(rgb)[..., 3] / 255 - saturation(rgb)).max() <= 0.5 / 255 + 1e-6
    assert (channels(rgb)[..., :3] == rgb).all()


def test_own_share_of_a_tile_in_halves() -> None:
    """32 of 64 columns are tissue, and dilation adds three."""
    tile = np.full((SIDE, SIDE, 3), GLASS, np.uint8)
    tile[:, :32] = PINK
    assert own_share(tile) == pytest.approx(35 / 64)


def test_bands_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The threshold over bands is that over the whole; runs of tiles are read together or alone."""
    path, image = tmp_path / "s.tif", noisy(3)
    tifffile.imwrite(path, image, rowsperstrip=16, photometric="rgb", compression="zlib")
    whole = [otsu(histogram) for histogram in histograms(image)]
    for rows, run in ((16, 1), (48, 2), (1024, 16)):
        monkeypatch.setattr(sequoia_tissue, "BAND_ROWS", rows)
        monkeypatch.setattr(sequoia_tissue, "RUN", run)
        with open_image(path) as opened:
            assert slide_thresholds(opened, 0).tolist() == whole
            found = sequoia_released(opened, SIDE, GRID, GRID).reshape(GRID, GRID)
        assert [tuple(at) for at in np.argwhere(found).tolist()] == released_by_the_letter(image)


def test_the_papers_rule_does_not_depend_on_the_pyramid(tmp_path: Path) -> None:
    """The same slide flat and with levels of 1/2 and 1/4, whose pixels are averages."""
    flat, pyramid, image = tmp_path / "flat.tif", tmp_path / "pyramid.tif", noisy(5)
    options = {"tile": (64, 64), "photometric": "rgb"}
    tifffile.imwrite(flat, image, **options)
    with tifffile.TiffWriter(pyramid) as writer:
        writer.write(image, subifds=2, **options)
        for factor in (2, 4):
            small = image.reshape(256 // factor, factor, 256 // factor, factor, 3).mean(axis=(1, 3))
            writer.write(np.rint(small).astype(np.uint8), subfiletype=1, **options)
    answers = []
    for path in (flat, pyramid):
        with open_image(path) as opened:
            answers.append((len(opened.levels), RULES["sequoia_paper"](opened, SIDE, GRID, GRID).tolist()))
    assert [levels for levels, _ in answers] == [1, 3]
    assert answers[0][1] == answers[1][1]
    assert 0 < sum(answers[0][1]) < 16


@pytest.mark.parametrize("rule", ["sequoia_paper", "sequoia_released"])
def test_memory_is_that_of_bands(tmp_path: Path, rule: str) -> None:
    """A slide of twice the height needs no more memory."""
    peaks = []
    for times in (2, 4):
        path = tmp_path / f"{times}.tif"
        image = np.tile(noisy(1), (times, 1, 1))
        tifffile.imwrite(path, image, tile=(64, 64), photometric="rgb", compression="zlib")
        with open_image(path) as opened:
            RULES[rule](opened, SIDE, GRID, GRID)  # imports
            tracemalloc.start()
            RULES[rule](opened, SIDE, GRID, GRID * times)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < 1.15 * peaks[0]


def test_the_rules_are_listed(tmp_path: Path) -> None:
    assert {"sequoia_paper", "sequoia_released"} < set(RULES)
    with pytest.raises(UserError, match="did you mean 'sequoia_paper'"):
        kept(tmp_path / "s.tif", noisy(0), "sequoia_papr")


@pytest.mark.realdata
def test_real_svs() -> None:
    """One level only, 2,220 x 2,967 pixels: 88 tiles of 128 µm."""
    path = real_data("svs") / "CMU-1-Small-Region.svs"
    found = {rule: tile_slide(path, um=128, tissue=rule, max_tiles=4000, seed=0) for rule in RULES}
    assert {table.seen for table in found.values()} == {88}
    assert {rule: table.tissue for rule, table in found.items()} == {
        "saturation": 33,
        "otsu": 26,
        "sequoia_paper": 20,
        "sequoia_released": 20,
        "all": 88,
    }
    both = {tuple(at) for at in found["sequoia_paper"].centres} & {
        tuple(at) for at in found["sequoia_released"].centres
    }
    assert len(both) == 12
