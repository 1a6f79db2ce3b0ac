"""Calibration of proteins on the phantom: ceilings are met, what leaves no trace is not read, space is seen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from protocols.metrics.pairwise import compare_all
from protocols.records import ScoreRecord
from suite.config import Config
from suite.places import found, score_folder

ROOT = Path(__file__).resolve().parents[1]
BOARDS = {"codex_protein": "phantom_codex", "codex_external": "phantom_tma"}
CONTROLS = ("oracle", "train_mean", "shuffled", "stain_statistics")
NEEDS_COUNTS = ("past", "past_faithful")
PROGNOSIS, RESPONSE = ("tcga_survival", "phantom_nsclc"), ("response", "phantom_response")


@pytest.fixture(autouse=True)
def phantom_only(config: Config, records: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    if "phantom_codex" not in config.cohorts.get("expression", {}):
        pytest.skip("this run has no phantom of proteins, whose truth is known")


def on(board: tuple[str, str], model: str) -> ScoreRecord:
    return ScoreRecord.read(score_folder(*board, model, 0))


def asked(board: tuple[str, str]) -> list[str]:
    folder = score_folder(*board, "*", 0).parent.parent
    return sorted(path.parent.name for path in found(folder, "*/seed0"))


@pytest.mark.parametrize("board", BOARDS.items(), ids=str)
def test_the_oracle_reaches_what_is_reachable(board: tuple[str, str]) -> None:
    record = on(board, "oracle")
    reachable, (low, high) = record.summary["reachable_mean"], (record.headline.low, record.headline.high)
    assert reachable is not None
    assert low is not None
    assert high is not None
    assert low <= reachable <= high


@pytest.mark.parametrize("board", BOARDS.items(), ids=str)
def test_what_leaves_no_trace_nobody_reads(board: tuple[str, str]) -> None:
    """Ten of forty markers: over patients an interval of their mean r holds 0, or misses it by less than .03."""
    for model in asked(board):
        summary = on(board, model).summary
        if model in NEEDS_COUNTS or summary["pearson_invisible_genes"] is None:
            continue
        low, high = summary["pearson_invisible_genes_low"], summary["pearson_invisible_genes_high"]
        assert low is not None, model
        assert high is not None, model
        assert low < 0.03, model
        assert high > -0.03, model


@pytest.mark.parametrize("board", BOARDS.items(), ids=str)
def test_controls_bound_the_board(board: tuple[str, str]) -> None:
    best, mean = on(board, "oracle").headline.mean, on(board, "train_mean").headline.mean
    assert best is not None
    assert mean == 0.0
    for model in set(asked(board)) - {*CONTROLS, *NEEDS_COUNTS}:
        value = on(board, model).headline.mean
        assert value is not None, model
        assert value < best, model
    shuffled = on(board, "shuffled").headline
    assert shuffled.low is not None
    assert shuffled.high is not None
    assert shuffled.low <= 0.01
    assert shuffled.high >= -0.03


@pytest.mark.parametrize("board", BOARDS.items(), ids=str)
def test_models_of_counts_say_why_they_are_not_asked(board: tuple[str, str]) -> None:
    for model in NEEDS_COUNTS:
        record = on(board, model)
        assert record.status == "skipped"
        assert "counts" in record.reason


def test_who_sees_space_is_above_who_sees_means() -> None:
    """From measured proteins: the hazard follows who lies beside whom, and a patient's means do not know it."""
    niche, means = on(PROGNOSIS, "cox_niche").values, on(PROGNOSIS, "cox_protein").values
    assert niche is not None
    assert means is not None
    pair = compare_all({"niche": niche, "means": means}, seed=0).of("niche", "means")
    assert pair.difference > 0
    assert pair.apart


@pytest.mark.parametrize(
    ("board", "oracle", "file", "key"),
    [(PROGNOSIS, "survival_oracle", "nsclc/truth/concordance.json", "c_index"),
     (RESPONSE, "response_oracle", "response/truth/auc.json", "auc")],
)  # fmt: skip
def test_ceilings_of_patients_are_met(board: tuple[str, str], oracle: str, file: str, key: str) -> None:
    stated = json.loads((ROOT / "data/phantom_codex" / file).read_text())["all"][key]
    headline = on(board, oracle).headline
    assert headline.low is not None
    assert headline.high is not None
    assert headline.low <= stated <= headline.high


def test_nobody_orders_responders_by_nothing() -> None:
    assert on(RESPONSE, "response_prevalence").headline.mean == pytest.approx(0.5)
    shuffled = on(RESPONSE, "shuffled_response").headline
    assert shuffled.low is not None
    assert shuffled.high is not None
    assert shuffled.low <= 0.5 <= shuffled.high
