"""Parts of the fine-tuning loop, by hand; and that a short training learns the toy's visible genes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from baselines.expression.st_net import STNet
from baselines.expression.st_net_own_target import log_fraction
from baselines.training.finetuning import (
    Regressor,
    augmented,
    channel_statistics,
    dihedral_views,
    gene_means,
    squared_error,
)
from protocols.contract import Settings
from protocols.expression.toy import inputs_of, toy_training


def test_loss_is_summed_over_the_batch_and_divided_by_genes() -> None:
    predicted = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    target = torch.tensor([[0.0, float("nan")], [1.0, 1.0]])
    assert float(squared_error(predicted, target)) == pytest.approx((1 + 4 + 9) / 2)


def test_head_starts_at_the_training_mean_and_follows_gene_names() -> None:
    network = Regressor(torch.nn.Identity(), 2, ("A", "B"))
    network.ask_for(("A", "B"), np.array([1.0, 2.0], dtype=np.float32))
    assert network(torch.randn(3, 2)).tolist() == [[1.0, 2.0]] * 3
    with torch.no_grad():
        network.head.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    network.ask_for(("B", "C"), np.zeros(2, dtype=np.float32))
    assert network(torch.tensor([[5.0, 7.0]])).tolist() == [[7.0, 0.0]]


def test_dihedral_views_are_the_eight_different_symmetries() -> None:
    image = torch.arange(9.0).view(1, 1, 3, 3)
    views = dihedral_views(image)
    assert len({tuple(view.flatten().tolist()) for view in views}) == 8
    assert torch.equal(views[0], image)


def test_augmentation_gives_only_symmetries_and_uses_its_generator() -> None:
    image = torch.arange(9.0).view(1, 1, 3, 3).repeat(64, 1, 1, 1)
    allowed = {tuple(view.flatten().tolist()) for view in dihedral_views(image[:1])}
    out = augmented(image, torch.Generator().manual_seed(0))
    kinds = {tuple(one.flatten().tolist()) for one in out}
    assert kinds == allowed
    assert torch.equal(out, augmented(image, torch.Generator().manual_seed(0)))


def test_gene_means_and_channel_statistics_by_hand() -> None:
    targets = np.array([[1, np.nan, np.nan], [3, 4, np.nan]], dtype=np.float32)
    assert gene_means(targets).tolist() == [2.0, 4.0, 0.0]
    crops = np.zeros((2, 1, 1, 3), dtype=np.uint8)
    crops[0] = (255, 51, 0)
    mean, spread = channel_statistics(crops)
    assert mean == pytest.approx((0.5, 0.1, 0.0))
    assert spread == pytest.approx((0.5, 0.1, 1e-3))


def test_log_fraction_by_hand() -> None:
    counts = np.array([[3, 0, 9], [1, 1, 0]], dtype=np.int32)
    measured = np.array([[True, True, True], [True, True, False]])
    got = log_fraction(counts, measured)
    assert got[0].tolist() == pytest.approx(np.log([4 / 15, 1 / 15, 10 / 15]).tolist())
    assert got[1, :2].tolist() == pytest.approx(np.log([2 / 4, 2 / 4]).tolist())


def test_short_training_learns_the_visible_genes() -> None:
    data = toy_training(n=200, genes=8, settings=Settings(threads=1))
    model = STNet()
    model.fit(data)
    answer = model.predict(inputs_of(data))
    r = [np.corrcoef(answer[:, gene], data.targets[:, gene])[0, 1] for gene in range(4)]
    assert np.mean(r) > 0.4
    assert np.abs(answer.mean(0) - np.nanmean(data.targets, 0)).max() < 2.5
    assert model.weights()[0].source == "random"
