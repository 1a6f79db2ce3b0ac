"""Improved diffusion's U-Net and process against numbers of the released code.

Not built here, so not compared: a network that adds the time instead of scaling by it, conditions of another size,
time steps in sections and strides (`ddimN`).
"""

import re
from typing import Any

import pytest
import torch
from torch import Tensor

from baselines.networks.diffusion_process import (
    Process,
    Reading,
    betas_of,
    noised,
    spaced,
    step_back,
    training_loss,
)
from baselines.networks.diffusion_unet import DiffusionSizes, DiffusionUNet, time_embedding
from tests.parity.vectors import a, read

SIZES = DiffusionSizes(32, (1, 2), 1, (1,), 4)
READINGS = {
    "fixed large variance, predicts the noise": Reading("large"),
    "fixed small variance, predicts the noise": Reading("small"),
    "learned variance, predicts the noise": Reading("learned"),
    "fixed large variance, predicts x_start": Reading("large", "image"),
}


def unet_key(key: str) -> str:
    """A released key as ours names it."""
    found = re.sub(r"^input_blocks\.0\.0\.", "enter.", key)
    found = re.sub(r"^input_blocks\.(\d+)\.", lambda m: f"down.{int(m[1]) - 1}.", found)
    found = found.replace("output_blocks.", "up.").replace("middle_block.", "middle.").replace("time_embed.", "time.")
    found = re.sub(r"^out\.", "leave.", found)
    found = found.replace("in_layers.", "enter.").replace("emb_layers.", "time.").replace("out_layers.0.", "norm.")
    found = found.replace("out_layers.3.", "leave.1.").replace("skip_connection.", "skip.").replace("proj_out.", "out.")
    return found.replace(".op.", ".convolution.").replace(".conv.", ".convolution.")


def our_layout(key: str, value: Tensor, ours: Tensor) -> Tensor:
    """Released rows of query, key and value stand head by head, ours thing by thing; 1-wide convolutions are square."""
    if ".qkv." in key:
        rest = value.shape[1:]
        value = value.reshape(SIZES.heads, 3, -1, *rest).transpose(0, 1).reshape(-1, *rest)
    return value.reshape(ours.shape)


@torch.no_grad()
def test_unet() -> None:
    vectors = read("diffusion_unet")
    network = DiffusionUNet(SIZES)
    ours = network.state_dict()
    state = {unet_key(key): value for key, value in vectors.state().items()}
    network.load_state_dict({key: our_layout(key, value, ours[key]) for key, value in state.items()})
    assert sum(p.numel() for p in network.parameters()) == vectors.content["weights"]["parameters"]
    noisy, condition = (torch.from_numpy(a(name, (2, 3, 16, 16))) for name in ("x", "low_res"))
    times = torch.tensor([37.5, 812.25])
    vectors.check(network.eval()(noisy, condition, times), "scale-shift norm True", "output")
    vectors.check(time_embedding(times[:1], 32)[0], "timestep embedding of 37.5, 32 numbers")


def test_betas_and_respacing() -> None:
    vectors = read("diffusion_process")

    def check(found: Any, title: str) -> None:
        vectors.check(found, title, kind="betas and coefficients")

    check(betas_of("cosine", 5), "cosine betas, 5 steps")
    check(betas_of("cosine", 1000)[[0, 1, 500, 998, 999]], "cosine betas, 1000 steps: number 0, 1, 500, 998, 999")
    check(betas_of("linear", 1000)[[0, 1, 500, 998, 999]], "linear betas, 1000 steps: number 0, 1, 500, 998, 999")
    check(betas_of("linear", 4000)[[0, 1, 3999]], "linear betas, 4000 steps: number 0, 1, 3999")
    for steps, wanted in ((1000, 8), (4000, 50), (4000, 27)):
        assert spaced(steps, wanted).tolist() == vectors.expected("respaced timesteps", f"{wanted} of {steps}")


def test_posterior() -> None:
    vectors, process = read("diffusion_process"), Process.of("cosine", 5)
    chain = "5 cosine steps"

    def check(found: Any, title: str) -> None:
        vectors.check(found, chain, title, kind="betas and coefficients")

    of_image, of_noisy = process.posterior_weights
    check(process.kept, "cumulative alpha")
    check(process.posterior_variance, "posterior variance")
    check(process.log_variances[0], "posterior log variance, clipped")
    check(of_image, "posterior mean coefficient of x_start")
    check(of_noisy, "posterior mean coefficient of x_t")


def images() -> tuple[Tensor, Tensor, Tensor]:
    image, noisy, noise = (torch.from_numpy(a(name, (2, 3, 4, 4))) for name in ("x_start", "x_t", "noise"))
    return image, noisy, 2 * noise


def test_noise_is_added() -> None:
    vectors, (image, _, noise) = read("diffusion_process"), images()
    found = noised(Process.of("cosine", 5), image, torch.tensor([1, 3]), noise)
    vectors.check(found, "q_sample of x_start with noise, 5 cosine steps, t = 1, 3")


def test_posterior_of_images() -> None:
    """Its mean from x_start and x_t, by way of a step back whose network names x_start."""
    vectors, (image, noisy, _) = read("diffusion_process"), images()
    process, title = Process.of("cosine", 5), "q_posterior of (x_start, x_t), 5 cosine steps"
    for times in ((0, 1), (2, 4)):
        t = torch.tensor(times)
        mean, log_variance = step_back(process, image, noisy, t, Reading("small", "image"), clip=False)
        place = f"t = {times[0]}, {times[1]}"
        vectors.check(mean, title, place, "mean")
        vectors.check(log_variance[:, 0, 0, 0], title, place, "log variance")


@pytest.mark.parametrize("kind", READINGS)
def test_one_step_back_and_the_loss(kind: str) -> None:
    """No network: tanh(0.7 x + t / 1000) answers, and sin(3 x) beside it for a learned variance."""
    vectors, reading = read("diffusion_process"), READINGS[kind]
    title = next(key for key in vectors.content["expected"] if key.startswith("one p_sample"))
    process, t = Process.of("cosine", 1000).respaced(8), torch.tensor([0, 5])
    image, noisy, noise = images()
    asked: list[Tensor] = []

    def network(given: Tensor, times: Tensor) -> Tensor:
        asked.append(times)
        answer = torch.tanh(0.7 * given + times.view(-1, 1, 1, 1) / 1000)
        return torch.cat([answer, torch.sin(3 * given)], dim=1) if reading.variance == "learned" else answer

    output = network(noisy, torch.from_numpy(process.times)[t].float())
    mean, log_variance = step_back(process, output, noisy, t, reading, clip=True)
    vectors.check(log_variance[:, 0, 0, 0], title, kind, "log variance, first element")
    later = (t > 0).view(-1, 1, 1, 1)
    vectors.check(mean + later * torch.exp(0.5 * log_variance) * noise, title, kind, "sample")
    losses = []
    for at in range(2):
        one = slice(at, at + 1)
        losses.append(training_loss(process, network, image[one], t[one], noise[one], reading))
    # The released likelihood of the first step takes a tanh for the normal distribution function; ours is exact.
    exact = reading.variance != "learned"
    told = vectors.expected(title, kind, "training loss of x_start with the noise, by image")
    vectors.compare(torch.stack(losses), told, f"training loss, {kind}", tolerance=None if exact else 5e-3)
    vectors.check(torch.cat(asked[1:]), title, kind, "timesteps that the model is given")
