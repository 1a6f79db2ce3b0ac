"""What each correction changes in the network, and what both variants keep."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from past_model.image_encoder import embed, random_dihedral, resized
from past_model.loss import contrastive_loss
from past_model.model import CellBatch
from past_model.pretraining import batch_of
from past_model.settings import CORRECTED, FAITHFUL, FULL, MINI, Variant
from past_model.tokens import cell_sequence
from tests.past_model.tiny import TINY, VARIANTS, tiny_model, tiny_pairs

both = pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.name)


@both
def test_unit_vectors_of_the_projection_size(variant: Variant) -> None:
    model, pairs = tiny_model(variant).eval(), tiny_pairs()
    rows = np.arange(6)
    image, cell = model(pairs.read_crops(rows), batch_of(pairs, rows, TINY))
    for vectors in (image, cell):
        assert vectors.shape == (6, TINY.projection_dim)
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(6))


def test_room_left_over_changes_the_cell_feature_only_in_the_released_pooling() -> None:
    """The same genes in a shorter and a longer padded sequence."""
    genes = np.array([[40, 41, 42], [43, 44, 0]])
    for variant, invariant in ((CORRECTED, True), (FAITHFUL, False)):
        encoder = tiny_model(variant).cell_encoder.eval()
        short, long = (encoder(torch.from_numpy(cell_sequence(genes, length))) for length in (7, 10))
        gap = float((short - long).detach().abs().max())
        assert (gap < 1e-5) == invariant, f"{variant.name}: {gap}"


@both
def test_a_cell_without_any_gene_has_a_finite_feature(variant: Variant) -> None:
    encoder = tiny_model(variant).cell_encoder.eval()
    feature = encoder(torch.from_numpy(cell_sequence(np.zeros((1, 4), dtype=np.int64), 8)))
    assert torch.isfinite(feature).all()
    if variant is CORRECTED:
        assert (feature == 0).all()


@both
def test_distance_matters_only_where_corrected(variant: Variant) -> None:
    model, pairs = tiny_model(variant).eval(), tiny_pairs()
    near = batch_of(pairs, np.arange(8), TINY)
    far = CellBatch(near.sequence, near.node_tokens, replace(near.graphs, distance=near.graphs.distance * 5))
    gap = float((model.cell_features(near) - model.cell_features(far)).detach().abs().max())
    assert (gap > 1e-4) == (variant is CORRECTED), gap


def test_raw_ids_saturate_the_graph_attention_of_the_released_code() -> None:
    """Ids up to 20,339 as numbers: one neighbour takes all the attention, while embedded genes share it."""

    def sharpest(variant: Variant) -> float:
        settings = replace(TINY, graph_hidden=32)
        model, pairs = tiny_model(variant, settings).eval(), tiny_pairs(settings=settings)
        batch = batch_of(pairs, np.arange(24), settings)
        tokens = batch.node_tokens
        if variant.raw_id_nodes:
            tokens = torch.where(tokens > 0, tokens * 300, 0)  # as in a vocabulary of 20,310 genes
        conv = model.graph_encoder.convs[0]
        edge = {"edge_attr": batch.graphs.distance} if variant.graph_distances else {}
        _, (edges, weight) = conv(
            model.node_features(tokens), batch.graphs.edges, return_attention_weights=True, **edge
        )
        top = torch.zeros(len(tokens)).scatter_reduce(0, edges[1], weight[:, 0].detach(), "amax")
        degree = torch.bincount(edges[1], minlength=len(tokens))
        return float(top[degree > 2].median())

    assert sharpest(FAITHFUL) > 0.99
    assert sharpest(CORRECTED) < 0.8


@both
def test_gradient_reaches_every_part_of_both_encoders(variant: Variant) -> None:
    model, pairs = tiny_model(variant), tiny_pairs()
    rows = np.arange(8)
    image, cell = model(pairs.read_crops(rows), batch_of(pairs, rows, TINY))
    contrastive_loss(image, cell, model.temperature, variant).backward()  # type: ignore[no-untyped-call]
    parts: dict[str, float] = {}
    for name, parameter in model.named_parameters():
        part = name.split(".")[0]
        size = 0.0 if parameter.grad is None else float(parameter.grad.abs().sum())
        parts[part] = parts.get(part, 0.0) + size
    assert all(size > 0 for size in parts.values()), parts
    assert {"image_encoder", "cell_encoder", "graph_encoder", "fusion_layer", "temperature"} <= parts.keys()


def test_full_size_image_encoder_is_uni() -> None:
    """303,350,784 parameters under UNI's names, counted without allocating them."""
    from past_model.image_encoder import ImageEncoder

    with torch.device("meta"):
        encoder = ImageEncoder(FULL)
    assert sum(p.numel() for p in encoder.parameters()) == 303_350_784
    state = encoder.state_dict()
    assert len(state) == 342
    assert all(key.startswith("model.") for key in state)
    assert {"model.blocks.23.ls2.gamma", "model.cls_token", "model.patch_embed.proj.weight"} <= state.keys()


def test_a_profile_changes_numbers_only() -> None:
    assert vars(FULL).keys() == vars(MINI).keys()
    assert all(isinstance(value, (int, float)) for value in [*vars(FULL).values(), *vars(MINI).values()])


def test_embedding_does_not_depend_on_companions_or_batch() -> None:
    encoder = tiny_model(CORRECTED).image_encoder
    crops = np.random.default_rng(0).integers(0, 256, (7, 40, 40, 3), dtype=np.uint8)
    whole = embed(encoder, crops, 256)
    assert whole.shape == (7, TINY.image_dim)
    np.testing.assert_allclose(embed(encoder, crops, 3), whole, atol=1e-5)
    np.testing.assert_allclose(embed(encoder, crops[4:5], 3), whole[4:5], atol=1e-5)
    assert embed(encoder, crops[:0], 3).shape == (0, TINY.image_dim)


def test_view_takes_the_middle() -> None:
    crops = np.zeros((1, 8, 8, 3), dtype=np.uint8)
    crops[:, 2:6, 2:6] = 200
    assert resized(crops, 4, 0.5).unique().tolist() == [200]
    assert resized(crops, 8, 1.0).numpy().tolist() == crops.tolist()


def test_dihedral_views_are_the_eight_symmetries_and_follow_the_generator() -> None:
    crop = torch.arange(3 * 3 * 3, dtype=torch.uint8).reshape(1, 3, 3, 3)
    many = random_dihedral(crop.repeat(200, 1, 1, 1), torch.Generator().manual_seed(0))
    turns = [torch.rot90(crop[0], k, (0, 1)) for k in range(4)]
    expected = {view.numpy().tobytes() for turn in turns for view in (turn, turn.flip(1))}
    assert {view.numpy().tobytes() for view in many} == expected
    again = random_dihedral(crop.repeat(200, 1, 1, 1), torch.Generator().manual_seed(0))
    assert torch.equal(many, again)
