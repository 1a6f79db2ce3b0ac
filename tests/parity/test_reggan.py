"""RegGAN's networks, warp and misalignment against numbers of the released code."""

import re

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from baselines.networks.reggan_networks import (
    REGGAN_SIZES,
    PatchDiscriminator,
    RegistrationNetwork,
    ResNetGenerator,
    roughness,
    warp,
)
from baselines.staining.parts.misalignment import Affine, drawn, moved
from tests.parity.vectors import a, fill_tensor, read

FULL = REGGAN_SIZES["full"]


def tensor(name: str, *shape: int) -> Tensor:
    return torch.from_numpy(a(name, shape))


def in_order(network: nn.Module, state: dict[str, Tensor]) -> None:
    """Fill a network whose layers stand in the order of the released state."""
    names = list(network.state_dict())
    assert len(names) == len(state)
    network.load_state_dict(dict(zip(names, state.values(), strict=True)))
    network.eval()


def _numbers(key: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", key)]


@torch.no_grad()
def test_generator() -> None:
    vectors = read("reggan_generator")
    network, state = ResNetGenerator(FULL), vectors.state()
    in_order(network, dict(sorted(state.items(), key=lambda item: _place(item[0]))))
    assert sum(p.numel() for p in network.parameters()) == vectors.content["weights"]["parameters"]
    vectors.check(network(tensor("image", 1, 3, 64, 64)), "output")


def _place(key: str) -> tuple[int, list[int], bool]:
    """Head, body, tail; layers by number; a weight before its bias."""
    return ["head", "body", "tail"].index(key[6:10]), _numbers(key), key.endswith("bias")


@torch.no_grad()
def test_discriminator() -> None:
    vectors = read("reggan_discriminator")
    state = vectors.state()
    network = PatchDiscriminator(FULL)
    in_order(network, state)
    image = tensor("image", 2, 3, 64, 64)
    vectors.check(network(image)[:, None], "3 channels", "output (batch, 1)")
    vectors.check(network.map(image), "3 channels", "patch map before the mean")
    state["model.0.weight"] = torch.empty(64, 6, 4, 4)
    fill_tensor("model.0.weight", state["model.0.weight"])
    network = PatchDiscriminator(FULL, channels=6)
    in_order(network, state)
    vectors.check(network(tensor("pair", 2, 6, 64, 64))[:, None], "6 channels", "output (batch, 1)")


def registration_key(key: str) -> str:
    """A released key of the registration network as ours names it."""
    levels = 7
    found = re.sub(r"^down_(\d)\.conv_0\.", lambda m: f"down.{int(m[1]) - 1}.", key)
    found = re.sub(r"^up_(\d)\.", lambda m: f"up.{levels - int(m[1])}.0.", found)
    found = found.replace("resnet_block.model.0.", "2.").replace("refine.0.model.0.", "refine.0.")
    found = re.sub(r"^t\.model\.(\d)\.", lambda m: f"bottom.{2 + int(m[1])}.", found)
    found = found.replace("c1.", "bottom.0.").replace("c2.", "bottom.5.")
    found = found.replace("conv_block.1.", "layers.0.").replace("conv_block.5.", "layers.3.")
    found = re.sub(r"^(down\.\d)\.conv2d", r"\1.0", found)
    return found.replace("refine.1.conv2d", "refine.1").replace("conv2d.", "")


@torch.no_grad()
def test_registration() -> None:
    """Padding by reflection in residual blocks, skips, up-sampling; rows before columns in the flow."""
    vectors = read("reggan_registration")
    network = RegistrationNetwork(FULL)
    network.load_state_dict({registration_key(key): value for key, value in vectors.state().items()})
    flow = network.eval()(tensor("image_a", 1, 3, 256, 256), tensor("image_b", 1, 3, 256, 256))
    vectors.check(flow, "flow")
    vectors.check(flow.abs().mean(), "mean absolute flow in pixels")
    places = [(0, 0), (0, 255), (255, 0), (255, 255), (128, 128), (7, 200)]
    title = next(key for key in vectors.content["expected"] if key.startswith("(row flow, column flow)"))
    vectors.check(torch.stack([flow[0, :, row, column] for row, column in places]), title)


def test_registration_starts_from_kaiming() -> None:
    """SD sqrt(2 / inputs) where a ReLU follows inside residual blocks, sqrt(2 / 1.04 / inputs) elsewhere; no bias."""
    torch.manual_seed(0)
    network = RegistrationNetwork(FULL)
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d) and name != "output":
            fan = layer.in_channels * layer.kernel_size[0] ** 2
            gain = 2.0 if ".layers." in name else 2.0 / 1.04
            share = float(layer.weight.detach().std()) / (gain / fan) ** 0.5
            assert share == pytest.approx(1, abs=3.5 / layer.weight.numel() ** 0.5), name
            assert layer.bias is not None
            assert not layer.bias.detach().any()


