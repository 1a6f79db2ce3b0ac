"""A ``score`` that is killed leaves the older submission or the new one whole, never parts of both."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType

import pandas as pd
import pytest
from PIL import Image

from protocols.manifest import Manifest
from protocols.records import ScoreRecord
from protocols.sealed import read_seal
from protocols.task import Question
from suite.engine import submit as submitting
from suite.engine.report import cells
from suite.engine.run import Run
from suite.engine.submit import handed_in, submit
from suite.places import SUBMISSIONS
from tests.suite.engine.small_run import PROTOCOLS, SmallRun
from tests.suite.engine.strangers import submission

WATCHED = ("sealed.py", "submit.py", "handover.py", "shutil.py")
KILLS = 5


def hand_in(run: Run, protocol: str, path: Path) -> None:
    asked = run.protocols[protocol]
    submit(run, asked, handed_in(run.config, run.tasks[asked.task], path, "theirs", ""))


def another(path: Path) -> Path:
    """The same submission with other answers."""
    if path.is_dir():
        for file in path.rglob("*.png"):
            with Image.open(file) as image:
                image.point(lambda value: 255 - value).save(file)
        return path
    table = pd.read_csv(path)
    numeric = [name for name in table if table[name].dtype == float]
    table[numeric] = table[numeric].iloc[::-1].to_numpy()
    table.to_csv(path, index=False)
    return path


def whole() -> dict[str, str]:
    """Board to the seal's hash, every file of it verified."""
    return {folder.parent.name: read_seal(folder, "record").hash for folder in SUBMISSIONS.glob("*/*/theirs")}


def in_a_child(work: Callable[[], None], kill_at: int | None) -> int:
    """Run ``work`` in a process that ends itself by SIGKILL at its n-th watched call; returns how many there were."""
    here, there = os.pipe()
    child = os.fork()
    if not child:
        count = 0

        def watch(frame: FrameType, event: str, _argument: object) -> None:
            nonlocal count
            if event in ("call", "c_call") and frame.f_code.co_filename.endswith(WATCHED):
                count += 1
                if count == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)

        try:
            sys.setprofile(watch)
            work()
            sys.setprofile(None)
            os.write(there, str(count).encode())
        finally:
            os._exit(0)
    os.close(there)
    told = os.read(here, 100)
    os.close(here)
    _, status = os.waitpid(child, 0)
    assert (os.WTERMSIG(status) == signal.SIGKILL) == (kill_at is not None)
    return int(told or 0)


@pytest.fixture
def scored_once(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A board's records are computed once for each answers: what is asked here is how they are put in place."""
    known: dict[tuple[str, str, str], tuple[ScoreRecord, Path]] = {}
    fill, shelf = submitting.fill_record, tmp_path_factory.mktemp("records")

    def once(
        run: Run, question: Question, told: Manifest, hashes: Mapping[str, str], answers: Path, out: Path
    ) -> ScoreRecord:
        key = (question.protocol.name, question.board.name, hashes["inputs"])
        if key in known:
            shutil.copytree(known[key][1], out, dirs_exist_ok=True)
        else:
            record = fill(run, question, told, hashes, answers, out)
            known[key] = record, Path(shutil.copytree(out, shelf / str(len(known))))
        return known[key][0]

    monkeypatch.setattr(submitting, "fill_record", once)


@pytest.mark.usefixtures("scored_once")
@pytest.mark.parametrize(("task", "protocol"), PROTOCOLS)
def test_a_killed_score_leaves_one_submission_whole(
    small: SmallRun, tmp_path_factory: pytest.TempPathFactory, task: str, protocol: str
) -> None:
    run = small.run(task)
    asked = run.protocols[protocol]
    first, second = (submission(run, asked, tmp_path_factory.mktemp("theirs")) for _ in range(2))
    another(second)
    hand_in(run, protocol, second)
    new = whole()
    hand_in(run, protocol, first)
    old = whole()
    assert old.keys() == new.keys()
    assert all(old[board] != new[board] for board in old)
    calls = in_a_child(lambda: hand_in(run, protocol, second), None)
    assert whole() == new
    assert calls > 100
    seeded = random.Random(protocol)
    for moment in [seeded.randrange(1, calls), *(seeded.randrange(calls * 2 // 3, calls) for _ in range(KILLS - 1))]:
        hand_in(run, protocol, first)
        assert whole() == old
        in_a_child(lambda: hand_in(run, protocol, second), moment)
        listed = {folder.parent.name for folder in cells(run) if folder.name == "theirs"}
        assert listed == set(old)
        assert whole() in (old, new), moment
