"""PAST's generator: the modulation, its start as the identity, and that the embedding is really read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from baselines.networks.film_generator import FILM_SIZES, FilmGenerator, film
from baselines.networks.image_networks import UNET_SIZES, ColourStart, UNet, pad_to_multiple, parameters_of
from baselines.staining.parts.pairs import Pairs, Plan, affine_colour, embedding_scale
from baselines.staining.past_generator import PASTGenerator
from protocols.errors import UserError
from tests.baselines.image_toy import psnr, toy

MINI = FILM_SIZES["mini"]


class Brief(PASTGenerator):
    def plan(self, profile: str) -> Plan:
        return Plan(4, 4e-3, steps=40, crop=32)


def test_film_is_the_identity_at_zero_and_by_hand() -> None:
    x, zero = torch.randn(2, 3, 4, 4), torch.zeros(2, 3)
    assert torch.equal(film(x, zero, zero), x)
    torch.testing.assert_close(film(x, zero + 1, zero - 3), 2 * x - 3)
    beta = torch.tensor([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])
    torch.testing.assert_close((film(x, zero, beta) - x)[:, :, 1, 2], beta)


def test_every_stage_is_modulated_and_starts_as_the_plain_unet() -> None:
    torch.manual_seed(0)
    generator, he = FilmGenerator(MINI, 5), torch.rand(2, 3, 32, 32)
    torch.nn.init.normal_(generator.unet.output.weight)
    assert len(generator.modulations) == len(generator.unet.stages) == 5
    embedding = torch.randn(2, 5)
    plain = generator.unet(he)
    torch.testing.assert_close(generator(he, embedding), plain)
    for layer in generator.modulations:
        with torch.no_grad():
            layer.bias.fill_(0.5)  # type: ignore[operator]
        assert (generator(he, embedding) - plain).abs().max() > 1e-3
        with torch.no_grad():
            layer.bias.zero_()  # type: ignore[operator]


@pytest.mark.parametrize("side", [8, 24, 96, 33])
def test_the_unet_keeps_the_side_and_starts_at_the_colours(side: int) -> None:
    network, he = UNet(UNET_SIZES["mini"]), torch.rand(1, 3, side, side)
    torch.testing.assert_close(network(he), he)  # before the colours are set, the identity
    network.colour.set(torch.zeros(3, 3), torch.tensor([0.1, 0.2, 0.3]))
    torch.testing.assert_close(network(he)[0, :, 0, 0], torch.tensor([0.1, 0.2, 0.3]))


def test_full_sizes() -> None:
    with torch.device("meta"):
        generator = FilmGenerator(FILM_SIZES["full"], 1024)
        assert 7e6 < parameters_of(generator.unet) < parameters_of(generator) < 10e6
        assert generator(torch.zeros(1, 3, 256, 256), torch.zeros(1, 1024)).shape == (1, 3, 256, 256)


def test_padding_reflects_and_repeats_where_it_cannot() -> None:
    x = torch.arange(5.0).view(1, 1, 1, 5)
    assert pad_to_multiple(x.expand(1, 1, 5, 5), 8)[0, 0, 0].tolist() == [0, 1, 2, 3, 4, 3, 2, 1]
    assert pad_to_multiple(x.expand(1, 1, 3, 5), 16).shape == (1, 1, 16, 16)
    assert pad_to_multiple(x, 1) is x


def test_the_affine_map_of_colours_is_found() -> None:
    data = toy(6, pixels=32)
    ihc = np.round(0.5 * data.images[..., ::-1] + 20).astype(np.uint8)
    colour = ColourStart()
    colour.set(*affine_colour(Pairs(replace(data, truth=ihc), embedded=False), np.arange(6)))
    np.testing.assert_allclose(colour.matrix, 0.5 * np.eye(3)[::-1], atol=0.02)
    np.testing.assert_allclose(colour.offset, 0.5 - 1 + 20 / 127.5, atol=0.02)
    blank = replace(data, images=np.full_like(data.images, 255))
    assert all(bool(torch.isfinite(part).all()) for part in affine_colour(Pairs(blank, embedded=False), np.arange(6)))


def test_the_embedding_is_standardised_and_a_constant_keeps_its_scale() -> None:
    data = toy(20, pixels=16)
    features = np.column_stack([data.features, np.full(20, 7.0)]).astype(np.float32)
    mean, spread = embedding_scale(Pairs(replace(data, features=features), embedded=True), np.arange(20))
    np.testing.assert_allclose(mean, features.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(spread, [*features[:, :3].std(axis=0), 1.0], rtol=1e-5)


def test_the_answer_depends_on_the_embedding() -> None:
    """A stain whose strength only the embedding knows: with it, better than with that of other patches."""
    data, rng = toy(24, pixels=32), np.random.default_rng(0)
    strength = rng.uniform(0.2, 1.0, 24)
    ihc = np.round(255 - strength[:, None, None, None] * (255.0 - data.images)).astype(np.uint8)
    data = replace(data, truth=ihc, features=strength[:, None].astype(np.float32))
    model: Any = Brief()
    model.fit(data)
    rows = np.arange(24)
    right = psnr(model.predict(data, rows), ihc)
    wrong = psnr(model.predict(replace(data, features=data.features[::-1].copy()), rows), ihc)
    assert right > wrong + 1
    with pytest.raises(UserError, match="an embedding of 2 features"):
        model.predict(replace(data, features=np.repeat(data.features, 2, axis=1)), rows)
