"""H-score by hand, its denominators, labels of IHC4BC, and the whole pipeline on images with known truth."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.errors import UserError
from protocols.metrics.agreement import bland_altman, pearson
from protocols.metrics.h_score import (
    HScore,
    classify,
    h_score,
    h_score_of_image,
    h_score_of_label,
    tally,
    thresholds_of,
)
from protocols.metrics.nuclei import areas_um2
from protocols.metrics.stain import estimated_white
from protocols.phantom.ihc import patch_images, region_images
from protocols.phantom.ihc_cells import h_score as phantom_h_score
from protocols.phantom.ihc_cells import patches_of, region_cells, regions_of
from protocols.phantom.ihc_settings import MINI_IHC
from protocols.seeds import generator
from tests.protocols.metrics.made_up_sections import mixed_dab, section

SHORT = settings(max_examples=40, deadline=None)
DAB = st.lists(st.floats(-0.2, 2), min_size=1, max_size=40)
TEN = [0.0, 0.05, 0.059, 0.06, 0.1, 0.26, 0.3, 0.459, 0.46, 1.2]  # 3 negative, 2 weak, 3 moderate, 2 strong


def test_classes_by_hand() -> None:
    assert classify(TEN, "ER").tolist() == classify(TEN, "PR").tolist() == [0, 0, 0, 1, 1, 2, 2, 2, 3, 3]
    assert classify([0.11, 0.12, 0.34, 0.35, 0.54, 0.55], "Ki67").tolist() == [0, 1, 1, 2, 2, 3]


def test_score_by_hand() -> None:
    score = h_score(TEN, "ER")
    assert score == HScore(20 + 60 + 60, (3, 2, 3, 2), 10, 140)
    assert not score.clipped


def test_denominators_by_hand() -> None:
    assert h_score(TEN, "ER", he_nuclei=20, variant="he_nuclei").value == 70
    assert h_score(TEN, "ER", he_nuclei=20, variant="ihc_nuclei").value == 140
    over = h_score(TEN, "ER", he_nuclei=4, variant="he_nuclei")  # 7 positive nuclei of 4
    assert (over.value, over.unclipped, over.clipped) == (300, 350, True)
    printed = h_score(TEN, "ER", he_nuclei=20, variant="printed_formula")
    assert (printed.value, printed.clipped) == (7000, False)
    assert h_score([1.0], "ER", he_nuclei=1, variant="printed_formula").value == 30_000


def test_no_nuclei_no_score() -> None:
    assert h_score([], "ER") == HScore(None, (0, 0, 0, 0), 0, None, "no nuclei in the IHC")
    assert h_score(TEN, "ER", he_nuclei=0, variant="he_nuclei").reason == "no nuclei in the H&E"
    assert h_score([], "ER", he_nuclei=7, variant="he_nuclei").value == 0
    assert not h_score([], "ER").clipped


@SHORT
@given(DAB, st.sampled_from(["ER", "PR", "Ki67"]), st.integers(1, 60))
def test_bounds_order_and_the_printed_factor(dab: list[float], marker: str, he_nuclei: int) -> None:
    score = h_score(dab, marker)
    assert score.value is not None
    assert 0 <= score.value <= 300
    assert score == h_score(dab[::-1], marker)
    darker = h_score([value + 0.1 for value in dab], marker)
    assert darker.value >= score.value
    assert h_score(dab + dab, marker).value == pytest.approx(score.value)
    of_he, printed = (h_score(dab, marker, he_nuclei=he_nuclei, variant=v) for v in ("he_nuclei", "printed_formula"))
    assert printed.value == pytest.approx(100 * of_he.unclipped)
    assert of_he.unclipped * he_nuclei == pytest.approx(score.value * len(dab))


def test_rows_of_the_labels() -> None:
    assert h_score_of_label("a", 20, TEN, "ER", variant="he_nuclei").value == 70
    assert h_score_of_label("0", 20, TEN, "ER", variant="he_nuclei") == HScore(0.0, (10, 0, 0, 0), 20, 0.0)
    gone = h_score_of_label("d", 20, TEN, "ER")
    assert (gone.value, gone.reason) == (None, "discarded in the labels")
    with pytest.raises(UserError, match="unknown flag 'x'"):
        h_score_of_label("x", 20, TEN, "ER")


def test_tally_names_what_happened() -> None:
    scores = [
        h_score(TEN, "ER"),
        h_score(TEN, "ER", he_nuclei=4, variant="he_nuclei"),
        h_score([], "ER"),
        h_score_of_label("d", 1, [], "PR"),
    ]
    assert str(tally(scores)) == (
        "2 scored, 1 clipped at 300; 1 without a score: discarded in the labels; "
        "1 without a score: no nuclei in the IHC"
    )
    assert str(tally([])) == "0 scored, 0 clipped at 300"


def test_wrong_input_gets_one_line() -> None:
    with pytest.raises(UserError, match="did you mean 'Ki67'"):
        thresholds_of("Ki-67")
    with pytest.raises(UserError, match="membrane marker"):
        h_score(TEN, "Her2")
    with pytest.raises(UserError, match="did you mean 'he_nuclei'"):
        h_score(TEN, "ER", variant="h&e_nuclei")
    with pytest.raises(UserError, match="give the H&E image or its count"):
        h_score(TEN, "ER", variant="he_nuclei")
    with pytest.raises(UserError, match="one finite optical density"):
        h_score([0.1, np.nan], "ER")


def test_pipeline_against_the_known_truth() -> None:
    """Nuclei of every class up to its bounds: r far above the .95 required, and a bias no larger than blur alone
    gives when the true outlines are known."""
    truth, found, outlined, by_he = [], [], [], []
    for seed in range(10):
        dab = mixed_dab(seed, 90)
        ihc, labels = section(seed, dab)
        he, _ = section(100 + seed, dab, he=True)  # a neighbouring section: other nuclei
        truth.append(h_score(dab, "ER").value)
        found.append(h_score_of_image(ihc, None, "ER", 0.5).score.value)
        outlined.append(h_score_of_image(ihc, None, "ER", 0.5, ihc_nuclei=labels).score.value)
        by_he.append(h_score_of_image(ihc, he, "ER", 0.5, variant="he_nuclei").score.value)
    assert pearson(found, truth).r > 0.99
    assert pearson(by_he, truth).r > 0.99
    assert -6 < bland_altman(outlined, truth).bias.value < 0
    assert -8 < bland_altman(found, truth).bias.value < 2


@pytest.mark.slow
def test_pipeline_on_the_phantom() -> None:
    """Another simulator than this file's: stain vectors and white of each section's own, touching nuclei, 1 µm a pixel.

    True IHC against the cells' truth must reach r ≥ .95, with the white level measured or not, by either denominator.
    """
    truth: list[float] = []
    found: dict[str, list[float]] = {"white 255": [], "white measured": [], "he_nuclei": []}
    phantom = replace(MINI_IHC, markers=(("ER", 10),), candidates=2, edge_every=100, blurred_every=100)
    for region in regions_of(phantom, 21):
        cells = region_cells(phantom, 21, region)
        he, section_ihc = region_images(phantom, 21, cells)
        for patch in patches_of(phantom, 21, cells):
            images = patch_images(phantom, he, section_ihc, patch)
            ihc, white = images["exact"], estimated_white(images["exact"])
            truth.append(phantom_h_score(cells.od[patch.he_cells]))
            for name, options in (
                ("white 255", {}),
                ("white measured", {"white": white}),
                ("he_nuclei", {"white": white, "variant": "he_nuclei"}),
            ):
                scored = h_score_of_image(ihc, images["he"], "ER", phantom.mpp, **options)
                found[name].append(scored.score.value)
    for name, values in found.items():
        assert pearson(values, truth).r > 0.95, name
        assert abs(bland_altman(values, truth).bias.value) < 15, name


def test_nuclei_of_the_he_serve_an_aligned_ihc() -> None:
    """A generated IHC lies on its H&E, pixel by pixel, so the nuclei may be given."""
    dab = mixed_dab(7, 80)
    ihc, labels = section(7, dab)
    made = h_score_of_image(ihc, None, "PR", 0.5, ihc_nuclei=labels, he_nuclei=80, variant="he_nuclei")
    assert made.labels is labels
    assert made.score.denominator == 80
    assert made.score.value == pytest.approx(h_score(dab, "PR").value, abs=12)
    np.testing.assert_array_equal(made.classes, classify(made.nuclear_dab, "PR"))


def test_glass_that_is_not_white_must_be_said() -> None:
    """Yellowish-grey glass of level 215 read against 255 moves negative nuclei over the lowest bound."""
    ihc, labels = section(8, np.full(60, 0.02), white=215.0)
    naive = h_score_of_image(ihc, None, "ER", 0.5, ihc_nuclei=labels)
    right = h_score_of_image(ihc, None, "ER", 0.5, ihc_nuclei=labels, white=215.0)
    assert naive.score.value > 50
    assert right.score.value < 5


def test_real_image() -> None:
    """scikit-image's IHC of colon: brown cytoplasm, blue nuclei. The marker is not nuclear, so the score itself means
    nothing; the blue nuclei of the stroma must be found and be negative."""
    ihc: np.ndarray = import_module("skimage.data").immunohistochemistry()
    found = h_score_of_image(ihc, None, "ER", 0.5, image="ihc, haematoxylin alone", white=estimated_white(ihc))
    assert 230 < len(found.classes) < 330
    assert 20 < np.median(areas_um2(found.labels, 0.5)) < 60
    stroma = np.unique(found.labels[300:500, 180:250])[1:] - 1
    assert len(stroma) > 20
    assert (found.classes[stroma] <= 1).mean() > 0.9
    assert 90 < found.score.value < 150


def test_noise_alone_has_no_score() -> None:
    glass = np.clip(generator(0, "glass").normal(245, 2, (96, 96, 3)), 0, 255).astype(np.uint8)
    assert h_score_of_image(glass, None, "ER", 0.5).score.reason == "no nuclei in the IHC"
