"""RegGAN's parts against its published sizes, hand-made warps, and what its modes leave out."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from baselines.networks.image_networks import parameters_of
from baselines.networks.reggan_networks import (
    REGGAN_SIZES,
    PatchDiscriminator,
    RegistrationNetwork,
    ResNetGenerator,
    roughness,
    warp,
)
from baselines.staining.parts.pairs import Batch
from baselines.training.gan_learners import Pix2pixLearner, RegganLearner, RegganMode, ReplayPool, frozen
from protocols.errors import UserError

FULL, MINI = REGGAN_SIZES["full"], REGGAN_SIZES["mini"]


def image(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_published_sizes() -> None:
    with torch.device("meta"):
        generator, judge, registration = ResNetGenerator(FULL), PatchDiscriminator(FULL), RegistrationNetwork(FULL)
        x = torch.zeros(1, 3, 256, 256)
        assert parameters_of(generator) == 11_378_179
        assert parameters_of(judge) == 2_764_737
        assert parameters_of(registration) == 2_059_170
        assert generator(x).shape == x.shape
        assert judge.map(x).shape == (1, 1, 30, 30)
        assert judge(x).shape == (1,)
        assert registration(x, x).shape == (1, 2, 256, 256)


def test_the_judge_sees_70_pixels() -> None:
    """The receptive field of one score, from kernel sizes and strides."""
    field, stride = 1, 1
    for layer in PatchDiscriminator(FULL).layers:
        if isinstance(layer, torch.nn.Conv2d):
            field += (layer.kernel_size[0] - 1) * stride
            stride *= layer.stride[0]
    assert field == 70


def test_the_score_is_the_mean_of_the_map() -> None:
    judge, x = PatchDiscriminator(MINI), image(2, 3, 64, 64)
    torch.testing.assert_close(judge(x), judge.map(x).flatten(1).mean(dim=1))


@pytest.mark.parametrize("side", [40, 64, 61])
def test_the_generator_keeps_the_side(side: int) -> None:
    made = ResNetGenerator(MINI)(image(1, 3, side, side))
    assert made.shape == (1, 3, side, side)
    assert made.abs().max() <= 1


def test_no_flow_no_change() -> None:
    x = image(2, 3, 17, 24)
    torch.testing.assert_close(warp(x, torch.zeros(2, 2, 17, 24)), x, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("right", "down"), [(3, 0), (0, -2), (4, 5)])
def test_a_whole_shift_is_exact_and_borders_repeat(right: int, down: int) -> None:
    x = image(1, 2, 20, 16)
    flow = torch.zeros(1, 2, 20, 16)
    flow[:, 0], flow[:, 1] = down, right
    rows, columns = (torch.arange(20) + down).clamp(0, 19), (torch.arange(16) + right).clamp(0, 15)
    torch.testing.assert_close(warp(x, flow), x[:, :, rows][..., columns], atol=1e-4, rtol=0)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e30])
def test_a_diverged_flow_is_survived(value: float) -> None:
    """Torch's own kernel reads outside the image there and takes the process down."""
    x, flow = image(1, 3, 32, 32), torch.full((1, 2, 32, 32), value, requires_grad=True)
    made = warp(x, flow)
    torch.autograd.backward(made.sum() + roughness(flow))
    assert torch.isfinite(made).all()


def test_half_a_pixel_is_the_mean_of_two() -> None:
    x, flow = image(1, 1, 4, 8), torch.zeros(1, 2, 4, 8)
    flow[:, 1] = 0.5
    torch.testing.assert_close(warp(x, flow)[..., :-1], (x[..., 1:] + x[..., :-1]) / 2, atol=1e-5, rtol=0)


def test_roughness_by_hand() -> None:
    assert roughness(torch.full((1, 2, 5, 5), 3.0)) == 0
    ramp = torch.zeros(1, 2, 3, 3)
    ramp[:, 0] = torch.tensor([0.0, 2.0, 4.0])  # across: 2 in one of two channels; down: 0
    torch.testing.assert_close(roughness(ramp), torch.tensor(2.0))


