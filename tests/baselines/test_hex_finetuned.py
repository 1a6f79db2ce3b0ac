"""HEX as published: what moves when, what smoothing sees when, and a killed training that ends in the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from baselines.encoders.entries import encoder_spec
from baselines.encoders.modules import construct
from baselines.expression.hex_finetuned import HexFinetuned, recipe_of
from baselines.networks.hex_head import HexNetwork
from baselines.training import hex_training
from baselines.training.feature_smoothing import FeatureDistributionSmoothing
from baselines.training.hex_training import HexTuning, Training, TunedHex, unit_of
from protocols.contract import Settings
from protocols.expression.toy import inputs_of, toy_training
from tests.baselines import hex_process
from tests.parity.vectors import read

ROOT = Path(__file__).parents[2]
SETTINGS = Settings(threads=1)


def brief(monkeypatch: pytest.MonkeyPatch, **numbers: Any) -> None:
    """The mini numbers, with so many changed."""
    recipe = replace(recipe_of(SETTINGS), **numbers)
    monkeypatch.setattr("baselines.expression.hex_finetuned.recipe_of", lambda settings: recipe)


def test_published_numbers() -> None:
    """As the release has them."""
    full = recipe_of(Settings(profile="full"))
    assert (full.hidden, full.dropout, full.epochs, full.max_steps) == ((256, 128), 0.5, 120, None)
    assert (full.batch, full.at_once, full.learning_rate, full.loss_learning_rate) == (48 * 8, 48, 1e-5, 1e-5)
    assert (full.decay, full.bins, full.kernel, full.sigma) == (0.95, 50, 9, 2.0)
    assert (full.smoothing_from, full.smoothing_until, full.frozen_from, full.tuned_layers) == (10, 50, 100, 4)
    assert encoder_spec("musk").full.pixels == 384


def test_the_tuned_part_is_four_layers_a_norm_and_the_head() -> None:
    """By MUSK's sizes: 1024 wide, FFN 4096; two norms a layer, and one within attention and FFN each (sub-LN)."""
    with torch.device("meta"):
        network = TunedHex(construct(encoder_spec("musk"), "full"), HexNetwork(1024, (256, 128), 40, 0.5), 4)
    attention = 4 * (1024**2 + 1024) + 2 * 1024
    ffn = (1024 * 4096 + 4096) + 2 * 4096 + (4096 * 1024 + 1024)
    layer = attention + ffn + 2 * (2 * 1024)
    head = read("hex_head").content["weights"]["parameters"]
    assert sum(one.numel() for one in network.tuned().values()) == 4 * layer + 2 * 1024 + head == 50_728_360
    names = {".".join(name.split(".")[:3]) for name in network.tuned() if name.startswith("encoder.blocks")}
    assert names == {f"encoder.blocks.{number}" for number in (20, 21, 22, 23)}


def test_what_moves_in_which_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two updates an epoch, the backbone frozen from the third one on; the first layer and the patches never move."""
    brief(monkeypatch, epochs=4, batch=24, frozen_from=2, smoothing_from=1, smoothing_until=2)
    moved: dict[int, set[str]] = {}
    modes: dict[int, set[str]] = {}
    real = hex_training.update

    def watched(training: Training, *rest: Any) -> None:
        before = {name: one.detach().clone() for name, one in training.network.named_parameters()}
        real(training, *rest)
        after = training.network.named_parameters()
        moved.setdefault(training.epoch, set()).update(n for n, one in after if not torch.equal(before[n], one))
        modes[training.epoch] = {name for name, one in training.network.named_modules() if one.training}

    monkeypatch.setattr(hex_training, "update", watched)
    HexFinetuned().fit(toy_training(n=48, genes=4, settings=SETTINGS))
    assert sorted(moved) == [0, 1, 2, 3]
    for epoch, names in moved.items():
        parts = {".".join(name.split(".")[:3]) for name in names}
        head = {"head.body.0", "head.body.3", "head.output.weight", "head.output.bias"}
        tuned = {"encoder.blocks.1", "encoder.norm.weight", "encoder.norm.bias"}
        assert parts == (head | tuned if epoch < 2 else head)
        assert ("encoder.blocks.1" in modes[epoch]) == (epoch < 2)
        assert "encoder.blocks.0" not in modes[epoch]
        assert "head" in modes[epoch]


def test_the_schedule_of_smoothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Statistics at the end of epochs 0 to 3, recalibration in epochs 2 and 3, nothing after: two updates an epoch."""
    brief(monkeypatch, epochs=6, batch=24, smoothing_from=2, smoothing_until=4)
    calls: Counter[tuple[str, int]] = Counter()
    epochs: list[int] = []
    real = hex_training.update

    def epoch_told(training: Training, *rest: Any) -> None:
        epochs.append(training.epoch)
        real(training, *rest)

    monkeypatch.setattr(hex_training, "update", epoch_told)
    for name in ("smooth", "update"):
        call = getattr(FeatureDistributionSmoothing, name)

        def counted(self: Any, *given: Any, name: str = name, call: Any = call) -> Any:
            calls[name, epochs[-1]] += 1
            return call(self, *given)

        monkeypatch.setattr(FeatureDistributionSmoothing, name, counted)
    HexFinetuned().fit(toy_training(n=48, genes=4, settings=SETTINGS))
    assert Counter(epochs) == dict.fromkeys(range(6), 2)
    smoothed = {("smooth", epoch): 2 for epoch in (2, 3)}
    assert calls == smoothed | {("update", epoch): 1 for epoch in range(4)}


