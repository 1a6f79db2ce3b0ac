"""PAST's released graph model and its loss: every intermediate, through the project's own tokens, graphs and loader."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from baselines.encoders.embedding import central, prepared
from baselines.encoders.modules import construct
from baselines.encoders.spec import EncoderSize
from baselines.encoders.table import ENCODERS
from baselines.encoders.weights import load_strictly
from past_model.image_encoder import ImageEncoder, embed
from past_model.loss import contrastive_loss
from past_model.model import Past
from past_model.neighbours import ABSENT, nearest_cells
from past_model.pretraining import Pairs, batch_of
from past_model.settings import FAITHFUL, FULL, MINI, PastSettings
from past_model.tokens import FIRST_GENE
from past_model.weights import ReleasedState, load_released
from tests.parity.vectors import Vectors, a, image, read

GENES = 20_309
TABLE_ROWS = 20_345


def gene_tokens(vectors: Vectors, length: int) -> np.ndarray:
    """Tokens of the ten cells, int64 ``(10, length)``: first occurrences only, 0 behind the end."""
    tokens = np.zeros((len(vectors.content["input"]["n"]), length), dtype=np.int64)
    for cell, n in enumerate(vectors.content["input"]["n"]):
        drawn = FIRST_GENE + np.floor((a(f"genes_{cell}", n, np.float64) + 1) / 2 * GENES).astype(np.int64)
        kept = list(dict.fromkeys(drawn.tolist()))
        assert len(kept) == vectors.content["input"]["tokens kept"][cell]
        tokens[cell, : len(kept)] = kept[:length]
    return tokens


def pairs_of(vectors: Vectors, settings: PastSettings) -> Pairs:
    given = vectors.content["input"]
    xy = np.array(given["positions"], dtype=np.float32)
    centres = np.array(given["centre cells"])
    slide = np.full(len(xy), "one")
    near = nearest_cells(xy, slide, centres, count=settings.neighbours, radius_um=settings.radius_um)
    expected = vectors.expected("neighbours of each centre cell, nearest first")
    assert [[cell for cell in row if cell != ABSENT] for row in near.tolist()] == expected
    images = torch.from_numpy(a("image", tuple(given["image"][1])))
    return Pairs(lambda rows: images[torch.from_numpy(rows)], gene_tokens(vectors, settings.context_length), xy,
                 centres, near)  # fmt: skip


def released(vectors: Vectors, settings: PastSettings) -> Past:
    """The released model of these sizes, its state filled by the upstream names and loaded strictly."""
    with torch.device("meta"):
        model = Past(settings, FAITHFUL, TABLE_ROWS)
    model.to_empty(device="cpu")
    fixed = ImageEncoder(replace(settings, image_depth=1))
    with torch.no_grad():  # these keep what they are built with
        model.image_encoder.mean.copy_(fixed.mean)
        model.image_encoder.std.copy_(fixed.std)
        model.temperature.fill_(settings.temperature)
        model.attn_bias.copy_(torch.tensor([[0.0, -1.0]]))
    absent = load_released(model, ReleasedState(vectors.state()))
    assert absent == ("temperature", "attn_bias")
    return model.eval()


def compare(vectors: Vectors, settings: PastSettings) -> None:
    model, pairs = released(vectors, settings), pairs_of(vectors, settings)
    rows = np.arange(len(pairs))
    cells = batch_of(pairs, rows, settings)
    met: dict[str, Tensor] = {}
    assert cells.sequence[0, :16].tolist() == vectors.expected("token sequence of the first centre cell")
    found = {
        "image features before projection": model.image_encoder.model,
        "cell transformer output": model.cell_encoder,
        "graph output at the centre cells": model.graph_encoder,
        "fused cell features before projection": model.fusion_norm,
    }
    for what, part in found.items():
        part.register_forward_hook(keep(met, what))
    model.image_encoder.normalise = lambda crops: crops  # type: ignore[method-assign]  # they are, already
    with torch.no_grad():
        met["image embeddings (unit)"], met["cell embeddings (unit)"] = model(pairs.read_crops(rows), cells)
    for what in [*found, "image embeddings (unit)", "cell embeddings (unit)"]:
        vectors.check(met[what], what)
    loss = contrastive_loss(met["image embeddings (unit)"], met["cell embeddings (unit)"], model.temperature, FAITHFUL)
    vectors.check(loss, "loss")
    # At the released sizes what cancels in it is some twenty times as large: the loss of a digit is allowed.
    gradient = torch.autograd.grad(loss, model.temperature)[0]
    vectors.check(gradient, "gradient of the loss by the raw temperature", tolerance=10 * vectors.tolerance())
    vectors.check(model.temperature, "temperature")


def keep(met: dict[str, Tensor], what: str) -> Callable[..., None]:
    def hook(_module: object, _given: object, answer: Tensor) -> None:
        met[what] = answer

    return hook


def test_small_sizes() -> None:
    compare(read("past_graph_small"), MINI)


@pytest.mark.long
def test_released_sizes() -> None:
    compare(read("past_graph_full"), FULL)


def test_released_names_and_shapes_are_ours() -> None:
    """Without memory, at the released sizes."""
    with torch.device("meta"):
        own = Past(FULL, FAITHFUL, TABLE_ROWS).state_dict()
    shapes = {key: tuple(value.shape) for key, value in own.items() if key not in ("temperature", "attn_bias")}
    assert read("past_graph_full").shapes() == shapes


@pytest.mark.parametrize(
    ("case", "temperature"),
    [
        ("toy, temperature 0.07", 0.07),
        ("four pairs, temperature 0.07", 0.07),
        ("four pairs, temperature 0.2", 0.2),
        ("four pairs, raw temperature 0.005 (acts as 0.01)", 0.005),
        ("four pairs, raw temperature 3 (acts as 1)", 3.0),
    ],
)
def test_loss_and_its_gradients(case: str, temperature: float) -> None:
    vectors = read("past_loss")
    image, cell = given_vectors(vectors, case.split(",")[0])
    raw = torch.tensor(temperature, requires_grad=True)
    loss = contrastive_loss(functional.normalize(image, dim=-1), functional.normalize(cell, dim=-1), raw, FAITHFUL)
    vectors.check(loss, case, "loss")
    by_image, by_cell, by_temperature = torch.autograd.grad(loss, (image, cell, raw))
    vectors.check(by_temperature, case, "gradient by the raw temperature", kind="gradients")
    if "gradient by the image vectors" in vectors.expected(case):
        vectors.check(by_image, case, "gradient by the image vectors", kind="gradients")
        vectors.check(by_cell, case, "gradient by the cell vectors", kind="gradients")


def given_vectors(vectors: Vectors, which: str) -> tuple[Tensor, Tensor]:
    if which == "toy":
        toy = vectors.content["input"]["toy"]
        image, cell = (torch.tensor(toy[f"{side} vectors"]) for side in ("image", "cell"))
    else:
        image, cell = (torch.from_numpy(a(f"{side}_vectors", (4, 6))) for side in ("image", "cell"))
    return image.requires_grad_(), cell.requires_grad_()


def test_the_encoder_table_and_past_itself_give_the_same_features_of_one_checkpoint() -> None:
    """Two readers, two preprocessings, two networks: once 4.5e-3 apart, for want of one filter."""
    kwargs = {"img_size": 24, "patch_size": 4, "embed_dim": 64, "depth": 1, "num_heads": 4, "init_values": 1.0}
    size = EncoderSize(24, 64, {**kwargs, "num_classes": 0, "dynamic_img_size": True}, view=MINI.view)
    spec, vectors = replace(ENCODERS["past"], mini=size), read("past_graph_small")
    network = construct(spec, "mini").eval()
    load_strictly(network, vectors.state(), spec, where="the formula")
    crops = image(64, 64)[None]
    with torch.inference_mode():
        by_table = network(prepared(central(crops, size.view), size, spec, torch.device("cpu"))).numpy()
    by_itself = embed(released(vectors, MINI).image_encoder, crops, 4)
    assert np.abs(by_table - by_itself).max() < 1e-6 * np.abs(by_itself).max()
