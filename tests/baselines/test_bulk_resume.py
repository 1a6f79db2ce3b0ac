"""Checkpoints of trainings on slides: exact resume after a kill, whose file is taken, what is said of the length."""

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

from baselines.bulk.parts.schedule_record import record_of
from baselines.registry import load_model_class
from baselines.training.bulk_stopping import PaperRule
from baselines.training.bulk_training import Schedule, Trained
from protocols.contract import ScheduleRecord, Settings
from protocols.errors import UserError
from tests.baselines.bulk_toy import toy

TRAIN, TEST, NORMAL = toy(60), toy(8, seed=1), toy(30, genes=15, seed=2, prefix="n")
BRIEF = Schedule(9, 20, 3e-3, save_every=2)
ROOT = Path(__file__).resolve().parents[2]


class Killed(Exception):
    """In place of a kill."""


def brief(name: str, plan: Schedule = BRIEF) -> Any:
    """The model with a short schedule."""
    base = load_model_class(name, {}, Path())
    return type("Brief", (base,), {"plan": lambda _self, _profile, _phase: plan, "card": base.card})()


def bytes_of(model: Any) -> list[bytes]:
    return [part.numpy().tobytes() for part in model._network.state_dict().values()]


def dies_after(epochs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The training breaks when it looks for the last time."""
    from baselines.training import bulk_training

    look, taken = bulk_training.look, []

    def dies(*given: Any) -> tuple[float, float]:
        taken.append(1)
        if len(taken) > epochs:
            raise Killed
        return look(*given)

    monkeypatch.setattr(bulk_training, "look", dies)


@pytest.mark.parametrize("name", ["sequoia_vis", "sequoia_as_released", "he2rna"])
def test_a_broken_training_goes_on_to_the_same_bytes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, again = brief(name), brief(name)
    whole.fit(TRAIN)
    place = replace(TRAIN, workspace=tmp_path)
    with monkeypatch.context() as patch:
        dies_after(5, patch)
        with pytest.raises(Killed):
            brief(name).fit(place)
    again.fit(place)
    assert again.trained.resumed_from == 4
    assert bytes_of(again) == bytes_of(whole)
    assert (again.trained.epochs, again.trained.kept_epoch) == (whole.trained.epochs, whole.trained.kept_epoch)
    assert again.schedule() == whole.schedule()
    np.testing.assert_array_equal(again.predict(TEST), whole.predict(TEST))


def test_pretraining_goes_on_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = replace(NORMAL, validation=np.zeros(len(NORMAL), dtype=bool))
    whole, again = brief("sequoia_vit_pretrained"), brief("sequoia_vit_pretrained")
    trunk = whole.pretrain(alone)
    with monkeypatch.context() as patch:
        seen: list[int] = []

        def dies(self: object, epoch: int, *_: float) -> tuple[bool, bool]:
            seen.append(epoch)
            if epoch == 5:
                raise Killed
            return True, False

        patch.setattr("baselines.training.bulk_stopping.LossRule.update", dies)
        with pytest.raises(Killed):
            brief("sequoia_vit_pretrained").pretrain(replace(alone, workspace=tmp_path))
    resumed = again.pretrain(replace(alone, workspace=tmp_path))
    assert again.trained.resumed_from == 4
    assert {name: part.tobytes() for name, part in resumed.items()} == {
        name: part.tobytes() for name, part in trunk.items()
    }
    assert [one.part for one in again.schedule()] == ["network, on normal tissue"]


CHILD = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from baselines.training import bulk_stopping
from tests.baselines.test_bulk_resume import TRAIN, brief

update = bulk_stopping.CorrelationRule.update
def dies(self, epoch, loss, score):
    if epoch == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return update(self, epoch, loss, score)
bulk_stopping.CorrelationRule.update = dies
brief("he2rna").fit(replace(TRAIN, workspace=Path(sys.argv[1])))
"""


def test_a_process_killed_outright_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", CHILD, str(tmp_path)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    whole, again = brief("he2rna"), brief("he2rna")
    whole.fit(TRAIN)
    again.fit(replace(TRAIN, workspace=tmp_path))
    assert again.trained.resumed_from == 4
    assert bytes_of(again) == bytes_of(whole)


def test_another_trainings_checkpoint_is_not_taken(tmp_path: Path) -> None:
    place = replace(TRAIN, workspace=tmp_path)
    for other in (
        replace(place, settings=Settings(seed=1, threads=1)),
        replace(place, targets=place.targets + np.float32(1e-3)),
        replace(place, genes=tuple(f"other {gene}" for gene in place.genes)),
        replace(place, validation=np.roll(place.validation, 1)),
    ):
        brief("he2rna").fit(place)
        model = brief("he2rna")
        model.fit(other)
        assert model.trained.resumed_from == 0
    longer = brief("he2rna", replace(BRIEF, epochs=10))
    brief("he2rna").fit(place)
    longer.fit(place)
    assert longer.trained.resumed_from == 0
    same = brief("he2rna", replace(BRIEF, epochs=10))
    same.fit(place)
    assert same.trained.resumed_from == 10


@pytest.mark.parametrize("content", [b"", b"not a checkpoint"])
def test_a_damaged_checkpoint_is_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "fit.pt").write_bytes(content)
    with pytest.raises(UserError, match=r"fit\.pt: cannot be read .* delete the file"):
        brief("he2rna").fit(replace(TRAIN, workspace=tmp_path))


def test_a_checkpoint_holds_tensors_and_numbers_alone(tmp_path: Path) -> None:
    brief("sequoia_vis").fit(replace(TRAIN, workspace=tmp_path))
    state = torch.load(tmp_path / "fit.pt", weights_only=True)
    assert state["progress"]["epoch"] == 8
    assert set(state["rule"]) == set(vars(PaperRule(20)))
    assert [path.name for path in tmp_path.iterdir()] == ["fit.pt"]


PUBLISHED = Schedule(200, 20, 1e-3)
SHORT, HASTY = "; here 11 epochs, patience 20, rate 0.001", "; here 200 epochs, patience 2, rate 0.001"


@pytest.mark.parametrize(
    ("plan", "trained", "cut", "rule"),
    [
        (replace(PUBLISHED, epochs=11), Trained(11, 10), True, SHORT),
        (replace(PUBLISHED, epochs=11), Trained(11, 10, stopped=True), False, SHORT),
        (replace(PUBLISHED, patience=2), Trained(40, 37, stopped=True), False, HASTY),
        (PUBLISHED, Trained(200, 199), False, ""),
        (PUBLISHED, Trained(3, 2), True, ""),  # a run's own cap on updates
    ],
)  # fmt: skip
def test_a_cap_that_comes_before_the_rule_is_said_to_cut(
    plan: Schedule, trained: Trained, cut: bool, rule: str
) -> None:
    expected = f"200 epochs, patience 20, rate 0.001{rule}"
    record = record_of(trained, plan, PUBLISHED, PaperRule(plan.patience), "fit")
    assert record == ScheduleRecord("network", "epochs", trained.epochs, plan.epochs, expected, cut)


def test_a_model_says_how_long_it_was_trained_and_a_runs_cap_ends_it_within_an_epoch() -> None:
    model: Any = load_model_class("he2rna", {}, Path())()
    assert model.schedule() == ()
    model.fit(replace(TRAIN, settings=Settings(threads=1, most_steps=5)))  # 4 updates an epoch
    (record,) = model.schedule()
    assert (record.run, record.cap, record.cut) == (2, 15, True)
    assert record.rule == "200 epochs, patience 50, rate 0.0003; here 15 epochs, patience 8, rate 0.003"