def test_rates_fall_after_each_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    brief(monkeypatch, epochs=3, batch=24, decay=0.95, learning_rate=1e-3, loss_learning_rate=1e-2)
    rates: list[list[float]] = []
    real = hex_training.update

    def watched(training: Training, at: Any, optimiser: Any, device: Any) -> None:
        rates.append([group["lr"] for group in optimiser.param_groups])
        real(training, at, optimiser, device)

    monkeypatch.setattr(hex_training, "update", watched)
    HexFinetuned().fit(toy_training(n=48, genes=4, settings=SETTINGS))
    expected = [[base * 0.95**epoch for base in (1e-3, 1e-2)] for epoch in (0, 0, 1, 1, 2, 2)]
    assert rates == [pytest.approx(one) for one in expected]


def test_a_batch_in_parts_is_the_same_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """No layer mixes tiles: without dropout and colour the parts' gradients sum to the whole's, holes included."""
    monkeypatch.setattr(hex_training, "turned", lambda crops, order: crops)
    monkeypatch.setattr(hex_training, "jittered", lambda x, order: x)
    data = toy_training(n=48, genes=4, settings=SETTINGS)  # the last gene is unmeasured on half of the rows
    answers = []
    for at_once in (48, 7):
        brief(monkeypatch, dropout=0.0, max_steps=1, at_once=at_once, learning_rate=1e-4)
        grads: list[torch.Tensor] = []
        step = torch.optim.Adam.step

        def watched(self: Any, *given: Any, seen: list[torch.Tensor] = grads, step: Any = step) -> Any:
            seen.extend(one.grad.clone() for group in self.param_groups for one in group["params"])
            return step(self, *given)

        with monkeypatch.context() as patch:
            patch.setattr(torch.optim.Adam, "step", watched)
            HexFinetuned().fit(data)
        answers.append(torch.cat([one.flatten() for one in grads]))
    assert float(answers[0].abs().max()) > 1e-3
    torch.testing.assert_close(answers[0], answers[1], atol=2e-6, rtol=1e-4)


def test_bins_of_targets() -> None:
    """In [0, 1] as they are (HEX's scale), else within the training range; a hole takes no part."""
    inside = np.array([[0.1, 0.9], [np.nan, 0.2]], dtype=np.float32)
    assert unit_of(inside) == pytest.approx(np.array([[0.1, 0.9], [0.0, 0.2]]))
    outside = np.array([[2.0, -1.0], [4.0, np.nan], [3.0, 1.0]], dtype=np.float32)
    assert unit_of(outside).tolist() == [[0.0, 0.0], [1.0, 0.0], [0.5, 1.0]]


def test_tiles_that_are_not_held_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    data = toy_training(n=30, genes=4, settings=SETTINGS)
    answers = []
    for held in (0, 100):
        brief(monkeypatch, max_steps=3, rows_in_memory=held)
        model = HexFinetuned()
        model.fit(data)
        answers.append(model.predict(inputs_of(data)))
    assert np.array_equal(*answers)


@pytest.mark.parametrize(("profile", "most", "run", "cut"), [("mini", 2, 2, True), ("mini", 0, 60, True)])
def test_how_long_it_was_trained(profile: str, most: int, run: int, cut: bool) -> None:
    model = HexFinetuned()
    model.fit(toy_training(n=120, genes=4, settings=Settings(profile=profile, threads=1, most_steps=most)))
    (told,) = model.schedule()
    assert (told.run, told.cut) == (run, cut)
    assert [record.source for record in model.weights()] == ["random"]


def test_a_killed_fit_ends_in_the_same_bytes(tmp_path: Path) -> None:
    """Killed in the middle of an epoch in which features are smoothed, between two checkpoints."""
    command = [sys.executable, "-m", "tests.baselines.hex_process", str(tmp_path)]
    ended = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    (left,) = tmp_path.glob("*.pt")
    assert int(torch.load(left, weights_only=True)["taken"]) == hex_process.SAVED_AT
    whole, taken = hex_process.fitted(None)
    resumed, after = hex_process.fitted(tmp_path)
    assert resumed.tobytes() == whole.tobytes()
    assert (taken, after) == (hex_process.STEPS, hex_process.STEPS - hex_process.SAVED_AT)


def test_full_defaults_are_the_release() -> None:
    assert recipe_of(Settings(profile="full")) == HexTuning()
