"""Encoders, graph, fusion: published sizes, and what each variant's choices do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from past_model.cell_encoder import CellEncoder
from past_model.image_encoder import ImageEncoder, at_encoder_size, embed, random_dihedral, sine_positions
from past_model.model import Past
from past_model.neighbours import local_graphs
from past_model.pretraining import batch_of, build
from past_model.settings import CORRECTED, FAITHFUL, FULL, Variant
from past_model.tokens import FIRST_GENE, cell_sequence
from tests.past_model.small import SMALL, TABLE_ROWS, small_pairs


def parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def model_of(variant: Variant) -> Past:
    return build(SMALL, variant, TABLE_ROWS, seed=0).eval()


def test_full_image_encoder_is_unis() -> None:
    with torch.device("meta"):
        encoder = ImageEncoder(FULL)
    assert parameters(encoder) == 303_350_784
    assert encoder.model.num_features == 1024
    assert len(encoder.model.state_dict()) == 342


def test_full_cell_encoder_has_the_published_size() -> None:
    with torch.device("meta"):
        assert parameters(CellEncoder(FULL, 20_345, pool_padding=True)) == pytest.approx(35.80e6, rel=1e-3)


@pytest.mark.parametrize("variant", [FAITHFUL, CORRECTED], ids=lambda v: v.name)
def test_full_graph_and_projection_shapes(variant: Variant) -> None:
    with torch.device("meta"):
        model = Past(FULL, variant, 20_345)
    inner = 300 if variant is FAITHFUL else 512
    first = model.graph_encoder.convs[0]
    assert (first.in_channels, first.out_channels, first.heads) == (inner, 256, 1)
    assert model.graph_encoder.convs[1].out_channels == 512
    assert model.image_projection.projection.weight.shape == (256, 1024)


@pytest.mark.parametrize("variant", [FAITHFUL, CORRECTED], ids=lambda v: v.name)
def test_outputs_are_unit_vectors(variant: Variant) -> None:
    pairs = small_pairs()
    rows = np.arange(5)
    image, cell = model_of(variant)(pairs.read_crops(rows), batch_of(pairs, rows, SMALL))
    assert image.shape == cell.shape == (5, SMALL.projection_dim)
    torch.testing.assert_close(image.norm(dim=1), torch.ones(5))
    torch.testing.assert_close(cell.norm(dim=1), torch.ones(5))


def pooled(variant: Variant, length: int) -> torch.Tensor:
    """One cell with two genes in a context of ``length``."""
    torch.manual_seed(0)
    encoder = CellEncoder(replace(SMALL, context_length=12), TABLE_ROWS, pool_padding=variant.pool_padding).eval()
    return encoder(torch.from_numpy(cell_sequence(np.array([[FIRST_GENE, FIRST_GENE + 1]]), length))).detach()


def test_length_of_padding_changes_the_pooled_vector_only_in_the_released_form() -> None:
    with torch.random.fork_rng():
        torch.testing.assert_close(pooled(CORRECTED, 6), pooled(CORRECTED, 12), atol=1e-5, rtol=1e-5)
        assert (pooled(FAITHFUL, 6) - pooled(FAITHFUL, 12)).abs().max() > 0.05


def test_cell_without_genes_pools_to_zero_when_padding_is_left_out() -> None:
    encoder = model_of(CORRECTED).cell_encoder
    sequence = torch.from_numpy(cell_sequence(np.zeros((1, 5), dtype=np.int64), SMALL.context_length))
    assert encoder(sequence).abs().max() == 0


def graph_feature(variant: Variant, stretch: float) -> torch.Tensor:
    """The centre's graph feature with neighbours at ``stretch`` times their distance."""
    xy = np.array([[0, 0], [3, 1], [-2, 5], [4, -4]], dtype=np.float32) * stretch
    graphs = local_graphs(np.array([0]), np.array([[1, 2, 3]]), xy, SMALL.radius_um)
    model = model_of(variant)
    tokens = torch.from_numpy(small_pairs().tokens[graphs.cells.numpy()])
    return model.graph_encoder(model.node_features(tokens), graphs).detach()


def test_distance_matters_only_when_corrected() -> None:
    assert torch.equal(graph_feature(FAITHFUL, 1.0), graph_feature(FAITHFUL, 3.0))
    assert (graph_feature(CORRECTED, 1.0) - graph_feature(CORRECTED, 3.0)).abs().max() > 1e-4