def test_warp_and_smoothness() -> None:
    vectors = read("reggan_warp")
    image, flow = tensor("warped", 1, 2, 7, 9), 3 * tensor("flow", 1, 2, 7, 9)
    vectors.check(warp(image, flow), "warped image")
    vectors.check(roughness(flow), "smoothness of the flow")
    ramp = torch.arange(20.0).view(1, 1, 4, 5)
    for channel, size, title in ((0, 1.0, "ramp, row flow 1 everywhere"), (1, 0.5, "ramp, column flow 0.5 everywhere")):
        flow = torch.zeros(1, 2, 4, 5)
        flow[:, channel] = size
        vectors.check(warp(ramp, flow)[0, 0], title)
    rows = torch.zeros(1, 2, 6, 6)
    rows[:, 0] = torch.arange(6.0)[:, None]
    vectors.check(roughness(rows), "smoothness of a flow of row ramp (flow channel 0 = row index, channel 1 = 0)")


def test_one_fixed_misalignment() -> None:
    vectors = read("reggan_affine")
    image = a("affine", (64, 64))
    title = "one fixed transform: angle 1 degree, translate (columns 3, rows -2), scale 1.02"
    found, expected = moved(image, Affine(1.0, 3, -2, 1.02), -1.0), vectors.expected(title)
    vectors.compare(found, expected, title, tolerance=1e-12)
    assert (found == -1).sum() == expected["number of filled pixels (-1)"]
    shifted = moved(image, Affine(0.0, 1, 0, 1.0), -1.0)
    vectors.check(shifted[0, :5], "shift by one column", "first row, first 5", tolerance=0.0)


def test_draws_of_the_misalignment() -> None:
    """Bounds exact, SD within 2 %, and the share of each whole shift as rounding makes it."""
    vectors = read("reggan_affine")
    draws = torch.Generator().manual_seed(0)
    found = [drawn(1.0, 256, 256, draws) for _ in range(20_000)]
    theory = vectors.expected("bounds and theory")
    angle, scale = np.array([one.angle for one in found]), np.array([one.scale for one in found])
    columns, rows = np.array([one.columns for one in found]), np.array([one.rows for one in found])
    assert (angle.min(), angle.max()) == pytest.approx(theory["angle"], abs=1e-3)
    assert (scale.min(), scale.max()) == pytest.approx(theory["scale"], abs=1e-4)
    vectors.compare(angle.std(), theory["angle SD"], "angle SD", tolerance=0.02)
    vectors.compare(scale.std(), theory["scale SD"], "scale SD", tolerance=0.02)
    shares = theory["shift is round(uniform(-5.12, 5.12)); shares of -5 and 0"]
    for shift in (columns, rows):
        assert [shift.min(), shift.max()] == theory["shift"]
        assert [(shift == -5).mean(), (shift == 0).mean()] == pytest.approx(shares, rel=0.08)
    assert abs(np.corrcoef(columns, rows)[0, 1]) < 0.03


def test_both_images_of_a_pair_are_moved_by_draws_of_their_own() -> None:
    """As released with a noise level above 0; the first variant that is trained so is RegGAN itself."""
    from baselines.staining.parts.pairs import Pairs
    from baselines.staining.pix2pix import Pix2pix
    from baselines.staining.reggan import RegGAN
    from baselines.staining.reggan_c import RegGANC
    from baselines.staining.reggan_c_r import RegGANCR
    from baselines.staining.reggan_nc import RegGANNC
    from baselines.staining.reggan_nc_as_released import RegGANNCAsReleased
    from tests.baselines.image_toy import toy

    data = toy(4)
    for model in (RegGAN, RegGANNC, RegGANC, RegGANCR, RegGANNCAsReleased):
        assert [model().plan(profile).noise_level for profile in ("full", "mini")] == [1.0, 1.0]
    assert Pix2pix().plan("full").noise_level == 0
    same = {**vars(data), "truth": data.images}
    pairs, plan = Pairs(type(data)(**same), embedded=False), RegGAN().plan("full")
    batch = pairs.batch(np.arange(4), plan, torch.Generator().manual_seed(0), torch.device("cpu"))
    assert batch.he.shape == (4, 3, 96, 96)
    assert not any(torch.equal(one, other) for one, other in zip(batch.he, batch.ihc, strict=True))
    assert (batch.he == -1).any()  # what came in at the border
