"""kill -9 in the middle of a long fit: the next process goes on from the checkpoint, and the end is the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from baselines.expression.past import PAST
from baselines.expression.st_net import STNet
from baselines.training.checkpoints import found, stage_file
from protocols.contract import Settings
from protocols.errors import UserError
from protocols.expression.toy import toy_training
from tests.baselines import fit_process

ROOT = Path(__file__).resolve().parents[2]
KILLED_AT = {"st_net": 13, "past": 5}
"""Steps after which a process is killed: in the first fold, with its group's training behind it; in the third epoch."""


def killed(name: str, workspace: Path, steps: int) -> None:
    command = [sys.executable, "-m", "tests.baselines.fit_process", name, str(workspace), str(steps)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    from baselines.training.finetuning import FineTuning
    from past_model.settings import PROFILES

    monkeypatch.setattr(FineTuning, "__init__", FineTuning.__init__)
    monkeypatch.setitem(PROFILES, "mini", PROFILES["mini"])
    fit_process.shortened()


@pytest.mark.slow
@pytest.mark.parametrize("name", KILLED_AT)
@pytest.mark.usefixtures("brief")
def test_a_fit_that_was_killed_ends_in_the_same_bytes(name: str, tmp_path: Path) -> None:
    whole = fit_process.fitted(name, None)
    killed(name, tmp_path, KILLED_AT[name])
    left = set(tmp_path.glob("*.pt"))
    assert len(left) == (2 if name == "st_net" else 1)
    assert fit_process.fitted(name, tmp_path).tobytes() == whole.tobytes()
    assert left < set(tmp_path.glob("*.pt")) or name == "past"
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.usefixtures("brief")
def test_a_training_goes_on_from_where_it_was_and_a_finished_one_is_not_repeated(tmp_path: Path) -> None:
    data = replace(toy_training(n=64, genes=4, settings=Settings(threads=1)), workspace=tmp_path)
    first, again = STNet(), STNet()
    first.pretrain(data)
    assert first._network is not None
    assert first._network.resumed_from == 0
    again.pretrain(data)
    assert again._network is not None
    assert again._network.resumed_from == 8


def test_a_stage_is_known_by_all_that_it_starts_from(tmp_path: Path) -> None:
    rows = np.arange(4)
    same = stage_file(tmp_path, "fold", rows, "x", Settings())
    assert same == stage_file(tmp_path, "fold", rows.copy(), "x", Settings())
    others = {
        stage_file(tmp_path, "fold", rows + 1, "x", Settings()),
        stage_file(tmp_path, "fold", rows.astype(np.float32), "x", Settings()),
        stage_file(tmp_path, "fold", rows.reshape(2, 2), "x", Settings()),
        stage_file(tmp_path, "fold", rows, "x", Settings(seed=1)),
        stage_file(tmp_path, "start", rows, "x", Settings()),
    }
    assert len(others | {same}) == 6
    assert stage_file(None, "fold", rows) is None


@pytest.mark.parametrize("content", [b"", b"not a checkpoint"])
def test_a_damaged_checkpoint_is_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "fold.pt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"fold\.pt: cannot be read .* delete the file"):
        found(path)
    data = replace(toy_training(n=24, genes=4, settings=Settings(threads=1, most_steps=1)), workspace=tmp_path)
    for model in (STNet(), PAST()):
        model.pretrain(data)
        for left in tmp_path.glob("*.pt"):
            left.write_bytes(content)
        with pytest.raises(UserError, match="delete the file"):
            type(model)().pretrain(data)