def test_the_flow_starts_near_none() -> None:
    torch.manual_seed(0)
    x = image(1, 3, 64, 64)
    network = RegistrationNetwork(MINI)
    assert network(x, x).abs().max() < 1e-2
    assert float(network.output.weight.detach().std()) == pytest.approx(1e-5, rel=0.3)


def test_too_small_an_image_is_one_line() -> None:
    x = image(1, 3, 24, 24)
    with pytest.raises(UserError, match="24 px; expected at least 32 px"):
        RegistrationNetwork(MINI)(x, x)


def test_registration_learns_a_shift() -> None:
    """One pair, the real image three pixels to the right: the flow finds it."""
    torch.manual_seed(0)
    field = torch.nn.functional.avg_pool2d(image(1, 3, 40, 40), 9, stride=1, padding=4) * 6
    made, real = field[..., 4:36, 4:36], field[..., 4:36, 1:33]
    network = RegistrationNetwork(replace(MINI, registration=(8, 16, 16)))
    optimiser = torch.optim.Adam(network.parameters(), lr=5e-3)
    for _ in range(60):
        flow = network(made, real)
        loss = 20 * (warp(made, flow) - real).abs().mean() + 10 * roughness(flow)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
    inner = flow.detach()[:, :, 8:-8, 8:-8].mean(dim=(0, 2, 3))
    assert inner[1] < -1.5
    assert abs(inner[0]) < 1


@pytest.mark.parametrize(
    ("mode", "parts"),
    [
        (RegganMode(), {"generator", "judge", "registration"}),
        (RegganMode(registers=False, corrects=True), {"generator", "judge"}),
        (RegganMode(cycle=True, registers=False), {"generator", "judge", "back", "back_judge"}),
        (RegganMode(cycle=True), {"generator", "judge", "registration", "back", "back_judge"}),
    ],
)
def test_every_part_of_a_mode_learns(mode: RegganMode, parts: set[str]) -> None:
    torch.manual_seed(0)
    learner, draws = RegganLearner(MINI, mode), torch.Generator().manual_seed(0)
    assert set(learner.parts) == parts
    before = {name: [p.detach().clone() for p in net.parameters()] for name, net in learner.parts.items()}
    learner.optimise(1e-3)
    for at in range(2):
        assert torch.isfinite(learner.step(Batch(image(1, 3, 32, 32), image(1, 3, 32, 32, seed=at), None), draws))
    for name, net in learner.parts.items():
        assert any(not torch.equal(p, q) for p, q in zip(net.parameters(), before[name], strict=True)), name
    assert ("ihc" in learner.memory()) == (not mode.registers or mode.cycle)  # NC+R has no pool


def test_the_released_nc_never_looks_at_the_pair() -> None:
    """Its generator's loss is the same for any IHC; with the correction it is not."""
    torch.manual_seed(0)
    he = image(1, 3, 32, 32)
    for corrects in (False, True):
        learner = RegganLearner(MINI, RegganMode(registers=False, corrects=corrects))
        losses = [learner._generate(Batch(he, image(1, 3, 32, 32, seed=at), None))[0].item() for at in (1, 2)]
        assert (losses[0] == losses[1]) == (not corrects)


def test_pix2pix_judges_the_pair() -> None:
    with torch.device("meta"):
        judge = Pix2pixLearner(FULL).judge
    assert parameters_of(judge) == 2_764_737 + 3 * 16 * 64


def test_a_pool_keeps_fifty_and_gives_back_old_ones() -> None:
    pool, draws = ReplayPool(), torch.Generator().manual_seed(0)
    new = torch.arange(50.0).view(50, 1, 1, 1)
    torch.testing.assert_close(pool.swap(new, draws), new)
    shown = pool.swap(new + 100, draws).flatten()
    assert len(pool.images) == 50
    assert 10 < int((shown < 100).sum()) < 40


def test_frozen_judges_thaw() -> None:
    judge = PatchDiscriminator(MINI)
    with frozen([judge]):
        assert not any(p.requires_grad for p in judge.parameters())
    assert all(p.requires_grad for p in judge.parameters())
