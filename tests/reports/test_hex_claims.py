"""What HEX's paper claims: exactly these numbers, each with a source, and what a phantom's board says of them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from baselines.networks.hex_claims import mica_claims
from baselines.registry import built_in, load_model_class
from protocols.contract import Published
from reports.claims import Status, all_claims
from tests.reports.synthetic import record

ROOT = Path(__file__).resolve().parents[2]

SOURCE = "HEX (Li et al., Nature Medicine 2026)"
FOLDS = ("codex_protein", "")
PROTEIN = [
    (*FOLDS, 0.790), (*FOLDS, 0.787), (*FOLDS, 0.949), (*FOLDS, 0.076), ("codex_external", "tma", 0.738),
    ("codex_external", "bern", 0.658), ("codex_protein", "crc", 0.566), ("codex_protein", "crc", 0.659),
]  # fmt: skip
RESPONSE = {"logistic_all": (0.82, 0.24, 0.39), "logistic_pdl1": (0.66,), "logistic_tmb": (0.59,)}


def numbers(claims: tuple[Published, ...]) -> list[tuple[str, str, float]]:
    return [(one.protocol, one.board, one.value) for one in claims]


def test_the_numbers_are_the_papers_and_each_has_a_source() -> None:
    claims = [*load_model_class("hex", {}, ROOT).card.published, *mica_claims()]
    assert numbers(tuple(claims)) == [*PROTEIN, ("tcga_survival", "average", 0.22)]
    for name, values in RESPONSE.items():
        own = load_model_class(name, {}, ROOT).card.published
        assert numbers(own) == [("response", "", value) for value in values]
        claims += own
    for one in claims:
        assert one.source == SOURCE
        assert one.words
        assert "digest" in one.note or "abstract" in one.note


def test_gains_are_those_of_the_numbers_beside_them() -> None:
    assert round(0.82 / 0.66 - 1, 2) == 0.24
    assert round(0.82 / 0.59 - 1, 2) == 0.39
    assert round(0.71 / 0.58 - 1, 2) == 0.22


def test_no_card_claims_another_number_of_hex() -> None:
    """Whichever cards carry them, the paper's numbers are said in one place."""
    known = {*PROTEIN, ("tcga_survival", "average", 0.22)}
    known |= {("response", "", value) for values in RESPONSE.values() for value in values}
    for name in built_in():
        claims = load_model_class(name, {}, ROOT).card.published
        assert set(numbers(tuple(one for one in claims if one.source == SOURCE))) <= known, name


@pytest.fixture
def shown() -> dict[tuple[str, str, float], Any]:
    """The claims of a run whose cohorts are phantoms: one of five folds and one that is external."""
    card = asdict(load_model_class("hex", {}, ROOT).card)
    here = record("codex_protein", "hex", card=card, board="phantom_codex", summary={"pearson_pooled": 0.3})
    there = record("codex_external", "hex", card=card, board="phantom_codex_tma", summary={"pearson_pooled": 0.2})
    return {(one.protocol, one.board, one.published): one for one in all_claims([here, there], seed=0)}


def test_a_phantom_is_no_answer_to_a_paper(shown: dict[tuple[str, str, float], Any]) -> None:
    assert set(shown) == set(PROTEIN)
    folds, tma = shown[*FOLDS, 0.790], shown["codex_external", "tma", 0.738]
    assert (folds.measured, tma.measured) == (0.3, 0.2)
    for one in (folds, tma):
        assert one.statuses[0] is Status.PHANTOM
        assert one.verdict == "not comparable: phantom cohort; random weights"


@pytest.mark.parametrize(
    ("claim", "reason"),
    [
        (("codex_external", "bern", 0.658), "not measured: no such cohort here"),
        (("codex_protein", "crc", 0.659), "not measured: no such cohort here"),
        ((*FOLDS, 0.949), "not comparable: other metric"),
        ((*FOLDS, 0.076), "not comparable: other metric"),
    ],
)
def test_a_claim_without_a_measured_twin_says_why(
    shown: dict[tuple[str, str, float], Any], claim: tuple[str, str, float], reason: str
) -> None:
    assert shown[claim].measured is None
    assert shown[claim].verdict == reason
