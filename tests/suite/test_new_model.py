"""``slide2omics new-model``: the file it writes is short, conforms as it stands, and replaces nothing."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from baselines.registry import load_model_class
from protocols.bulk.toy import inputs_of, toy_slides
from protocols.errors import UserError
from protocols.registry import task_modules
from suite.new_model import write_new_model

ROOT = Path(__file__).resolve().parents[2]


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "suite.cli", *arguments], capture_output=True, text=True, cwd=ROOT)


@pytest.mark.parametrize("task", sorted(task_modules()))
def test_file_conforms(task: str, tmp_path: Path) -> None:
    made = command("new-model", "my_model", "--folder", str(tmp_path), "--task", task)
    assert made.returncode == 0, made.stderr
    assert "add my_model under models, and under adapters `my_model: " in made.stdout
    path = tmp_path / "my_model.py"
    checked = command("check", f"{path}:MyModel")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stdout.endswith(f"{path}:MyModel: conforms\n")
    assert len(path.read_text().splitlines()) <= 45


def test_bulk_model_file_answers_a_large_cohort_and_few_genes(tmp_path: Path) -> None:
    """25,000 genes are looked up in a dictionary, not one by one in a tuple."""
    write_new_model("mine", tmp_path, "bulk")
    model: Any = load_model_class("(given)", {"(given)": f"{tmp_path / 'mine.py'}:Mine"}, tmp_path)()
    toy = toy_slides(20)
    genes = tuple(f"G{k}" for k in range(25_000))
    targets = np.random.default_rng(0).random((len(toy), len(genes)), dtype=np.float32)
    model.fit(replace(toy, genes=genes, targets=targets))
    every = model.predict(replace(inputs_of(toy), genes=genes))
    few = model.predict(replace(inputs_of(toy), genes=genes[::-1000]))
    np.testing.assert_array_equal(few, every[:, ::-1000])


@pytest.mark.parametrize("task", sorted(task_modules()))
def test_a_file_of_each_task_carries_its_name(task: str, tmp_path: Path) -> None:
    text = write_new_model("two_words", tmp_path, task).read_text()
    assert "class TwoWords:" in text
    assert 'name="two_words"' in text
    assert (f'task="{task}"' in text) == (task != "expression")  # the task of a card that says none
    assert not [other for other in task_modules() if other != task and f'task="{other}"' in text]


@pytest.mark.parametrize("task", sorted(task_modules()))
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
