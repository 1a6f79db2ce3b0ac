"""The protein phantom against others: nulls over replicates, ceilings by scikit-survival, its tiles as HEX's PNGs."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from sksurv.metrics import concordance_index_censored

from protocols.expression.cohort import SlideEntry
from protocols.images.crops import CohortCrops
from protocols.phantom.protein_markers import marker_laws
from protocols.phantom.protein_patients import censoring_months, draw_factors, log_hazard
from protocols.phantom.protein_settings import MINI_PROTEIN, TILE_PX
from protocols.phantom.protein_slides import development, generate_slides
from protocols.phantom.protein_tiles import oracle_values, tile_law
from protocols.phantom.tcga_patients import follow_up
from protocols.phantom.tissue import make_tissue
from protocols.readers.readers import read_slide

SEED = 3
STATED = {"all": 0.752, "space": 0.723, "means": 0.607}
"""C-indices of the default data, as docs/phantom.md prints them."""
DRAWS = 120


def test_invisible_markers_correlate_with_nothing_visible_over_replicates() -> None:
    one = replace(MINI_PROTEIN, patients=1, tiles=6)
    tissue = make_tissue(one.slide, SEED, development(one).names[0])
    law = tile_law(one, SEED, tissue, marker_laws(one, SEED), one.tiles)
    hidden = law.share == 0
    seen = oracle_values(law)[:, ~hidden]
    count = np.bincount(law.tiles.of, minlength=len(law.tiles)).astype(float)
    visible = np.column_stack([seen, count])
    visible = (visible - visible.mean(axis=0)) / visible.std(axis=0)
    rng, found, control = np.random.default_rng(8), [], []
    for _ in range(DRAWS):
        values = law.draw(rng)
        values = (values - values.mean(axis=0)) / values.std(axis=0)
        found.append(visible.T @ values[:, hidden] / len(values))
        control.append((visible[:, :-1] * values[:, ~hidden]).mean(axis=0))
    over = np.array(found)
    t = over.mean(axis=0) / (over.std(axis=0, ddof=1) / DRAWS**0.5)
    # 310 pairs of 31 visible columns and 10 markers: beyond 4.5 once in 300 such tests.
    assert t.shape == (31, 10)
    assert abs(t).max() < 4.5
    shown = np.array(control)
    assert (shown.mean(axis=0) / (shown.std(axis=0, ddof=1) / DRAWS**0.5)).min() > 10


def test_ceilings_that_the_page_states_are_scikit_survivals_on_a_new_cohort() -> None:
    months = censoring_months(MINI_PROTEIN, 0)
    factors = draw_factors(0, "a cohort of nobody else", 4000)
    hazard = log_hazard(MINI_PROTEIN, factors, "all")
    time, event = follow_up(MINI_PROTEIN.tcga, np.random.default_rng(1), hazard, months)
    assert 1 - event.mean() == pytest.approx(MINI_PROTEIN.tcga.censored_share, abs=0.03)
    for knowing, value in STATED.items():
        score = log_hazard(MINI_PROTEIN, factors, knowing)
        assert concordance_index_censored(event.astype(bool), time, score)[0] == pytest.approx(value, abs=0.02)


def test_a_slide_cut_into_hex_s_png_tiles_is_the_same_slide(tmp_path: Path) -> None:
    """The default data hold whole slides in JPEG, a sixteenth of the bytes; as PNG tiles they are read the same."""
    one = replace(MINI_PROTEIN, patients=1, tiles=2, replicate_draws=1)
    generate_slides(tmp_path, one, SEED, development(one))
    with (tmp_path / "slides.csv").open() as file:
        row = next(csv.DictReader(file))
    pixels = tifffile.imread(tmp_path / row["image"])
    with (tmp_path / row["table"]).open() as file:
        lines = list(csv.DictReader(file))
    folder = tmp_path / "he_patches"
    folder.mkdir()
    for line in lines:
        x, y = int(line["x"]), int(line["y"])
        tile = pixels[y : y + TILE_PX, x : x + TILE_PX, ::-1]
        cv2.imwrite(str(folder / f"{line['slide']}_{line['index']}.png"), tile)
    whole, cut = (
        read_slide(
            "hex", SlideEntry(row["slide"], row["patient"], row["cancer"], {"table": row["table"]} | files), tmp_path
        )
        for files in ({"image": row["image"]}, {"tiles": "he_patches"})
    )
    assert whole.units.equals(cut.units)
    assert whole.genes == cut.genes
    np.testing.assert_array_equal(whole.intensities, cut.intensities)
    xy, order = whole.units[["x_px", "y_px"]].to_numpy(), np.arange(len(whole.units))
    names = whole.units["cell_id"].to_numpy().astype(str)
    first, second = (
        CohortCrops(np.zeros(len(xy), int), xy, [(slide.image, slide.mpp)], 56.0, TILE_PX, names=names).read(order)
        for slide in (whole, cut)
    )
    np.testing.assert_array_equal(first, second)
