"""kill -9 at any moment: what was finished is kept, nothing half-made is believed, and the end is the same bytes.

Three kills of a run and two of ``score``; ``SLIDE2OMICS_KILLS=50 pytest tests/suite/test_kills.py`` kills as often.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from protocols.sealed import read_seal
from suite.places import found
from tests.suite.working_folder import (
    COHORT,
    DRIVER,
    EXPRESSION,
    MARK,
    RESULTS,
    WorkingFolder,
    phantom,
)

KILLS = int(os.environ.get("SLIDE2OMICS_KILLS", "0"))
SEED = int(os.environ.get("SLIDE2OMICS_KILLS_SEED", "0"))
TIMES = ("reports/times.csv", "reports/times.html")
KINDS = {"predictions": ("*/*/*/*", "answers"), "scores": ("*/*/*/*", "record"), "submissions": ("*/*/*", "record")}
MODELS = ["oracle", "train_mean", "stain_statistics"]
ONE_TASK = {"protocols": [EXPRESSION], "models": MODELS, "adapters": {}}
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600 + 120 * KILLS)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[WorkingFolder, float]:
    """A run that nobody killed, and how long it took."""
    place = tmp_path_factory.mktemp("whole")
    made = WorkingFolder(place / "run", phantom(place / "data"))
    made.params(**ONE_TASK)
    started = time.monotonic()
    made.drive()
    return made, time.monotonic() - started


def test_a_run_that_is_killed_again_and_again_ends_in_the_same_bytes(
    whole: tuple[WorkingFolder, float], tmp_path: Path
) -> None:
    """Each kill hits the driver alone or its whole group, at a moment drawn over a whole run's length."""
    reference, seconds = whole
    wanted = results(reference)
    again, rng = WorkingFolder(tmp_path / "run", data_of(reference)), random.Random(SEED)
    again.params(**ONE_TASK)
    killed = ended = 0
    while killed < (KILLS or 3):
        process = again.start(sys.executable, "-c", DRIVER, mark=str(tmp_path), **quiet())
        if not kill(process, rng.uniform(0.05, 1.0) * seconds, rng):
            assert process.returncode == 0
            ended += 1  # it had come to its end: another one from nothing
            assert results(again) == wanted
            shutil.rmtree(again.folder / "runs")
            continue
        killed += 1
        nobody_left(str(tmp_path))
        whole_or_absent(again)
    again.drive()
    assert results(again) == wanted
    assert not list((again.folder / "runs").rglob("*.part"))
    print(f"{killed} kills, {ended} runs ended before theirs, the same {len(wanted)} files each time")


def test_a_score_that_is_killed_leaves_the_older_or_the_newer_whole(
    whole: tuple[WorkingFolder, float], tmp_path: Path
) -> None:
    reference, _ = whole
    rng, tables = random.Random(SEED + 1), {"older": tmp_path / "older.parquet", "newer": tmp_path / "newer.parquet"}
    for number, table in enumerate(tables.values()):
        answers_of(reference, number).to_parquet(table)
    held: dict[bytes, str] = {}
    for name, table in tables.items():
        started = time.monotonic()
        reference.slide2omics(*score(table))
        seconds = time.monotonic() - started
        held[record_of(reference)] = name
    assert len(held) == 2
    killed, name = 0, "newer"
    while killed < (KILLS or 2):
        name = "older" if name == "newer" else "newer"
        command = [sys.executable, "-m", "suite.cli", *score(tables[name])]
        process = reference.start(*command, mark=str(tmp_path), **quiet())
        if kill(process, rng.uniform(0.3, 1.0) * seconds, rng):
            killed += 1
        nobody_left(str(tmp_path))
        whole_or_absent(reference)
        assert record_of(reference) in held
    reference.slide2omics(*score(tables["newer"]))
    assert held[record_of(reference)] == "newer"
    assert not list((reference.folder / "runs").rglob("*.part"))


def results(folder: WorkingFolder) -> dict[str, bytes]:
    told = folder.bytes_of(*RESULTS)
    for times in TIMES:  # how long each cell took: the files of a report in which two equal runs differ
        told.pop(times)
    return told


def kill(process: subprocess.Popen[str], seconds: float, rng: random.Random) -> bool:
    """Whether it was still there to be killed."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        if rng.random() < 0.5:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()
        return True
    return False


def nobody_left(mark: str) -> None:
    """No process of the killed run is alive; the system needs a moment to end what it was told to."""
    deadline = time.monotonic() + 20
    while left := marked(mark):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def marked(mark: str) -> list[str]:
    """Command lines of living processes that were started with this mark, or by one that was."""
    alive = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (place / "environ").read_bytes().split(b"\0"):
                alive.append((place / "cmdline").read_text().replace("\0", " "))
        except OSError:  # it ended while it was looked at, or is another user's
            continue
    return alive


def whole_or_absent(folder: WorkingFolder) -> None:
    """Whatever stands where results are shown is whole."""
    for name, (pattern, kind) in KINDS.items():
        for place in found(folder.folder / "runs" / name, pattern):
            read_seal(place, kind)


def answers_of(folder: WorkingFolder, seed: int) -> pd.DataFrame:
    """A model's own answers with noise, as somebody else's table."""
    cell = folder.folder / "runs/predictions" / EXPRESSION / COHORT / "stain_statistics" / "seed0"
    names = folder.folder / "runs/splits" / EXPRESSION / COHORT
    from protocols.splits import read_split

    split, _ = read_split(names)
    parts = [pd.read_parquet(cell / f"{n:04d}.parquet").assign(fold=fold.name) for n, fold in enumerate(split.folds)]
    table = pd.concat(parts, ignore_index=True)
    genes = table.columns.difference(["slide", "cell_id", "fold", "x_px", "y_px"])
    rng = np.random.default_rng(seed)
    table[genes] += rng.normal(0, 0.1, (len(table), len(genes)))
    return table


def score(table: Path) -> list[str]:
    return ["score", EXPRESSION, "--predictions", str(table), "--model", "theirs"]


def record_of(folder: WorkingFolder) -> bytes:
    return (folder.folder / "runs/submissions" / EXPRESSION / COHORT / "theirs" / "record.json").read_bytes()


def data_of(folder: WorkingFolder) -> Path:
    return (folder.folder / "data").resolve()


def quiet() -> dict[str, int]:
    return {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