def attention_to_one(variant: Variant) -> float:
    """Largest attention weight on one node of a nine-node graph of the released context length, mean over nodes."""
    settings = replace(SMALL, context_length=300, graph_hidden=256)
    model = build(settings, variant, 20_345, seed=1)
    rng = np.random.default_rng(0)
    tokens = torch.from_numpy(rng.integers(FIRST_GENE, 20_340, (9, 300)))
    graphs = local_graphs(np.array([8]), np.arange(8)[None], rng.uniform(0, 9, (9, 2)), 30.0)
    edge = {"edge_attr": graphs.distance} if variant.graph_distances else {}
    with torch.no_grad():
        conv = model.graph_encoder.convs[0]
        _, (edges, weights) = conv(model.node_features(tokens), graphs.edges, **edge, return_attention_weights=True)
    return float(np.mean([weights[edges[1] == node].max() for node in range(9)]))


def test_raw_ids_saturate_the_graph_attention_and_embeddings_do_not() -> None:
    """As numbers, ids far up the vocabulary give one neighbour all the attention; embedded genes share evenly."""
    assert attention_to_one(FAITHFUL) > 0.999
    assert attention_to_one(CORRECTED) < 0.3


def test_node_features_are_the_mean_embedding_of_real_genes() -> None:
    model = model_of(CORRECTED)
    tokens = torch.tensor([[FIRST_GENE, FIRST_GENE + 3, 0, 0], [0, 0, 0, 0]])
    table = model.cell_encoder.embeddings.weight
    features = model.node_features(tokens)
    torch.testing.assert_close(features[0], (table[FIRST_GENE] + table[FIRST_GENE + 3]) / 2)
    assert features[1].abs().max() == 0


def test_released_node_features_are_the_ids() -> None:
    tokens = torch.tensor([[FIRST_GENE, 0]])
    assert model_of(FAITHFUL).node_features(tokens).tolist() == [[30.0, 0.0]]


def test_graphs_of_a_batch_do_not_mix() -> None:
    pairs = small_pairs()
    model = model_of(CORRECTED)
    together = model.cell_features(batch_of(pairs, np.arange(6), SMALL))
    alone = torch.cat([model.cell_features(batch_of(pairs, np.array([i]), SMALL)) for i in range(6)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_the_own_feature_is_preferred_in_fusion() -> None:
    """With equal keys the additive mask (0, -1) gives the own feature e times the graph's weight."""
    model = model_of(CORRECTED)
    feature = torch.randn(1, 1, SMALL.cell_dim, generator=torch.Generator().manual_seed(0))
    both = feature.repeat(1, 2, 1)
    _, weights = model.fusion_layer(feature, both, both, attn_mask=model.attn_bias)
    assert (weights[0, 0, 0] / weights[0, 0, 1]).item() == pytest.approx(np.e, rel=1e-4)


def test_gradient_reaches_every_trained_part() -> None:
    pairs = small_pairs()
    for variant in (FAITHFUL, CORRECTED):
        model = build(SMALL, variant, TABLE_ROWS, seed=0)
        image, cell = model(pairs.read_crops(np.arange(6)), batch_of(pairs, np.arange(6), SMALL))
        (image * cell.flip(0)).sum().backward()
        for part in ("image_encoder", "cell_encoder", "graph_encoder", "fusion_layer", "image_projection"):
            norms = [p.grad.norm() for p in getattr(model, part).parameters() if p.grad is not None]
            assert sum(norms) > 0, (variant.name, part)


def test_resizing_keeps_the_centre_and_leaves_a_fitting_crop_alone() -> None:
    crop = np.zeros((1, 16, 16, 3), dtype=np.uint8)
    crop[:, 4:12, 4:12] = 200
    np.testing.assert_array_equal(at_encoder_size(crop, 16).numpy(), crop)
    assert (at_encoder_size(crop, 8, view=0.5) == 200).all()
    assert at_encoder_size(crop, 4).shape == (1, 4, 4, 3)


def test_embedding_does_not_depend_on_batches() -> None:
    encoder = model_of(CORRECTED).image_encoder
    crops = np.random.default_rng(0).integers(0, 256, (11, 20, 20, 3), dtype=np.uint8)
    np.testing.assert_allclose(embed(encoder, crops, 4), embed(encoder, crops, 11), atol=1e-5)
    assert embed(encoder, crops[:0], 4).shape == (0, SMALL.image_dim)


def test_dihedral_views_are_the_eight_and_only_these() -> None:
    crop = torch.arange(12, dtype=torch.uint8).reshape(1, 2, 2, 3)
    turned = random_dihedral(crop.repeat(400, 1, 1, 1), torch.Generator().manual_seed(0))
    expected = {tuple(torch.rot90(side, k, dims=(0, 1)).flatten().tolist())
                for side in (crop[0], crop[0].flip(1)) for k in range(4)}  # fmt: skip
    assert {tuple(view.flatten().tolist()) for view in turned} == expected
    assert len(expected) == 8


def test_positions_tell_rows_from_columns() -> None:
    table = sine_positions(3, 8)
    assert table.shape == (9, 8)
    assert len({tuple(row) for row in table.tolist()}) == 9
