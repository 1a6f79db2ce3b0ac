"""kill -9 in the middle of a long fit, then the same bytes; and what a trained model says of its schedule."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from baselines.staining.ihc_unet import IhcUNet
from baselines.staining.improved_diffusion import ImprovedDiffusion
from baselines.staining.parts.answer import scheduled
from baselines.staining.parts.pairs import Plan
from baselines.staining.reggan import RegGAN
from baselines.survival.snn import SNN
from baselines.survival.snn_as_released import SNNAsReleased
from baselines.training import image_training, survival_checkpoint
from protocols.contract import HasSchedule, ScheduleRecord, Settings
from protocols.errors import UserError
from protocols.survival.toy import toy_survival
from tests.baselines.image_toy import toy
from tests.baselines.long_fits import MODELS, bytes_of, fitted

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder a kind, left by a process that was killed in its fit; all at once."""
    folders = {name: tmp_path_factory.mktemp(name) for name in MODELS}
    module = [sys.executable, "-m", "tests.baselines.long_fits"]
    processes = {
        name: subprocess.Popen([*module, name, str(folder)], cwd=ROOT, stderr=subprocess.PIPE)
        for name, folder in folders.items()
    }
    for name, process in processes.items():
        _, said = process.communicate(timeout=120)
        assert process.returncode == -signal.SIGKILL, f"{name}: {said.decode()}"
    return folders


@pytest.mark.parametrize("name", MODELS)
def test_a_killed_fit_ends_with_the_same_bytes(
    name: str, killed: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(list(killed[name].glob("*checkpoint.pt"))) == 1
    whole = fitted(name, None)
    resumed: list[int] = []
    restore = survival_checkpoint.Checkpoint.restore

    def watched(self: Any, state: Any) -> None:
        restore(self, state)
        resumed.append(state.taken)

    monkeypatch.setattr(survival_checkpoint.Checkpoint, "restore", watched)
    again = fitted(name, killed[name])
    assert (resumed[0] if resumed else again.resumed_from) > 0
    assert bytes_of(again) == bytes_of(whole)
    assert again.schedule() == whole.schedule()


def test_a_survival_checkpoint_of_another_training_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survival_checkpoint, "SAVE_SECONDS", 0.0)
    data = replace(toy_survival(60, settings=Settings(threads=1)), workspace=tmp_path)
    SNN().fit(data)
    state = torch.load(tmp_path / survival_checkpoint.CHECKPOINT, weights_only=True)
    assert state["taken"] > 0
    other = replace(data, settings=Settings(threads=1, seed=1))
    model, fresh = SNN(), SNN()
    model.fit(other)
    fresh.fit(replace(other, workspace=None))
    assert bytes_of(model) == bytes_of(fresh)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint"])
def test_a_damaged_survival_checkpoint_is_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / survival_checkpoint.CHECKPOINT).write_bytes(content)
    with pytest.raises(UserError, match=r"checkpoint\.pt: cannot be read .* delete the file"):
        SNN().fit(replace(toy_survival(60), workspace=tmp_path))


def test_short_survival_trainings_write_nothing(tmp_path: Path) -> None:
    """A checkpoint is at most half a minute old; a fit that takes a second needs none."""
    SNN().fit(replace(toy_survival(60, settings=Settings(threads=1)), workspace=tmp_path))
    assert list(tmp_path.iterdir()) == []


class TestSchedules:
    def test_a_mini_gan_is_cut_and_a_published_one_is_not(self) -> None:
        mini, full = RegGAN().plan("mini"), RegGAN().plan("full")
        rule = "80 epochs, as released"
        assert scheduled(mini, mini, 33, RegGAN.own_epochs, RegGAN.own_rule) == ScheduleRecord(
            "networks", "steps", 150, 150, rule, cut=True
        )
        found = scheduled(full, full, 33, RegGAN.own_epochs, RegGAN.own_rule)
        assert found == ScheduleRecord("networks", "steps", 2640, 2640, rule, cut=False)
        assert scheduled(full.at_most(12, 33), full, 33, 80, rule).cut

    def test_images_count_and_not_steps(self) -> None:
        """1,320 steps of two patches are 80 epochs of 33."""
        assert not scheduled(Plan(2, 1e-3, steps=1320), Plan(2, 1e-3, steps=1320), 33, 80, "").cut
        assert scheduled(Plan(2, 1e-3, steps=1319), Plan(2, 1e-3, steps=1319), 33, 80, "").cut

    def test_diffusion_and_a_model_of_ours(self) -> None:
        data = replace(toy(3, pixels=32), settings=Settings(threads=1, most_steps=2))
        for model, cut, words in ((ImprovedDiffusion(), True, "no end"), (IhcUNet(), True, "none published")):
            model.fit(data)
            assert isinstance(model, HasSchedule)
            (told,) = model.schedule()
            assert (told.run, told.cut) == (2, cut)
            assert words in told.rule
        plan = IhcUNet().plan("mini")
        assert not scheduled(plan, plan, 33, IhcUNet.own_epochs, IhcUNet.own_rule).cut

    @pytest.mark.parametrize(
        ("profile", "most_steps", "run", "cap", "cut"),
        [("full", 0, 20, 20, False), ("mini", 0, 40, 40, False), ("full", 4, 2, 2, True), ("full", 1, 1, 1, True)],
    )
    def test_survival_as_released(self, profile: str, most_steps: int, run: int, cap: int, cut: bool) -> None:
        data = toy_survival(60, settings=Settings(profile=profile, threads=1, most_steps=most_steps))
        assert 32 < len(data) <= 64  # two updates an epoch
        model = SNNAsReleased()
        model.fit(data)
        assert model.schedule() == (
            ScheduleRecord("survival network", "epochs", run, cap, "20 epochs, as released", cut),
        )

    def test_early_stopping_is_no_cut(self) -> None:
        model = SNN()
        model.fit(toy_survival(60, settings=Settings(profile="full", threads=1)))
        (told,) = model.schedule()
        assert told.run <= told.cap == 20
        assert not told.cut
        assert "held-out" in told.rule


@pytest.mark.parametrize("name", ["reggan", "diffusion"])
def test_answers_in_half_precision_are_the_same_images(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a GPU does, with the CPU's bfloat16 in its place: the images move by little, and they do move."""
    cls, data = MODELS[name]
    model, test = cls(), toy(3, seed=1, pixels=32)
    model.fit(replace(data, settings=Settings(threads=1)))
    exact = model.predict(test, np.arange(3)).astype(int)
    monkeypatch.setattr(image_training, "fast_answers", lambda _: torch.autocast("cpu", dtype=torch.bfloat16))
    quick = model.predict(test, np.arange(3)).astype(int)
    gap = np.abs(quick - exact)
    assert 0 < gap.mean() < 1


def test_a_cpu_answers_in_full_precision() -> None:
    with image_training.fast_answers(torch.device("cpu")):
        assert not torch.is_autocast_enabled("cpu")
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
