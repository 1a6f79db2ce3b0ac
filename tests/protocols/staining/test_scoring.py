"""Scores of generated IHC: tile to patient to mean by hand, H-scores over a patch's tiles, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from protocols.contract import CropArray
from protocols.errors import UserError
from protocols.metrics.h_score import h_score_of_image
from protocols.metrics.image_similarity import PSNR_CAP_DB
from protocols.staining.score import SAMPLES, ScoredTiles, score_tiles
from tests.protocols.metrics.made_up_sections import mixed_dab, section

SIDE = 32
Tile = tuple[str, str, float]
"""Patient, patch, and by how many levels the answer is off everywhere."""
TILES: list[Tile] = [
    ("p1", "p1_a", 1.0), ("p1", "p1_a", 2.0), ("p1", "p1_b", 4.0), ("p2", "p2_a", 8.0), ("p3", "p3_a", 16.0),
]  # fmt: skip


def decibels(levels: float) -> float:
    return float(20 * np.log10(255 / levels))


def images(n: int, seed: int = 0, side: int = SIDE) -> CropArray:
    return np.random.default_rng(seed).integers(40, 200, (n, side, side, 3), dtype=np.uint8)


def fold(tiles: Sequence[Tile], name: str = "0", **changes: Any) -> ScoredTiles:
    """Answers that are off by a stated number of levels from the scanned image, which is the registered one, too."""
    n = len(tiles)
    truth = images(n, seed=int(name))
    answer = truth + np.array([tile[2] for tile in tiles], dtype=np.uint8)[:, None, None, None]
    made = ScoredTiles(
        name=name,
        tile=np.array([f"{patch}_{at}" for at, (_, patch, _) in enumerate(tiles)]),
        patch=np.array([patch for _, patch, _ in tiles]),
        patient=np.array([patient for patient, _, _ in tiles]),
        he=images(n, seed=100 + int(name)).__getitem__,
        truth=truth.__getitem__,
        predicted=answer.__getitem__,
        registered=None,
        reference={},
    )
    return replace(made, **changes)


def scored(folds: Sequence[ScoredTiles], marker: str = "HER2", **options: Any) -> Any:
    return score_tiles(folds, marker, **({"mpp": 1.0, "shift_px": 2} | options))


def test_psnr_per_tile_then_patient_then_mean() -> None:
    found = scored([fold(TILES[:3], "0"), fold(TILES[3:], "1")])
    by_hand = {
        "p1": np.mean([decibels(1), decibels(2), decibels(4)]),
        "p2": decibels(8),
        "p3": decibels(16),
    }
    np.testing.assert_allclose(found.units["psnr"], [decibels(tile[2]) for tile in TILES], rtol=1e-12)
    assert found.per_patient == pytest.approx(by_hand)
    assert found.headline.mean == pytest.approx(np.mean(list(by_hand.values())))  # a patient counts once
    assert found.summary["psnr"] == pytest.approx(found.headline.mean)
    assert (found.headline.n_patients, found.units["fold"].tolist()) == (3, ["0"] * 3 + ["1"] * 2)
    assert found.counts == {
        "patients": 3, "patches": 4, "tiles": 5, "folds": 2, "identical_tiles": 0, "patches_without_h_score": 4,
    }  # fmt: skip
    assert found.summary["psnr_registered"] is None
    assert "h_score_r" not in found.summary  # a membrane marker has none


def test_identical_images_reach_the_cap_and_are_counted() -> None:
    found = scored([fold([("p1", "a", 0.0), ("p1", "b", 0.0), ("p2", "c", 1.0)])])
    assert found.per_patient["p1"] == PSNR_CAP_DB == found.units["psnr_shift"][0]
    assert found.counts["identical_tiles"] == 2
    np.testing.assert_allclose(found.units[["ssim", "ssim_global", "ssim_shift"]].to_numpy()[:2], 1.0)


def test_a_shifted_answer_is_forgiven_by_the_tolerant_scores_alone() -> None:
    wide = images(2, side=SIDE + 4)
    truth, moved = wide[:, 2:-2, 2:-2], wide[:, 1:-3, 3:-1]
    made = fold(TILES[3:], truth=truth.__getitem__, predicted=moved.__getitem__)
    found = scored([made])
    assert found.summary["psnr_shift"] == PSNR_CAP_DB
    assert found.summary["ssim_shift"] == pytest.approx(1.0)
    assert found.summary["psnr"] < 20
    assert scored([made], shift_px=0).summary["psnr_shift"] == pytest.approx(found.summary["psnr"])


def test_the_registered_truth_has_a_column_of_its_own() -> None:
    registered = images(5, seed=9)
    made = fold(TILES, registered=registered.__getitem__, predicted=registered.__getitem__)
    found = scored([made])
    np.testing.assert_array_equal(found.units["psnr_registered"], PSNR_CAP_DB)
    assert found.summary["psnr_registered"] == PSNR_CAP_DB
    assert found.summary["psnr"] < 20
    assert found.counts["identical_tiles"] == 0


def test_tiles_in_many_batches_are_those_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = scored([fold(TILES)])
    monkeypatch.setattr("protocols.staining.score.AT_ONCE", 2)
    pieces = scored([fold(TILES)])
    assert pieces.units.equals(whole.units)
    assert (pieces.summary, pieces.headline) == (whole.summary, whole.headline)


# H-scores.
STAINED = [("p1", "p1_a"), ("p1", "p1_a"), ("p1", "p1_b"), ("p2", "p2_a"), ("p3", "p3_a"), ("p4", "p4_a")]
LEVELS = (0.0, 0.8, 0.35, 0.15, 0.8, 0.0)
"""DAB of every nucleus of a tile: negative, strong, moderate, weak, strong, negative."""


def stained(levels: Sequence[float] = LEVELS) -> CropArray:
    """One tile of 128 µm a level, 20 nuclei each; the first tile has 40."""
    return np.stack(
        [section(at, np.full(40 if at == 0 else 20, od), mpp=1.0)[0] for at, od in enumerate(levels)]
    )  # fmt: skip


@pytest.fixture(scope="module")
def tissue() -> CropArray:
    return stained()


def nuclei(tissue: CropArray, reference: dict[str, float], answer: CropArray | None = None) -> ScoredTiles:
    return fold(
        [(*place, 0.0) for place in STAINED],
        truth=tissue.__getitem__,
        he=tissue.__getitem__,
        predicted=(tissue if answer is None else answer).__getitem__,
        reference=reference,
    )


REFERENCE = {"p1_a": 100.0, "p1_b": 200.0, "p2_a": 100.0, "p3_a": 300.0, "p4_a": 0.0}


def test_h_score_of_a_patch_is_over_the_nuclei_of_all_its_tiles(tissue: CropArray) -> None:
    found = scored([nuclei(tissue, REFERENCE)], "ER")
    rows = {row["patch"]: row for row in found.image["patches"]}
    assert [row["patch"] for row in found.image["patches"]] == ["p1_a", "p1_b", "p2_a", "p3_a", "p4_a"]
    first, second = (h_score_of_image(image, None, "ER", 1.0).score for image in tissue[:2])
    together = np.array(first.counts) + np.array(second.counts)
    by_hand = together @ [0, 100, 200, 300] / together.sum()
    assert rows["p1_a"]["h_predicted"] == pytest.approx(by_hand, abs=0.05)
    # Not the mean of the tiles: the first has twice as many nuclei.
    assert abs(by_hand - (first.value + second.value) / 2) > 20  # type: ignore[operator]
    assert {patch: row["h_truth"] for patch, row in rows.items()} == {
        patch: row["h_predicted"] for patch, row in rows.items()
    }
    units = found.units.set_index("tile")
    assert units.loc["p1_a_0", [f"truth_{k}" for k in range(4)]].tolist() == list(first.counts)
    assert found.summary["h_score_pipeline_r"] > 0.95
    assert found.summary["h_score_pipeline_r"] == pytest.approx(found.summary["h_score_r"])
    assert found.counts["patches_without_h_score"] == 0


def test_a_patch_without_nuclei_counts_as_the_farther_end(tissue: CropArray) -> None:
    bare = tissue.copy()
    bare[4] = 240  # nothing is drawn of p3's patch
    found = scored([nuclei(tissue, REFERENCE, bare)], "ER")
    rows = {row["patch"]: row for row in found.image["patches"]}
    assert found.counts["patches_without_h_score"] == 1
    assert (rows["p3_a"]["h_predicted"], rows["p3_a"]["h_truth"] is None) == (None, False)
    assert found.summary["h_score_answered"] == 0.8
    # The label of the bare patch is 300: its answer counts as 0.
    pairs = np.array([(row["h_predicted"] or 0.0, row["h_reference"]) for row in rows.values()])
    assert found.summary["h_score_r"] == pytest.approx(np.corrcoef(pairs.T)[0, 1], abs=1e-3)
    assert found.summary["h_score_bias"] == pytest.approx((pairs[:, 0] - pairs[:, 1]).mean(), abs=0.1)
    assert found.summary["h_score_mae"] == pytest.approx(np.abs(pairs[:, 0] - pairs[:, 1]).mean(), abs=0.1)


def test_nothing_drawn_at_all_is_as_wrong_as_can_be(tissue: CropArray) -> None:
    found = scored([nuclei(tissue, REFERENCE, np.full_like(tissue, 240))], "PR")
    assert found.counts["patches_without_h_score"] == 5
    # Labels 100, 200, 100, 300, 0 are answered by 300, 0, 300, 0, 300.
    right = {"h_score_r": -0.8807048459279793, "h_score_bias": 40.0, "h_score_mae": 240.0, "h_score_answered": 0.0}
    assert {key: found.summary[key] for key in right} == pytest.approx(right)
    assert found.summary["h_score_pipeline_r"] > 0.95


def test_one_h_score_for_all_has_no_correlation(tissue: CropArray) -> None:
    """Constant answers: r is 0. Constant or absent labels: undefined, never NaN."""
    same = np.repeat(tissue[1:2], len(tissue), axis=0)
    assert scored([nuclei(tissue, REFERENCE, same)], "ER").summary["h_score_r"] == 0.0
    for reference in (dict.fromkeys(REFERENCE, 100.0), {}, {"p1_a": 1.0, "p2_a": 2.0}):
        summary = scored([nuclei(tissue, reference)], "ER").summary
        assert (summary["h_score_r"], summary["h_score_pipeline_r"]) == (None, None)


def test_labels_of_some_patches_alone(tissue: CropArray) -> None:
    known = {patch: value for patch, value in REFERENCE.items() if patch != "p4_a"}
    found = scored([nuclei(tissue, known)], "ER")
    assert {row["patch"] for row in found.image["patches"] if row["h_reference"] is None} == {"p4_a"}
    four = [row for row in found.image["patches"] if row["h_reference"] is not None]
    pairs = np.array([(row["h_predicted"], row["h_reference"]) for row in four])
    assert found.summary["h_score_r"] == pytest.approx(np.corrcoef(pairs.T)[0, 1], abs=1e-3)


def test_the_pipeline_orders_patches_of_mixed_nuclei() -> None:
    """Made-up sections at 0.5 µm a pixel: the true image's H-score against the nuclei that were painted."""
    drawn = [mixed_dab(seed, 60) for seed in range(8)]
    tissue = np.stack([section(seed, dab)[0] for seed, dab in enumerate(drawn)])
    places = [(f"p{at}", f"p{at}_a", 0.0) for at in range(8)]
    weights = [np.digitize(dab, (0.06, 0.26, 0.46)).mean() * 100 for dab in drawn]
    made = fold(
        places,
        truth=tissue.__getitem__,
        predicted=tissue.__getitem__,
        he=tissue.__getitem__,
        reference={patch: float(value) for (_, patch, _), value in zip(places, weights, strict=True)},
    )
    assert scored([made], "ER", mpp=0.5).summary["h_score_pipeline_r"] > 0.95


