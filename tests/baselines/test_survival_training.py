"""Training of survival networks: what early stopping keeps, who is drawn, what one step sums, what is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from baselines.networks.survival_blocks import MINI, Batch, SurvivalSizes
from baselines.networks.survival_networks import Mcat, Snn
from baselines.training import survival_training
from baselines.training.survival_training import BagCache, Patients, Targets, TrainingPlan, step, train, weighted_draw

CPU = torch.device("cpu")
EARLY = TrainingPlan(early=True)


class Table(nn.Module):
    """The smallest network: hazards linear in the genomic table."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 4)

    def forward(self, batch: Batch) -> Tensor:
        logits: Tensor = self.linear(batch.genomic[0])
        return logits


def table(n: int, width: int = 6, seed: int = 0) -> tuple[Patients, Targets]:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, width)).astype(np.float32)
    return Patients(n, (features,), None), Targets(rng.integers(0, 4, n), rng.random(n) < 0.5)


def fitted(patients: Patients, targets: Targets, sizes: SurvivalSizes, plan: TrainingPlan = EARLY) -> tuple[Table, int]:
    torch.manual_seed(0)
    network = Table(patients.genomic[0].shape[1])
    return network, train(network, patients, targets, sizes, plan, np.random.default_rng(0), CPU)


@pytest.fixture
def held_losses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Every loss that early stopping saw."""
    seen: list[float] = []
    real = survival_training.mean_loss

    def watched(*arguments: object) -> float:
        seen.append(real(*arguments))  # type: ignore[arg-type]
        return seen[-1]

    monkeypatch.setattr(survival_training, "mean_loss", watched)
    return seen


@pytest.fixture
def stepped_rows(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The rows of every optimiser step."""
    seen: list[list[int]] = []
    real = survival_training.step

    def watched(*arguments: object) -> None:
        seen.append(list(arguments[4]))  # type: ignore[call-overload]
        real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(survival_training, "step", watched)
    return seen


def test_the_best_state_on_held_out_patients_is_kept(held_losses: list[float]) -> None:
    """Labels are noise and the rate is high: held-out loss rises again, and the last state is not the best."""
    patients, targets = table(80, width=30)
    sizes = replace(MINI, learning_rate=0.1, epochs=30, patience=6)
    network, epochs = fitted(patients, targets, sizes)
    seen = list(held_losses)
    rng = np.random.default_rng(0)
    _, held = survival_training.hold_out(targets, rng)
    kept = survival_training.mean_loss(network, patients, targets, held, sizes, CPU)
    assert kept == pytest.approx(min(seen), abs=1e-9)
    assert min(seen) < seen[-1]
    assert epochs == len(seen) == int(np.argmin(seen)) + 1 + sizes.patience


def test_training_never_steps_on_held_out_patients(stepped_rows: list[list[int]]) -> None:
    patients, targets = table(70)
    fitted(patients, targets, replace(MINI, epochs=2))
    fit_rows, held = survival_training.hold_out(targets, np.random.default_rng(0))
    assert {row for rows in stepped_rows for row in rows} == set(fit_rows.tolist())
    assert len(held) == 14
    assert [len(rows) for rows in stepped_rows] == [32, 24] * 2


def test_as_released_uses_everyone_for_all_epochs(stepped_rows: list[list[int]], held_losses: list[float]) -> None:
    patients, targets = table(70)
    _, epochs = fitted(patients, targets, replace(MINI, epochs=20, patience=1), TrainingPlan(early=False))
    assert epochs == 20
    assert held_losses == []
    assert [len(rows) for rows in stepped_rows] == [32, 32, 6] * 20
    assert {row for rows in stepped_rows for row in rows} == set(range(70))


def test_a_cohort_too_small_to_hold_out_is_used_whole(stepped_rows: list[list[int]]) -> None:
    patients, targets = table(8)
    _, epochs = fitted(patients, targets, replace(MINI, epochs=3))
    assert epochs == 3
    assert {row for rows in stepped_rows for row in rows} == set(range(8))


def test_released_draws_make_rare_classes_as_likely_as_common_ones() -> None:
    bins, event = np.repeat([0, 1, 3], [90, 9, 1]), np.repeat([False, True, True], [90, 9, 1])
    rows = np.arange(100)
    rng = np.random.default_rng(0)
    drawn = np.concatenate([weighted_draw(Targets(bins, event), rows, rng) for _ in range(60)])
    share = np.array([(drawn < 90).mean(), ((drawn >= 90) & (drawn < 99)).mean(), (drawn == 99).mean()])
    np.testing.assert_allclose(share, 1 / 3, atol=0.03)
    only = weighted_draw(Targets(bins, event), rows[85:95], rng)
    assert set(only.tolist()) <= set(range(85, 95))


def test_l1_adds_its_sign_to_the_gradient() -> None:
    patients, targets = table(10)
    moved = {}
    for l1 in (0.0, 0.01):
        torch.manual_seed(0)
        network = Table(6)
        start = torch.cat([parameter.detach().ravel().clone() for parameter in network.parameters()])
        optimiser = torch.optim.SGD(network.parameters(), lr=1.0)
        step(network, optimiser, patients, targets, np.arange(10), MINI, replace(EARLY, l1=l1), CPU)
        moved[l1] = torch.cat([parameter.detach().ravel() for parameter in network.parameters()])
    torch.testing.assert_close(moved[0.0] - moved[0.01], 0.01 * torch.sign(start), atol=1e-6, rtol=0)


def test_no_gradient_is_left_over_between_steps() -> None:
    patients, targets = table(12)
    torch.manual_seed(0)
    network = Table(6)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.0)
    gradients = []
    for _ in range(2):
        step(network, optimiser, patients, targets, np.arange(12), MINI, EARLY, CPU)
        gradients.append([parameter.grad.clone() for parameter in network.parameters() if parameter.grad is not None])
    for first, second in zip(*gradients, strict=True):
        torch.testing.assert_close(first, second)


@pytest.mark.parametrize("make", [lambda: Snn(MINI, (6,)), lambda: Mcat(MINI, 5, (6,))], ids=["snn", "mcat"])
def test_the_same_seed_trains_to_the_same_bytes(make: Callable[[], nn.Module]) -> None:
    patients, targets = table(40)
    bags = [np.random.default_rng(k).normal(size=(3 + k % 3, 5)).astype(np.float32) for k in range(40)]
    patients = replace(patients, bag=bags.__getitem__)
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        network = make()
        train(network, patients, targets, replace(MINI, epochs=3), EARLY, np.random.default_rng(1), CPU)
        states.append(b"".join(value.numpy().tobytes() for value in network.state_dict().values()))
    assert states[0] == states[1]


def test_an_epoch_reads_each_bag_once_where_all_fit() -> None:
    reads = np.zeros(20, dtype=int)

    def read(row: int) -> np.ndarray:
        reads[row] += 1
        return np.ones((2 + row % 3, 5), np.float32)

    rng = np.random.default_rng(0)
    patients = Patients(20, (rng.normal(size=(20, 3)).astype(np.float32),), BagCache(read))
    targets = Targets(rng.integers(0, 4, 20), rng.random(20) < 0.5)
    torch.manual_seed(0)
    sizes = replace(MINI, epochs=3, tiles_at_once=8)
    train(Mcat(MINI, 5, (3,)), patients, targets, sizes, EARLY, np.random.default_rng(0), CPU)
    assert reads.tolist() == [1] * 20
