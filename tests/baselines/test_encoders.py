"""The encoder table: sizes, starts, and that every row builds whole."""

from __future__ import annotations

import pytest
import torch

from baselines.encoders.checkpoint_keys import KEY_MAPS
from baselines.encoders.entries import encoder_spec
from baselines.encoders.modules import BUILDERS, build_encoder, construct
from baselines.encoders.table import ENCODERS
from protocols.contract import Settings
from protocols.errors import UserError

PUBLISHED = {
    "uni": 303_350_784,
    "ctranspath": 27_520_038,
    "chief": 27_520_038,
    "plip": 87_849_728,
    "musk": 303_936_512,
    # 12 layers of 384 with FFN 1,536, biases and LayerScale; patch 14; 37 x 37 positions; a class token, 4 registers
    "dinov2_vits14_reg": 12 * (12 * 384**2 + 13 * 384 + 2 * 384) + 384 * (3 * 14**2 + 1) + 384 * (37**2 + 5) + 2 * 384,
}


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_full_size_has_the_published_number_of_parameters(name: str) -> None:
    """On the meta device: shapes without memory."""
    with torch.device("meta"):
        network = construct(encoder_spec(name), "full")
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == ENCODERS[name].parameters
    assert count == PUBLISHED.get(name, count)
    if name == "conch":
        assert sum(p.numel() for p in network.trunk.parameters()) == 86_250_240  # type: ignore[union-attr]
    if name == "densenet121":
        assert count + 1024 * 250 + 250 == 7_210_106  # ST-Net with its 250 genes


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_mini_gives_the_stated_length_and_differs_between_images(name: str) -> None:
    size = ENCODERS[name].mini
    images = torch.randn(3, 3, size.pixels, size.pixels, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        out = build_encoder(name, Settings())(images)
    assert out.shape == (3, size.dim)
    assert torch.isfinite(out).all()
    assert float(out.std(dim=0).mean()) > 1e-3
    assert name in ENCODERS
    assert ENCODERS[name].architecture in BUILDERS
    assert ENCODERS[name].key_map in KEY_MAPS


def test_start_depends_on_name_and_seed_alone_and_leaves_the_global_generator() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, second = build_encoder("chief", Settings()), build_encoder("chief", Settings())
    assert torch.equal(torch.get_rng_state(), before)
    a, b = first.state_dict(), second.state_dict()
    assert all(torch.equal(a[key], b[key]) for key in a)
    twin, other = build_encoder("ctranspath", Settings()).state_dict(), build_encoder("chief", Settings(seed=1))
    assert not torch.equal(a["layers.0.blocks.0.attn.qkv.weight"], twin["layers.0.blocks.0.attn.qkv.weight"])
    assert not torch.equal(a["patch_embed.proj.0.weight"], other.state_dict()["patch_embed.proj.0.weight"])
    assert not first.training


def test_unknown_encoder_and_profile_name_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'conch'"):
        encoder_spec("conhc")
    with pytest.raises(UserError, match="did you mean 'mini'"):
        encoder_spec("uni").size("minni")