# Samples, and what is refused.
def test_samples_are_the_same_tiles_for_every_model() -> None:
    tiles = [(f"p{at // 2:02d}", f"p{at // 2:02d}_a", float(at % 3)) for at in range(24)]
    folds = [fold(tiles[:14], "0"), fold(tiles[14:], "1")]
    other = [replace(one, predicted=images(24, seed=7).__getitem__) for one in folds]
    one, two = scored(folds).samples, scored(other).samples
    assert one.shape == (SAMPLES, 3, SIDE, SIDE, 3)
    assert one.dtype == np.uint8
    np.testing.assert_array_equal(one[:, :2], two[:, :2])
    assert (one[:, 2] != two[:, 2]).any()
    np.testing.assert_array_equal(one[0, 1], folds[0].truth(np.array([0]))[0])  # the first tile of the first patient
    np.testing.assert_array_equal(one[-1, 1], folds[1].truth(np.array([8]))[0])  # and of the last
    assert len(np.unique(one[:, 0].reshape(SAMPLES, -1), axis=0)) == SAMPLES
    assert len(scored([fold(TILES)]).samples) == 3  # no more than patients


def spoilt(images: NDArray[Any]) -> ScoredTiles:
    return fold(TILES, name="7", predicted=images.__getitem__)


@pytest.mark.parametrize(
    "answer",
    [
        images(5)[:, :16],
        images(5)[..., :1],
        images(5).astype(np.float32),
        images(5).astype(np.int16),
        images(10).reshape(5, 2 * SIDE, SIDE, 3),
    ],
    ids=["smaller", "grey", "floats", "16-bit", "larger"],
)
def test_answers_of_another_shape_or_type(answer: NDArray[Any]) -> None:
    with pytest.raises(UserError, match=rf"fold 7: images .*expected \(5, {SIDE}, {SIDE}, 3\) uint8"):
        scored([spoilt(answer)])


def test_no_fold_is_one_line() -> None:
    with pytest.raises(UserError, match="no fold"):
        scored([])
