"""HEX's head: its recipe learns, its schedule is told, and the released head is a start that shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from baselines.expression.hex import HEX, RECIPES
from baselines.expression.parts.ridge import MaskedRidge
from baselines.networks.hex_head import apply_head, train_head
from baselines.networks.hex_recipe import PUBLISHED, HexRecipe
from protocols.contract import FloatArray, HasSchedule, HasWeights, Settings
from protocols.errors import UserError
from protocols.expression.toy import toy_training
from protocols.files import sha256_of
from tests.parity.vectors import read

FULL = Settings(profile="full", threads=1)


def cells(n: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """64 features of twenty hidden causes and four genes that are linear in these, with noise."""
    fixed, rng = np.random.default_rng(7), np.random.default_rng(seed)
    mix, effect = fixed.normal(size=(20, 64)), fixed.normal(size=(20, 4)) / np.sqrt(20)
    causes = rng.normal(size=(n, 20))
    x = causes @ mix + 0.5 * rng.normal(size=(n, 64))
    return x.astype(np.float32), (causes @ effect + 0.7 * rng.normal(size=(n, 4))).astype(np.float32)


def mean_r(predicted: FloatArray, truth: FloatArray) -> float:
    return float(np.mean([np.corrcoef(predicted[:, gene], truth[:, gene])[0, 1] for gene in range(truth.shape[1])]))


def recovered(recipe: HexRecipe) -> tuple[float, float]:
    """r of the head and of ridge on new cells, after training on 700: two updates an epoch."""
    (x, y), (new, truth) = cells(700, 0), cells(500, 1)
    head = train_head(x, y, recipe, FULL, seed=0)
    return mean_r(apply_head(head, new, FULL), truth), mean_r(MaskedRidge().fit(x, y).predict(new), truth)


def test_the_full_recipe_learns_on_frozen_features_and_the_published_rate_hardly() -> None:
    ours, ridge = recovered(RECIPES["full"])
    published, _ = recovered(PUBLISHED)
    assert ours > 0.9 * ridge > 0.6
    assert published < 0.6 * ridge
    assert replace(RECIPES["full"], learning_rate=1e-5, loss_learning_rate=1e-5) == PUBLISHED


@pytest.mark.parametrize(("profile", "most_steps", "run", "cut"), [("mini", 0, 45, True), ("full", 2, 2, True)])
def test_how_long_it_was_trained(profile: str, most_steps: int, run: int, cut: bool) -> None:
    train = toy_training(n=300, settings=Settings(profile=profile, threads=1, most_steps=most_steps))
    model = HEX()
    model.fit(train)
    model.fit(train)
    assert isinstance(model, HasSchedule)
    assert [(one.run, one.cap, one.cut) for one in model.schedule()] == [(run, run, cut)] * 2
    assert "120 epochs" in model.schedule()[0].rule


def test_a_full_schedule_is_not_cut() -> None:
    model = HEX()
    model.fit(toy_training(n=30, settings=FULL))
    assert [(one.run, one.cut) for one in model.schedule()] == [(120, False)]


def released(folder: Path, width: int, **changed: torch.Tensor | None) -> Settings:
    """A head of the released layout, its first layer as wide as the toy's features."""
    state: dict[str, torch.Tensor | None] = dict(read("hex_head").state())
    state["regression_head.0.weight"] = torch.full((256, width), 0.05)
    state |= changed
    path = folder / "checkpoint.pth"
    torch.save({key: value for key, value in state.items() if value is not None}, path)
    return replace(FULL, weights={"hex_head": {"path": str(path), "sha256": sha256_of(path)}})


def test_the_released_head_is_where_the_hidden_layers_start(tmp_path: Path) -> None:
    plain = toy_training(n=60, settings=replace(FULL, most_steps=1))
    settings = replace(released(tmp_path, plain.embedding().shape[1]), most_steps=1)
    told, random = HEX(), HEX()
    told.fit(replace(plain, settings=settings))
    random.fit(plain)
    assert isinstance(told, HasWeights)
    (record,) = told.weights()
    assert (record.part, record.source) == ("hex_head", "checkpoint.pth")
    assert record.sha256 == settings.weights["hex_head"]["sha256"]
    assert HEX.load_weights(settings) == (record,)
    assert random.weights() == HEX.load_weights(FULL) == ()
    body = told._head.network.state_dict()
    start = read("hex_head").state()["regression_head.3.weight"]
    assert (body["body.3.weight"] - start).abs().max() < 0.01  # one update away
    assert told._head.x_scale.tolist() == [1.0] * plain.embedding().shape[1]  # it reads features as they are
    assert body["output.weight"].shape == (len(plain.genes), 128)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"regression_head1.0.bias": None}, r"missing output\.bias"),
        ({"visual.norm.weight": torch.ones(3)}, r"unexpected visual\.norm\.weight"),
        ({"regression_head.3.bias": torch.ones(3)}, r"body\.3\.bias has shape \(3,\).*\(128,\)"),
    ],
)
def test_another_layout_is_refused(changed: dict[str, torch.Tensor | None], says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=says):
        HEX.load_weights(released(tmp_path, 8, **changed))


def test_a_head_for_other_features_is_refused_in_one_line(tmp_path: Path) -> None:
    settings = released(tmp_path, 7)
    with pytest.raises(UserError, match=r"hex_head: the head reads 7 features, the embedding has"):
        HEX().fit(toy_training(n=30, settings=settings))
