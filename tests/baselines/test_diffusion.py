"""The diffusion process against formulas written down a second time in NumPy, and the network's published size."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from baselines.networks import diffusion_process as dp
from baselines.networks.diffusion_process import Process, Reading
from baselines.networks.diffusion_unet import DIFFUSION_SIZES, DiffusionUNet, time_embedding
from baselines.networks.image_networks import parameters_of
from baselines.training.image_learners import DiffusionLearner, DiffusionSetup

FULL, MINI = DIFFUSION_SIZES["full"], DIFFUSION_SIZES["mini"]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_published_sizes() -> None:
    with torch.device("meta"):
        found = [parameters_of(DiffusionUNet(replace(FULL, width=width))) / 1e6 for width in (64, 128, 192)]
        np.testing.assert_allclose(found, [31.05, 124.06, 279.02], atol=0.01)
        network = DiffusionUNet(FULL, learned_sigma=True)
        x = torch.zeros(1, 3, 256, 256)
        assert network(x, x, torch.zeros(1)).shape == (1, 6, 256, 256)


@pytest.mark.parametrize("side", [32, 40, 37])
def test_the_network_keeps_the_side_and_starts_at_zero(side: int) -> None:
    x = torch.ones(2, 3, side, side)
    out = DiffusionUNet(MINI)(x, x, torch.zeros(2))
    assert out.shape == x.shape
    assert not out.any()


def test_time_embedding_by_hand() -> None:
    found = time_embedding(torch.tensor([3.0]), 4)[0]
    np.testing.assert_allclose(found, [np.cos(3), np.cos(0.03), np.sin(3), np.sin(0.03)], rtol=1e-4)


def test_schedules() -> None:
    linear, cosine = dp.betas_of("linear", 1000), dp.betas_of("cosine", 1000)
    np.testing.assert_allclose(linear[[0, -1]], [1e-4, 0.02])
    np.testing.assert_allclose(dp.betas_of("linear", 500)[[0, -1]], [2e-4, 0.04])

    def kept(t: float) -> float:
        return math.cos((t / 1000 + 0.008) / 1.008 * math.pi / 2) ** 2

    np.testing.assert_allclose(Process.of("cosine", 1000).kept[500], kept(501) / kept(0), rtol=1e-9)
    assert cosine.max() == 0.999


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_posterior_by_the_rule_of_bayes(schedule: dp.ScheduleName) -> None:
    """q(x[t-1] | x[t], x[0]) as a product of two normal laws, precision by precision."""
    process = Process.of(schedule, 50)
    alpha = 1 - process.betas
    kept = np.array([np.prod(alpha[: t + 1]) for t in range(50)])
    for t in (1, 7, 49):
        before = kept[t - 1]
        precision = 1 / (1 - before) + alpha[t] / process.betas[t]
        of_image = np.sqrt(before) / (1 - before) / precision
        of_noisy = np.sqrt(alpha[t]) / process.betas[t] / precision
        np.testing.assert_allclose(process.posterior_variance[t], 1 / precision, rtol=1e-8)
        np.testing.assert_allclose([w[t] for w in process.posterior_weights], [of_image, of_noisy], rtol=1e-7)
    assert process.posterior_variance[0] == 0
    assert process.log_variances[0][0] == np.log(process.posterior_variance[1])


@pytest.mark.parametrize("wanted", [1, 2, 10, 25, 50, 1000, 2000])
def test_respaced_chains_leave_as_much_of_the_image(wanted: int) -> None:
    whole = Process.of("cosine", 1000)
    few, at = whole.respaced(wanted), dp.spaced(1000, wanted)
    assert len(at) == min(wanted, 1000)
    assert (np.diff(at) > 0).all()
    assert at[-1] == 999
    np.testing.assert_allclose(few.kept, whole.kept[at], rtol=1e-7)
    np.testing.assert_array_equal(few.times, at.astype(float))
    if wanted >= 1000:
        np.testing.assert_allclose(few.betas, whole.betas, rtol=1e-6)


def test_noise_is_taken_away_again() -> None:
    process, image, noise = Process.of("linear", 100), normal(2, 3, 4, 4), normal(2, 3, 4, 4, seed=1)
    t = torch.tensor([3, 80])
    noisy = dp.noised(process, image, t, noise)
    kept = np.cumprod(1 - process.betas)[[3, 80]]
    expected = (
        np.sqrt(kept)[:, None, None, None] * image.numpy() + np.sqrt(1 - kept)[:, None, None, None] * noise.numpy()
    )
    np.testing.assert_allclose(noisy, expected, rtol=1e-9)
    torch.testing.assert_close(dp.image_from_noise(process, noisy, t, noise), image)


def test_a_step_back_with_the_true_noise_is_the_posterior() -> None:
    process, image, noise = Process.of("cosine", 40), normal(1, 3, 4, 4).clamp(-1, 1), normal(1, 3, 4, 4, seed=1)
    t = torch.tensor([20])
    noisy = dp.noised(process, image, t, noise)
    of_image, of_noisy = (weight[20] for weight in process.posterior_weights)
    for output, reading in ((noise, Reading()), (image, Reading(predicts="image")), (noise, Reading("large"))):
        mean, log_variance = dp.step_back(process, output, noisy, t, reading, clip=True)
        torch.testing.assert_close(mean, of_image * image + of_noisy * noisy)
        variance = process.betas[20] if reading.variance == "large" else process.posterior_variance[20]
        torch.testing.assert_close(log_variance, torch.full_like(noisy, math.log(variance)))


def test_a_learned_variance_lies_between_posterior_and_beta() -> None:
    process, t, noisy = Process.of("cosine", 40), torch.tensor([20]), normal(1, 3, 2, 2)
    for part, variance in ((-1.0, process.posterior_variance[20]), (1.0, process.betas[20])):
        output = torch.cat([noisy, torch.full_like(noisy, part)], dim=1)
        _, log_variance = dp.step_back(process, output, noisy, t, Reading("learned"), clip=True)
        torch.testing.assert_close(log_variance, torch.full_like(noisy, math.log(variance)))


def test_the_image_is_clipped() -> None:
    process, t, noisy = Process.of("cosine", 40), torch.tensor([39]), normal(1, 3, 2, 2)
    mean, _ = dp.step_back(process, -100 * torch.ones_like(noisy), noisy, t, Reading(), clip=True)
    of_image, of_noisy = (weight[39] for weight in process.posterior_weights)
    torch.testing.assert_close(mean, of_image * torch.ones_like(noisy) + of_noisy * noisy)


def test_kl_of_normal_laws_by_hand() -> None:
    zero = torch.zeros(1)
    assert dp.normal_kl(zero, zero, zero, zero) == 0
    torch.testing.assert_close(dp.normal_kl(zero, zero, torch.tensor([2.0]), zero), torch.tensor([2.0]))
    found = dp.normal_kl(zero, zero, zero, torch.tensor([math.log(4.0)]))
    torch.testing.assert_close(found, torch.tensor([0.5 * (math.log(4.0) + 0.25 - 1)]))


def test_bin_probabilities_add_up_to_one() -> None:
    values = (torch.arange(256, dtype=torch.float64) / 127.5 - 1).view(-1, 1)
    for mean, scale in ((0.1, 0.05), (-0.99, 0.3)):
        log = dp.discretised_log_likelihood(values, torch.full_like(values, mean), torch.tensor(math.log(scale)))
        assert float(log.exp().sum()) == pytest.approx(1, abs=1e-6)


def test_the_bound_of_the_true_posterior_is_zero_but_at_the_first_step() -> None:
    process, image, noise = Process.of("cosine", 40), normal(2, 3, 4, 4).clamp(-0.9, 0.9), normal(2, 3, 4, 4, seed=1)
    t = torch.tensor([0, 20])
    noisy = dp.noised(process, image, t, noise)
    output = torch.cat([noise, -torch.ones_like(noise)], dim=1)
    terms = dp.bits(process, output, image, noisy, t, Reading("learned"))
    assert float(terms[1]) == pytest.approx(0, abs=1e-9)
    assert float(terms[0]) > 0


def test_the_bound_teaches_the_variance_alone() -> None:
    process, image, noise = Process.of("cosine", 40), normal(2, 3, 4, 4), normal(2, 3, 4, 4, seed=1)
    output = normal(2, 6, 4, 4, seed=2).requires_grad_()
    t = torch.tensor([5, 30])
    loss = dp.training_loss(process, lambda *_: output, image, t, noise, Reading("learned"))
    torch.autograd.backward(loss)
    guess = output.detach()[:, :3]
    torch.testing.assert_close(output.grad[:, :3], 2 * (guess - noise) / noise.numel())  # type: ignore[index]
    assert output.grad[:, 3:].abs().max() > 0  # type: ignore[index]
    squared = (guess - noise).square().mean()
    frozen = dp.bits(process, output.detach(), image, dp.noised(process, image, t, noise), t, Reading("learned"))
    torch.testing.assert_close(loss.detach(), squared + frozen.mean() * 40 / 1000)


@pytest.mark.parametrize("reading", [Reading(), Reading("large"), Reading(predicts="image")])
def test_sampling_with_a_perfect_network_ends_at_the_image(reading: Reading) -> None:
    image, process = normal(2, 3, 4, 4).clamp(-1, 1), Process.of("cosine", 1000).respaced(10)
    rng = torch.Generator().manual_seed(3)

    def perfect(noisy: Tensor, times: Tensor) -> Tensor:
        if reading.predicts == "image":
            return image
        kept = process.kept[int(np.flatnonzero(process.times == float(times[0]))[0])]
        return (noisy - math.sqrt(kept) * image) / math.sqrt(1 - kept)

    made = dp.sample(process, perfect, lambda: torch.randn(image.shape, generator=rng, dtype=torch.float64), reading)
    torch.testing.assert_close(made, image, atol=1e-6, rtol=0)


def test_the_large_variance_leaves_more_noise_in_few_steps() -> None:
    """Why the posterior's is the default here; a network that knows nothing of the fine detail shows it."""
    process = Process.of("cosine", 1000).respaced(10)
    spread, kept = {}, process.kept
    for variance in ("small", "large"):
        rng = torch.Generator().manual_seed(0)

        def shrink(noisy: Tensor, times: Tensor) -> Tensor:
            left = float(kept[int(np.flatnonzero(process.times == float(times[0]))[0])])
            return noisy * math.sqrt(1 - left) / (1 - left + left * 0.01)  # the best guess for an image of SD .1

        made = dp.sample(process, shrink, lambda: torch.randn(1, 3, 64, 64, generator=rng), Reading(variance))  # noqa: B023
        spread[variance] = float(made.std())
    assert spread["large"] > 1.2 * spread["small"]


def test_the_running_mean_answers_and_noise_goes_by_patch() -> None:
    torch.manual_seed(0)
    learner = DiffusionLearner(DiffusionSetup(MINI, 50, 3, 0.9, reading=Reading(predicts="image")))
    name = "leave.2.weight"
    start = learner.mean.state_dict()[name].clone()
    learner.optimise(1e-2)
    from baselines.staining.parts.pairs import Batch

    he = normal(2, 3, 16, 16).float().clamp(-1, 1)
    learner.step(Batch(he, he, None), torch.Generator().manual_seed(0))
    now = learner.network.state_dict()[name]
    torch.testing.assert_close(learner.mean.state_dict()[name], start + 0.1 * (now - start))
    with torch.no_grad():
        noise = [torch.Generator().manual_seed(at) for at in (1, 2)]
        both = learner.answer(he, None, noise)
        alone = learner.answer(he[1:], None, [torch.Generator().manual_seed(2)])
    torch.testing.assert_close(both[1:], alone, atol=1e-5, rtol=1e-5)
