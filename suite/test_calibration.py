"""The suite's own calibration: on the phantom, controls land where theory puts them (``pytest suite``)."""

from __future__ import annotations

import pytest

from protocols.records import ScoreRecord
from suite.config import Config

Records = dict[tuple[str, str], ScoreRecord]
PROTOCOLS = ("intra_patient", "inter_patient", "cross_cancer")
LEARNED = (
    "resnet50",
    "plip",
    "ctranspath",
    "chief",
    "conch",
    "uni",
    "uni_hest",
    "hex",
    "st_net",
    "past",
    "past_faithful",
)
CONTROLS = ("train_mean", "shuffled", "coordinates", "stain_statistics", "stain_statistics_centre")


@pytest.fixture(autouse=True)
def phantom_only(config: Config) -> None:
    if not config.cohorts.get("expression", {}).get("phantom", {}).get("truth"):
        pytest.skip("this run is of a real cohort, whose truth nobody knows")


def mean(records: Records, protocol: str, model: str) -> float:
    value = records[protocol, model].headline.mean
    assert value is not None
    return value


def test_every_cell_is_scored(records: Records) -> None:
    assert {record.status for record in records.values()} == {"scored"}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_train_mean_is_zero(records: Records, protocol: str) -> None:
    record = records[protocol, "train_mean"]
    assert record.headline.mean == 0.0
    assert record.counts["constant_prediction"] > 0


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_shuffled_labels_give_nothing(records: Records, protocol: str) -> None:
    headline = records[protocol, "shuffled"].headline
    assert headline.low is not None
    assert headline.high is not None
    assert headline.low <= 0.01
    assert headline.high >= -0.01


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_oracle_reaches_what_is_reachable(records: Records, protocol: str) -> None:
    record = records[protocol, "oracle"]
    reachable = record.summary["reachable_mean"]
    assert reachable is not None
    assert record.headline.low is not None
    assert record.headline.high is not None
    assert record.headline.low <= reachable <= record.headline.high


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("model", [*LEARNED, *CONTROLS])
def test_no_model_beats_the_oracle(records: Records, protocol: str, model: str) -> None:
    assert mean(records, protocol, model) < mean(records, protocol, "oracle")


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("model", [*LEARNED, *CONTROLS])
def test_what_morphology_does_not_show_nobody_reads(records: Records, protocol: str, model: str) -> None:
    """Genes without visible share: a mean r away from 0 would be a leak. 0.02 is five standard errors here."""
    invisible = records[protocol, model].summary["pearson_invisible_genes"]
    assert invisible is not None
    assert abs(invisible) < 0.02


@pytest.mark.parametrize("model", LEARNED)
def test_learned_models_beat_stain_statistics_within_a_patient(records: Records, model: str) -> None:
    assert mean(records, "intra_patient", model) > mean(records, "intra_patient", "stain_statistics")


@pytest.mark.parametrize("model", LEARNED)
def test_difficulty_rises_from_intra_to_inter_to_cross(records: Records, model: str) -> None:
    intra, inter, cross = (mean(records, protocol, model) for protocol in PROTOCOLS)
    assert intra >= inter >= cross


def test_single_patient_cancer_is_left_out_with_the_reason(records: Records) -> None:
    for protocol in ("inter_patient", "cross_cancer"):
        assert {"what": "cancer cervix", "reason": "only one patient"} in records[protocol, "uni"].excluded


def test_random_weights_are_said(records: Records) -> None:
    for model in LEARNED:
        weights = records["intra_patient", model].weights
        assert weights
        assert all(part["source"] for part in weights)
