"""The training loop: schedule, seeds, resuming, and that it learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from past_model.pretraining import Pairs, batch_of, build, learning_rate, pretrain, seeded
from past_model.settings import CORRECTED, FAITHFUL, FULL, Variant
from tests.past_model.small import SMALL, TABLE_ROWS, small_pairs


def trained(
    variant: Variant = CORRECTED, seed: int = 0, settings: object = SMALL, **more: object
) -> tuple[torch.nn.Module, list[float]]:
    model = build(SMALL, variant, TABLE_ROWS, seed=0)
    generator = torch.Generator().manual_seed(seed)
    losses = pretrain(model, small_pairs(), settings, generator=generator, **more)  # type: ignore[arg-type]
    return model, losses


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_rate_rises_linearly_then_falls_as_a_half_cosine() -> None:
    settings = replace(FULL, learning_rate=1.0, final_learning_rate=0.0, warmup_epochs=1, epochs=5)
    rates = [learning_rate(step, 10, settings) for step in (0, 5, 10, 30, 50)]
    assert rates == pytest.approx([0.0, 0.5, 1.0, 0.5, 0.0])


@pytest.mark.parametrize("variant", [FAITHFUL, CORRECTED], ids=lambda v: v.name)
def test_same_seed_same_bytes_and_another_seed_other_bytes(variant: Variant) -> None:
    first, second, other = (trained(variant, seed)[0] for seed in (0, 0, 1))
    assert same(first, second)
    assert not same(first, other)


def test_global_generator_is_left_as_found() -> None:
    before = torch.get_rng_state()
    trained()
    with seeded(3, torch.device("cpu")):
        torch.rand(1)
    assert torch.equal(torch.get_rng_state(), before)


def test_weights_at_the_start_depend_on_the_seed_only() -> None:
    torch.rand(7)
    a, b, c = (build(SMALL, CORRECTED, TABLE_ROWS, seed) for seed in (5, 5, 6))
    assert same(a, b)
    assert not same(a, c)


def test_each_step_is_reported() -> None:
    seen: list[tuple[int, int, float]] = []
    _, losses = trained(progress=lambda *report: seen.append(report))
    assert [report[:2] for report in seen] == [(i + 1, 6) for i in range(6)]  # 24 pairs, batches of 8, two epochs
    assert [report[2] for report in seen] == losses


class Killed(Exception):
    pass


def test_run_killed_between_epochs_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    whole, losses = trained()

    def kill(done: int, total: int, loss: float) -> None:
        if done == 4:
            raise Killed

    with pytest.raises(Killed):
        trained(progress=kill, checkpoint=tmp_path / "state.pt")
    resumed, again = trained(checkpoint=tmp_path / "state.pt")
    assert same(whole, resumed)
    assert losses == again
    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]


def test_pretrained_image_encoder_moves_less_only_when_corrected() -> None:
    def moved(variant: Variant, is_pretrained: bool) -> float:
        start = build(SMALL, variant, TABLE_ROWS, seed=0).image_encoder.model.patch_embed.proj.weight
        model, _ = trained(variant, image_is_pretrained=is_pretrained)
        return float((model.image_encoder.model.patch_embed.proj.weight - start).detach().norm())

    assert moved(CORRECTED, True) < 0.3 * moved(CORRECTED, False)
    assert moved(FAITHFUL, True) == moved(FAITHFUL, False)


def test_one_pair_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        pretrain(build(SMALL, CORRECTED, TABLE_ROWS, 0), small_pairs(1), SMALL, generator=torch.Generator())


def test_loss_that_is_not_finite_stops_the_run() -> None:
    model = build(SMALL, CORRECTED, TABLE_ROWS, seed=0)
    with torch.no_grad():
        model.temperature.fill_(float("nan"))
    with pytest.raises(ArithmeticError, match="nan"):
        pretrain(model, small_pairs(), SMALL, generator=torch.Generator())


def test_learns_to_match_crops_with_cells() -> None:
    """Two kinds of cell, dark and light, with genes of their own: afterwards each finds its own kind."""
    pairs = small_pairs(64)
    kind = np.arange(64) % 2
    noise = torch.randint(0, 40, (64, 16, 16, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    crops = noise + torch.from_numpy(kind.astype(np.uint8) * 180)[:, None, None, None]
    tokens = np.where(pairs.tokens > 0, pairs.tokens % 5 + 30 + 5 * kind[:, None], 0)
    pairs = Pairs(lambda rows: crops[torch.from_numpy(rows)], tokens, pairs.xy_um, pairs.centres, pairs.neighbours)
    model = build(SMALL, CORRECTED, TABLE_ROWS, seed=0)
    settings = replace(SMALL, epochs=8, batch_size=16, learning_rate=3e-3)
    losses = pretrain(model, pairs, settings, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        image, cell = model(crops, batch_of(pairs, np.arange(64), SMALL))
    alike = (cell @ image.T).numpy()
    own, other = alike[kind[:, None] == kind], alike[kind[:, None] != kind]
    assert np.mean(losses[-4:]) < losses[0]
    assert own.mean() > other.mean() + 0.3
