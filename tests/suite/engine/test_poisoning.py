"""Somebody's model is imported by processes of its own: what it does to others' code reaches no other result."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from protocols.registry import load_task
from suite.engine import predict
from suite.engine import run as resolving
from suite.engine.inputs import run_inputs
from suite.engine.predict import cells_of, predict_cells
from suite.engine.run import card_from_outside
from suite.places import CACHE
from suite.workers import Job
from tests.suite.engine.small_run import TASKS, SmallRun, rewritten

POISON = """
import os
import numpy
import baselines.encoders.embedding
from pathlib import Path

def wrong(*_arguments, **_options):
    raise RuntimeError("poisoned")

Path({marker!r}, str(os.getpid())).touch()
baselines.encoders.embedding.embed_many = wrong
numpy.load = numpy.save = numpy.mean = numpy.asarray = numpy.zeros = wrong
"""


def adapters() -> list[str]:
    """Models from files outside that this process has imported."""
    return [name for name in sys.modules if name.startswith("slide2omics_adapter_")]


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.npy")}


@pytest.mark.parametrize("task", [name for name in TASKS if load_task(name).crops is not None])
def test_a_poisoned_model_leaves_embeddings_and_the_answers_of_others_as_they_are(
    small: SmallRun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, task: str
) -> None:
    monkeypatch.setattr(resolving, "card_from_outside", card_from_outside)  # really, by a process of its own
    for name in adapters():  # another test of this process imported them: what counts is what this run imports
        monkeypatch.delitem(sys.modules, name)
    marker = tmp_path / "imported"
    marker.mkdir()
    own = small.folder / task / "own.py"
    rewritten(own, (own.read_text() + POISON.format(marker=str(marker))).encode())
    embeddings = CACHE / "embeddings" / task
    before = files_of(embeddings)
    assert before
    shutil.rmtree(embeddings)
    run = small.run(task)
    cells = cells_of(run, run_inputs(run))
    assert files_of(embeddings) == before
    assert [path.name for path in marker.iterdir()] != []
    assert str(os.getpid()) not in {path.name for path in marker.iterdir()}

    handed: list[Job[Any]] = []

    def held(_work: object, jobs: Sequence[Job[Any]], _workers: int) -> Iterator[Any]:
        handed.extend(jobs)
        return iter(())

    monkeypatch.setattr(predict, "run_jobs", held)
    predict_cells(run, cells)
    theirs = run.models_of(task)[-1]
    assert {job.item.model for job in handed} == {theirs.name}, "no other model's answers are made anew"
    assert all(job.alone for job in handed)
    assert adapters() == []
