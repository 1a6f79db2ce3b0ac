"""Training: it learns, repeats, resumes exactly, leaves global state alone, and refuses nonsense."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from past_model.pretraining import Pairs, build, learning_rate, pretrain
from past_model.settings import CORRECTED, Variant
from tests.past_model.tiny import TABLE_ROWS, TINY, VARIANTS, tiny_model, tiny_pairs

both = pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.name)


def trained(variant: Variant, *, pairs: Pairs | None = None, epochs: int = 3, **kwargs: object) -> tuple[dict, list]:
    settings = replace(TINY, epochs=epochs)
    model = build(settings, variant, TABLE_ROWS, seed=0)
    order = torch.Generator().manual_seed(5)
    losses = pretrain(model, pairs or tiny_pairs(), settings, generator=order, **kwargs)  # type: ignore[arg-type]
    return model.state_dict(), losses


def test_schedule_by_hand() -> None:
    settings = replace(TINY, learning_rate=1.0, final_learning_rate=0.0, warmup_epochs=1, epochs=3)
    rates = [learning_rate(step, 10, settings) for step in (0, 5, 10, 20, 30, 99)]
    assert rates == pytest.approx([0.0, 0.5, 1.0, 0.5, 0.0, 0.0])


@both
def test_one_seed_gives_the_same_weights_twice(variant: Variant) -> None:
    first, second = trained(variant), trained(variant)
    assert first[1] == second[1]
    assert len(first[1]) == 9
    assert all(torch.equal(value, second[0][key]) for key, value in first[0].items())


def test_another_seed_gives_other_weights() -> None:
    one, other = tiny_model(CORRECTED, seed=0), tiny_model(CORRECTED, seed=1)
    key = "image_encoder.model.patch_embed.proj.weight"
    assert not torch.equal(one.state_dict()[key], other.state_dict()[key])


@both
def test_a_killed_run_resumes_to_the_same_bytes(variant: Variant, tmp_path: Path) -> None:
    whole, losses = trained(variant)

    def killed(step: int, _total: int, _loss: float) -> None:
        if step == 5:  # inside the second epoch
            raise KeyboardInterrupt

    path = tmp_path / "run.pt"
    with pytest.raises(KeyboardInterrupt):
        trained(variant, checkpoint=path, progress=killed)
    assert torch.load(path, weights_only=True)["epochs"] == 1
    resumed, resumed_losses = trained(variant, checkpoint=path)
    assert resumed_losses == losses
    assert all(torch.equal(value, resumed[key]) for key, value in whole.items())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.pt"]


def test_it_learns_to_match_crops_and_cells() -> None:
    settings = replace(TINY, epochs=30, learning_rate=5e-3)
    _, losses = trained(CORRECTED, pairs=tiny_pairs(n=48), epochs=1)
    model = build(settings, CORRECTED, TABLE_ROWS, seed=0)
    losses = pretrain(model, tiny_pairs(n=48), settings, generator=torch.Generator().manual_seed(0))
    assert np.mean(losses[-6:]) < np.mean(losses[:6]) - 0.2


def test_random_state_and_modes_are_left_as_found() -> None:
    before = torch.get_rng_state()
    model = tiny_model(CORRECTED)
    pretrain(model, tiny_pairs(), replace(TINY, epochs=1), generator=torch.Generator().manual_seed(0))
    assert torch.equal(torch.get_rng_state(), before)
    assert not model.training


def test_progress_counts_every_step() -> None:
    seen: list[tuple[int, int]] = []
    trained(CORRECTED, progress=lambda step, total, loss: seen.append((step, total)))
    assert seen == [(step, 9) for step in range(1, 10)]


@pytest.mark.parametrize("n", [2, 5])
def test_fewer_pairs_than_a_batch_are_one_batch(n: int) -> None:
    _, losses = trained(CORRECTED, pairs=tiny_pairs(n=n))
    assert len(losses) == TINY.epochs
    assert all(math.isfinite(loss) for loss in losses)


def test_one_pair_and_a_broken_loss_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        trained(CORRECTED, pairs=tiny_pairs(n=1))
    model = tiny_model(CORRECTED)
    with torch.no_grad():
        model.image_projection.fc.weight.fill_(float("nan"))
    with pytest.raises(ArithmeticError, match="nan"):
        pretrain(model, tiny_pairs(), TINY, generator=torch.Generator().manual_seed(0))
