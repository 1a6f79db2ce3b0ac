"""Calibration of virtual staining on the phantom: ceiling, controls, H-score pipeline, what misregistration costs.

That every trained model beats the mean IHC is said of the registered set alone: on jittered pairs PSNR prefers a flat
answer to a sharp one that is moved, and diffusion stays below the mean.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from protocols.metrics.image_similarity import PSNR_CAP_DB
from protocols.metrics.intervals import mean_interval
from protocols.records import UNITS_FILE, Interval, ScoreRecord
from suite.config import Config
from suite.places import score_folder

PROTOCOL = "ihc4bc"
EXACT, JITTER = "phantom_exact_ER", "phantom_jitter_ER"
BOARDS = (EXACT, JITTER, "phantom_jitter_PR")
TRAINED = ("ihc_unet", "pix2pix", "reggan_nc", "reggan", "improved_diffusion", "past_generator")
MODELS = ("ihc_oracle", "ihc_identity", "ihc_mean", "ihc_stain_transfer", *TRAINED)
SOUND = 0.95
"""Least r of the H-score of the true IHC with the simulator's labels."""


@pytest.fixture(autouse=True)
def phantom_only(config: Config, records: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).resolve().parents[1])
    if not {"phantom_exact", "phantom_jitter"} <= set(config.cohorts.get("staining", {})):
        pytest.skip("this run has no phantom of paired patches, whose truth is known")


def on(model: str, board: str) -> ScoreRecord:
    return ScoreRecord.read(score_folder(PROTOCOL, board, model, 0))


def of(model: str, board: str, key: str = "psnr") -> float:
    value = on(model, board).summary[key]
    assert value is not None
    return value


def by_patient(model: str, board: str, column: str) -> dict[str, float]:
    units = pd.read_parquet(score_folder(PROTOCOL, board, model, 0) / UNITS_FILE)
    return {str(patient): float(value) for patient, value in units.groupby("patient")[column].mean().items()}


def less(a: dict[str, float], b: dict[str, float]) -> Interval:
    """``a`` minus ``b``, each patient its own control."""
    return mean_interval({patient: a[patient] - b[patient] for patient in a})


def test_the_oracle_is_perfect_where_nothing_is_moved() -> None:
    record = on("ihc_oracle", EXACT)
    assert record.headline.mean == PSNR_CAP_DB
    assert record.counts["identical_tiles"] == record.counts["tiles"]
    assert record.summary["ssim"] == record.summary["ssim_global"] == pytest.approx(1.0)


@pytest.mark.parametrize("board", BOARDS)
def test_the_oracle_is_the_registered_image_and_above_all(board: str) -> None:
    assert of("ihc_oracle", board, "psnr_registered") == PSNR_CAP_DB
    for model in MODELS[1:]:
        assert of(model, board) < of("ihc_oracle", board)
        assert of(model, board, "ssim") < of("ihc_oracle", board, "ssim")


@pytest.mark.parametrize("model", TRAINED)
@pytest.mark.parametrize("control", ["ihc_identity", "ihc_mean"])
def test_trained_models_beat_identity_and_mean(model: str, control: str) -> None:
    """By PSNR on the registered set, each patient its own control; diffusion's few steps leave some patients behind."""
    difference = less(on(model, EXACT).per_patient, on(control, EXACT).per_patient)
    assert difference.mean is not None
    assert difference.low is not None
    assert difference.mean > 1
    assert difference.low > (0 if model != "improved_diffusion" else -1)


@pytest.mark.parametrize("board", BOARDS)
def test_the_h_score_pipeline_is_sound(board: str) -> None:
    """The same for every model, as it looks at the true image alone."""
    found = {of(model, board, "h_score_pipeline_r") for model in MODELS}
    assert len(found) == 1
    assert min(found) >= SOUND


@pytest.mark.parametrize("board", BOARDS)
def test_the_oracles_h_score_is_the_labels_and_no_models_is_above(board: str) -> None:
    assert of("ihc_oracle", board, "h_score_r") >= SOUND
    for model in MODELS[1:]:
        assert of(model, board, "h_score_r") < of("ihc_oracle", board, "h_score_r")


@pytest.mark.parametrize("board", BOARDS)
def test_one_colour_for_all_nuclei_says_nothing_of_the_marker(board: str) -> None:
    """The mean IHC and colour deconvolution draw every nucleus alike: good images by PSNR, no clinical read-out."""
    for control in ("ihc_mean", "ihc_stain_transfer"):
        assert abs(of(control, board, "h_score_r")) < 0.1


def test_misregistration_alone_lowers_every_score() -> None:
    """Truth against truth, moved: the most that an unregistered pair lets anyone reach. Small shifts explain a part."""
    for key, at_most in (("psnr", 25.0), ("ssim", 0.75), ("ssim_global", 0.9)):
        assert of("ihc_oracle", JITTER, key) < at_most < of("ihc_oracle", EXACT, key)
    assert of("ihc_oracle", JITTER, "psnr_shift") > of("ihc_oracle", JITTER) + 2
    assert of("ihc_oracle", JITTER, "ssim_shift") > of("ihc_oracle", JITTER, "ssim") + 0.1
    for model in TRAINED:
        assert of(model, JITTER) < of(model, EXACT)


def test_registered_scores_are_the_plain_ones_where_nothing_is_moved() -> None:
    for model in MODELS:
        assert of(model, EXACT, "psnr_registered") == pytest.approx(of(model, EXACT))


def worth_of_registration(board: str, column: str) -> dict[str, float]:
    """RegGAN NC+R less NC, by patient."""
    without = by_patient("reggan_nc", board, column)
    return {patient: value - without[patient] for patient, value in by_patient("reggan", board, column).items()}


def test_registration_while_training_is_no_verdict_where_the_schedule_is_cut() -> None:
    """Nine epochs of eighty cannot tell what R is worth (docs/ihc.md measures it at the published schedule): both rows
    say that they were cut, and where there is nothing to register R is worth nothing."""
    for board in BOARDS:
        for model in ("reggan", "reggan_nc"):
            told = on(model, board).schedule
            assert told, model
            assert all(one["cut"] for one in told)
    alone = mean_interval(worth_of_registration(EXACT, "psnr_registered"))
    assert alone.low is not None
    assert alone.low <= 0


def test_scores_of_every_patient_are_there() -> None:
    for board in BOARDS:
        for model in MODELS:
            record = on(model, board)
            assert (record.status, record.headline.n_patients) == ("scored", len(record.per_patient))
            assert all(np.isfinite(list(record.per_patient.values())))
