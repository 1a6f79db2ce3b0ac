"""The contract over every survival model, and what its networks compute."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from baselines.networks.survival_blocks import FULL, MINI, Batch, CoAttention, SurvivalSizes
from baselines.networks.survival_networks import DeepSets, Mcat
from baselines.registry import built_in, load_model_class
from baselines.training.survival_loss import bin_edges, bins_of, nll, risk_of, survival_of
from baselines.training.survival_training import (
    BagCache,
    Patients,
    Targets,
    TrainingPlan,
    hold_out,
    losses,
    predict_logits,
    step,
)
from protocols.contract import Settings
from protocols.contract_checks import results_of
from protocols.survival.checks import checks

SURVIVAL = [name for name in built_in() if load_model_class(name, {}, Path()).card.task == "survival"]
QUICK = {"mcat_resnet50", "mcat_past_multi", "mcat_resnet50_as_released", "attention_mil", "deep_sets", "snn"}
BLCA = (94, 334, 521, 468, 1496, 479)
CPU = torch.device("cpu")


@pytest.mark.parametrize("name", SURVIVAL)
def test_contract(name: str) -> None:
    """MCAT with another encoder is the same class: two of them stand for all."""
    if name.startswith("mcat_") and name not in QUICK:
        pytest.skip("the same class as mcat_resnet50, with another card")
    model = load_model_class(name, {}, Path())
    assert [(r.check, r.problem) for r in results_of(checks(model, name, Settings()), model) if r.problem] == []


def test_published_size() -> None:
    """4.49 million parameters with BLCA's signatures and 1,024-wide tiles, as the paper's code has."""
    assert sum(parameter.numel() for parameter in Mcat(FULL, 1024, BLCA).parameters()) == 4_492_038


def test_loss_by_hand() -> None:
    logits = torch.log(
        torch.tensor([[0.2, 0.3, 0.5, 0.4]]) / torch.tensor([[0.8, 0.7, 0.5, 0.6]])
    )  # hazards .2 .3 .5 .4
    survival = torch.tensor([0.8, 0.56, 0.28, 0.168])

    def of(place: int, event: bool) -> float:
        return float(nll(logits, torch.tensor([place]), torch.tensor([event])))

    torch.testing.assert_close(survival_of(logits)[0], survival)
    assert of(0, True) == pytest.approx(-np.log(0.2), abs=1e-6)  # the event in the first bin: S(-1) is 1
    assert of(3, True) == pytest.approx(-np.log(0.28) - np.log(0.4), abs=1e-6)
    assert of(0, False) == pytest.approx(-np.log(0.8), abs=1e-6)  # censored in the first bin: lived through it
    assert of(3, False) == pytest.approx(-np.log(0.168), abs=1e-6)
    assert float(risk_of(logits)) == pytest.approx(-(0.8 + 0.56 + 0.28 + 0.168), abs=1e-6)


def test_loss_alpha_leaves_only_events() -> None:
    logits = torch.zeros((2, 4))
    value = nll(logits, torch.tensor([1, 1]), torch.tensor([True, False]), alpha=1.0)
    assert value[1] == 0
    assert value[0] > 0


def test_loss_is_finite_where_hazards_saturate() -> None:
    logits = torch.tensor([[60.0, 60.0, 60.0, 60.0]])
    for event in (True, False):
        assert torch.isfinite(nll(logits, torch.tensor([3]), torch.tensor([event]))).all()


def test_bins_are_right_open_and_tied_times_share_one() -> None:
    time = np.array([1.0, 2.0, 3.0, 4.0, 4.0, 9.0, 0.5])
    event = np.array([True, True, True, True, True, False, False])
    edges = bin_edges(time, event)
    np.testing.assert_allclose(edges, [2.0, 3.0, 4.0])
    assert bins_of(time, edges).tolist() == [0, 1, 2, 3, 3, 3, 0]


def test_co_attention_is_softmax_of_products() -> None:
    torch.manual_seed(0)
    layer = CoAttention(4)
    genomic, tiles = torch.randn(1, 2, 4), torch.randn(1, 5, 4)
    w, b = layer.attention.in_proj_weight, layer.attention.in_proj_bias
    q, k, v = (x @ w[i * 4 : i * 4 + 4].T + b[i * 4 : i * 4 + 4] for i, x in enumerate((genomic, tiles, tiles)))
    weight = torch.softmax(q @ k.transpose(1, 2) / 2.0, dim=-1)  # one head of width 4
    expected = (weight @ v) @ layer.attention.out_proj.weight.T + layer.attention.out_proj.bias
    torch.testing.assert_close(layer(genomic, tiles, None), expected)


def patients(n: int = 7, width: int = 5) -> Patients:
    rng = np.random.default_rng(0)
    bags = [rng.normal(size=(2 + k % 4, width)).astype(np.float32) for k in range(n)]
    genomic = tuple(rng.normal(size=(n, size)).astype(np.float32) for size in (3, 4))
    return Patients(n, genomic, bags.__getitem__)


def quiet(sizes: SurvivalSizes = MINI, **changes: float) -> SurvivalSizes:
    from dataclasses import replace

    return replace(sizes, dropout=0.0, **changes)


def test_padding_does_not_change_an_answer() -> None:
    torch.manual_seed(0)
    network, data = Mcat(quiet(), 5, (3, 4)).eval(), patients()
    together = network(data.batch(range(data.n), CPU)).double()
    torch.testing.assert_close(together, predict_logits(network, data, CPU), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("mean", [True, False])
def test_deep_sets_ignore_padding(mean: bool) -> None:
    torch.manual_seed(0)
    network, data = DeepSets(quiet(), 5, mean=mean).eval(), patients()
    together = network(data.batch(range(data.n), CPU)).double()
    torch.testing.assert_close(together, predict_logits(network, data, CPU), atol=1e-5, rtol=1e-5)


def test_a_sum_over_many_tiles_saturates_and_a_mean_does_not() -> None:
    """Why the published Deep Sets has C = 0.500 on every cohort."""
    torch.manual_seed(1)
    rng = np.random.default_rng(1)
    bags = [rng.normal(0.5, 1, size=(20_000, 8)).astype(np.float32) for _ in range(4)]
    data = Patients(4, (), bags.__getitem__)
    risks = {}
    for mean in (True, False):
        network = DeepSets(quiet(), 8, mean=mean)
        risks[mean] = risk_of(predict_logits(network, data, CPU).float())
    assert len(torch.unique(risks[True])) == 4
    assert len(torch.unique(risks[False])) == 1


def test_chunks_give_the_gradient_of_the_whole_batch() -> None:
    """32 patients one by one, as released, or in padded batches: the same step."""
    data, rng = patients(), np.random.default_rng(1)
    targets = Targets(rng.integers(0, 4, data.n), rng.random(data.n) < 0.6)
    steps = {}
    for tiles_at_once in (1, 8, 10_000):
        torch.manual_seed(0)
        network = Mcat(quiet(), 5, (3, 4))
        optimiser = torch.optim.SGD(network.parameters(), lr=1.0)
        sizes = quiet(tiles_at_once=tiles_at_once)
        step(network, optimiser, data, targets, np.arange(data.n), sizes, TrainingPlan(early=True), CPU)
        steps[tiles_at_once] = torch.cat([parameter.detach().ravel() for parameter in network.parameters()])
    torch.testing.assert_close(steps[1], steps[10_000], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(steps[8], steps[10_000], atol=1e-6, rtol=1e-5)


def test_chunks_hold_every_row_once_and_keep_the_bound() -> None:
    data = patients(20)
    chunks = list(data.chunks(np.arange(20), tiles_at_once=12))
    assert [row for chunk in chunks for row in chunk] == list(range(20))
    assert all(max(len(data.bag(row)) for row in chunk) * len(chunk) <= 12 for chunk in chunks if data.bag)


def test_hold_out_is_a_fifth_of_events_and_of_censored() -> None:
    event = np.arange(50) < 20
    fitted, held = hold_out(Targets(np.zeros(50, np.int64), event), np.random.default_rng(0))
    assert (event[held].sum(), (~event[held]).sum()) == (4, 6)
    assert sorted([*fitted, *held]) == list(range(50))


def test_the_bag_cache_is_bounded_and_reads_again_what_it_dropped() -> None:
    reads: list[int] = []

    def read(row: int) -> np.ndarray:
        reads.append(row)
        return np.zeros((10, 10), np.float32)

    cache = BagCache(read, limit=1000)
    for row in (0, 1, 1, 2, 3, 0):
        cache(row)
    assert reads == [0, 1, 2, 3, 0]


def test_losses_follow_the_rows_asked_for() -> None:
    torch.manual_seed(0)
    network, data = Mcat(quiet(), 5, (3, 4)).eval(), patients()
    targets = Targets(np.arange(data.n) % 4, np.arange(data.n) % 2 == 0)
    every = losses(network, data, targets, range(data.n), CPU)
    torch.testing.assert_close(losses(network, data, targets, [4, 2], CPU), every[[4, 2]], atol=1e-5, rtol=1e-5)


def test_extra_tokens_reach_the_answer() -> None:
    """The hook of PAST-multi, and of MICA, whose network has no others."""
    torch.manual_seed(0)
    network, data = Mcat(quiet(), 5, (3, 4), extra=6).eval(), patients()
    batch = data.batch([0, 1], CPU)
    answers = [
        network(Batch(batch.tiles, batch.padding, batch.genomic, extra))
        for extra in (torch.zeros(2, 1, 6), torch.ones(2, 3, 6))
    ]
    assert not torch.allclose(*answers)
