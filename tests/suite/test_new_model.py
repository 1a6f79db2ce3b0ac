"""``slide2omics new-model``: the file it writes is short, conforms as it stands, and replaces nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from protocols.errors import UserError
from suite.new_model import TEMPLATES, write_new_model

ROOT = Path(__file__).resolve().parents[2]


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "suite.cli", *arguments], capture_output=True, text=True, cwd=ROOT)


def test_survival_model_file_conforms(tmp_path: Path) -> None:
    made = command("new-model", "my_survival", "--folder", str(tmp_path), "--task", "survival")
    assert made.returncode == 0, made.stderr
    path = tmp_path / "my_survival.py"
    checked = command("check", f"{path}:MySurvival")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "my_survival: conforms" in checked.stdout
    assert len(path.read_text().splitlines()) <= 40


@pytest.mark.parametrize("task", sorted(TEMPLATES))
def test_a_file_of_each_task_carries_its_name(task: str, tmp_path: Path) -> None:
    text = write_new_model("two_words", tmp_path, task).read_text()
    assert "class TwoWords:" in text
    assert 'name="two_words"' in text
    assert ('task="survival"' in text) == (task == "survival")


@pytest.mark.parametrize("task", sorted(TEMPLATES))
def test_never_overwrites(task: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("kept")
    with pytest.raises(UserError, match="file exists"):
        write_new_model("mine", tmp_path, task)
    assert path.read_text() == "kept"


def test_unknown_task_gets_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'survival'"):
        write_new_model("mine", tmp_path, "survivl")
    assert list(tmp_path.iterdir()) == []
