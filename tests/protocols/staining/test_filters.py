"""The paper's two filters: hand-counted borders, the Laplacian against SciPy, and what the rules leave out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from skimage import data

from protocols.contract import CropArray
from protocols.images.patch_images import decode
from protocols.staining.cohort import counted
from protocols.staining.filters import (
    BLANK,
    UNCLEAR_CELLS,
    WHITE_BORDER,
    FilterRules,
    PatchMeasures,
    border_share,
    effect,
    effect_rows,
    filtered,
    focus,
    glass_mask,
    haematoxylin,
    measure,
    tissue_share,
    verdicts,
)
from tests.cohorts import real_data
from tests.protocols.staining.trees import Tree, field_of, image_path, read, save, write_tree

RULES = FilterRules()


def with_border(left: int, colour: int = 245) -> CropArray:
    image = field_of("border", 100, 80)
    image[:, :left] = colour
    return image


def test_border_is_the_run_of_glass_lines_from_an_edge() -> None:
    mask = glass_mask(with_border(8), RULES)
    assert border_share(mask, 0.95) == pytest.approx(8 / 80)
    assert border_share(mask.T, 0.95) == pytest.approx(8 / 80)
    assert border_share(mask[:, ::-1], 0.95) == pytest.approx(8 / 80)
    mask[:6, 3] = False  # 6 of 100 pixels: column 3 is a line of glass no more
    assert border_share(mask, 0.95) == pytest.approx(3 / 80)
    assert border_share(np.zeros((5, 5), bool), 0.95) == 0.0
    assert border_share(np.ones((5, 5), bool), 0.95) == 1.0


def test_glass_inside_the_patch_is_no_border() -> None:
    image = field_of("lumen", 100, 80)
    image[20:80, 20:60] = 250
    assert border_share(glass_mask(image, RULES), 0.95) == 0.0


def test_black_fill_counts_as_border() -> None:
    assert border_share(glass_mask(with_border(8, 0), RULES), 0.95) == pytest.approx(0.1)


@given(st.integers(0, 75))
def test_border_grows_with_what_is_white(left: int) -> None:
    assert border_share(glass_mask(with_border(left), RULES), 0.95) == pytest.approx(left / 80)


def test_haematoxylin_of_pure_stains() -> None:
    stains = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
    stains /= np.linalg.norm(stains, axis=1, keepdims=True)
    image = np.rint(255 * 10 ** -(0.6 * stains)).astype(np.uint8)[None]
    np.testing.assert_allclose(haematoxylin(image)[0], [0.6, 0.0, 0.0], atol=0.02)


def test_focus_is_the_variance_of_scipys_laplacian() -> None:
    image = field_of("focus", 600, 70)  # higher than a strip
    mask = np.random.default_rng(0).random((600, 70)) < 0.1
    laplacian = ndimage.laplace(haematoxylin(image).astype(np.float64))
    inside = ~ndimage.binary_dilation(mask)[1:-1, 1:-1]
    expected = laplacian[1:-1, 1:-1][inside].var()
    assert focus(image, mask) == pytest.approx(expected, rel=1e-4)
    assert focus(image, np.ones_like(mask)) == 0.0
    assert focus(np.full((9, 9, 3), 120, np.uint8), np.zeros((9, 9), bool)) == pytest.approx(0.0, abs=1e-12)


def test_a_real_field_is_clear_and_its_blurred_copy_is_not() -> None:
    sharp = np.asarray(data.immunohistochemistry())  # type: ignore[no-untyped-call]
    values = [
        focus(np.asarray(ndimage.gaussian_filter(sharp, (sigma, sigma, 0))), glass_mask(sharp, RULES))
        for sigma in (0, 1, 2, 3)
    ]
    assert values == sorted(values, reverse=True)
    assert values[0] > 3 * RULES.min_focus > 3 * values[3]  # type: ignore[operator]


@pytest.mark.realdata
def test_the_focus_threshold_parts_real_tiles_from_their_blurred_copies() -> None:
    paths = sorted(real_data("hist2rna").glob("raw_wsi_tcga_images/**/*.png"))
    assert paths
    for path in paths:
        sharp = decode(path)
        mask = np.zeros(sharp.shape[:2], bool)
        blurred = np.asarray(ndimage.gaussian_filter(sharp, (3, 3, 0)))
        assert focus(sharp, mask) > 8e-4 > focus(blurred, mask), path.name


def test_tissue_share_and_flat_colours() -> None:
    image = with_border(40)
    assert tissue_share(image, RULES) == pytest.approx(0.5)
    pink = np.full((64, 64, 3), (200, 120, 160), np.uint8)
    assert tissue_share(pink, RULES) == 0.0


def test_verdicts_name_every_rule_and_none_switches_off() -> None:
    bad = PatchMeasures(tissue=0.0, border=0.2, focus=0.0)
    assert verdicts(bad, RULES) == (BLANK, WHITE_BORDER, UNCLEAR_CELLS)
    assert verdicts(bad, FilterRules(max_border=None, min_focus=None)) == (BLANK,)
    assert verdicts(PatchMeasures(0.01, 0.05, 8e-4), RULES) == ()


def test_measure_takes_the_worse_of_the_pair_and_focus_of_the_he() -> None:
    he, ihc = field_of("he", 100, 80), with_border(20)
    measures = measure(he, ihc, RULES)
    assert measures.tissue == pytest.approx(0.75)
    assert measures.border == pytest.approx(0.25)
    assert measures.focus == focus(he, np.zeros((100, 80), bool))


def test_effect_counts_each_rule_alone_and_filtered_names_the_first(tmp_path: Path) -> None:
    write_tree(tmp_path, Tree(cases=("1001", "1002"), grid=(1, 2)))
    border = field_of("x", 64, 64)
    border[:9] = 250
    save(image_path(tmp_path, "IHC", "ER", "7_1001_0_0_0"), border)
    smooth = np.asarray(ndimage.gaussian_filter(field_of("y", 64, 64), (9, 9, 0)))
    save(image_path(tmp_path, "HandE", "ER", "7_1001_0_0_1"), smooth)
    smooth[:9] = 250
    save(image_path(tmp_path, "HandE", "PR", "7_1002_0_0_0"), smooth)
    cohort = read(tmp_path)
    assert effect_rows(effect(cohort)) == [
        {"marker": "ER", "patches": 4, BLANK: 0, WHITE_BORDER: 1, UNCLEAR_CELLS: 1, "kept": 2},
        {"marker": "PR", "patches": 4, BLANK: 0, WHITE_BORDER: 1, UNCLEAR_CELLS: 1, "kept": 3},
    ]
    kept = filtered(cohort)
    assert len(kept.patches) == 5
    assert counted(kept.excluded) == {WHITE_BORDER: 2, UNCLEAR_CELLS: 1}
    assert len(filtered(cohort, FilterRules(max_border=None, min_focus=None)).patches) == 8
