"""A known model on another encoder, by one line of the run's file."""

from __future__ import annotations

from pathlib import Path

import pytest

from baselines.bulk.ridge_mean_feature import RidgeMeanFeature
from baselines.registry import is_outside, load_model_class, start_of
from baselines.survival.mcat_uni import McatUNI
from protocols.cards import card_problems
from protocols.errors import UserError
from suite.engine.facts import task_facts

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("name", "base"), [("mcat_uni", McatUNI), ("ridge_mean_feature", RidgeMeanFeature)])
def test_it_is_that_model_with_another_card(name: str, base: type) -> None:
    adapters = {"mine": f"{name} @ my_vit"}
    found = load_model_class("mine", adapters, ROOT)
    assert issubclass(found, base)
    assert (found.card.name, found.card.encoder, found.card.task) == ("mine", "my_vit", base.card.task)  # type: ignore[attr-defined]
    assert found.card.needs == base.card.needs  # type: ignore[attr-defined]
    assert (found.card.published, found.card.licence, found.card.training_overlap) == ((), "", "unknown")
    assert base.card.encoder == "uni"  # type: ignore[attr-defined]
    assert not is_outside("mine", adapters)
    assert start_of("mine", adapters, ROOT) == start_of(name, {}, ROOT)


def test_a_model_from_outside_stays_outside(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "from protocols.contract import Card\nclass Net:\n    card = Card(name='net', title='Net', encoder='uni')\n"
        "    def fit(self, train): ...\n    def predict(self, test): ...\n"
    )
    adapters = {"net": "net.py:Net", "mine": "net @ my_vit"}
    assert is_outside("mine", adapters)
    assert start_of("mine", adapters, tmp_path) == tmp_path / "net.py"
    assert load_model_class("mine", adapters, tmp_path).card.encoder == "my_vit"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("mcat_unni @ my_vit", "unknown model 'mcat_unni'.*did you mean 'mcat_uni'"),
        ("train_mean @ my_vit", "train_mean reads no frozen encoder"),
        ("mcat_uni @", "cannot read 'mcat_uni @'"),
        ("mcat uni @ my_vit", "cannot read"),
        ("mine @ my_vit", "mine is itself a line with an encoder"),
    ],
)
def test_a_line_that_leads_nowhere(line: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        load_model_class("mine", {"mine": line}, ROOT)


@pytest.mark.parametrize("line", ["mcat_uni @ uno", "sklearn.linear_model:Ridge @ uno"])
def test_its_encoder_is_looked_up_like_any_cards(line: str) -> None:
    card = load_model_class("mine", {"mine": line}, ROOT).card
    assert card_problems(card, tasks=task_facts(), encoders=["uni", "conch"]) == [
        "encoder 'uno' is unknown: did you mean 'uni'?"
    ]
