"""What lies on disk and was altered is refused in one line or made anew, and never believed: for every task."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from protocols.errors import UserError
from protocols.files import sha256_of
from protocols.registry import load_task
from protocols.sealed import SEAL_FILE, read_seal, write_seal
from suite.engine.ask import run_ask
from suite.engine.inputs import run_inputs
from suite.engine.predict import cells_of, predict_cells, run_predict
from suite.engine.prepare import narrowed
from suite.engine.read import run_read
from suite.engine.run import Run
from suite.engine.score import run_score
from suite.engine.units import write_units
from suite.places import AUDITS, CACHE, COHORTS, PREDICTIONS, SCORES, SPLITS
from tests.suite.engine.small_run import TASKS, SmallRun, rewritten

Alter = Callable[[Path], None]


def flip_a_byte(folder: Path) -> None:
    path = max((file for file in folder.rglob("*") if file.name != SEAL_FILE and file.is_file()), key=_size)
    told = bytearray(path.read_bytes())
    told[len(told) // 2] ^= 1
    rewritten(path, bytes(told))


def remove_a_file(folder: Path) -> None:
    max((file for file in folder.rglob("*") if file.name != SEAL_FILE and file.is_file()), key=_size).unlink()


def add_a_file(folder: Path) -> None:
    (folder / "9999.parquet").write_bytes(b"added")


def reseal_by_hand(folder: Path) -> None:
    """Whoever alters a file and writes its new hash into the seal, but not the seal's own."""
    flip_a_byte(folder)
    told = json.loads((folder / SEAL_FILE).read_text())
    told["files"] = {name: sha256_of(folder / name) for name in told["files"]}
    rewritten(folder / SEAL_FILE, json.dumps(told).encode())


def _size(path: Path) -> int:
    return path.stat().st_size


ALTERED = [flip_a_byte, remove_a_file, add_a_file, reseal_by_hand]


def protocols_of(run: Run, task: str) -> list[str]:
    return [name for name, one in run.protocols.items() if one.task == task]


def refused(action: Callable[[], object], folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        action()
    said = str(caught.value)
    assert "\n" not in said
    assert str(folder) in said
    return said


@pytest.mark.parametrize("alter", ALTERED)
@pytest.mark.parametrize("task", TASKS)
def test_a_stored_cohort_that_was_altered(small: SmallRun, task: str, alter: Alter) -> None:
    run = small.run(task)
    for folder in sorted((COHORTS / task).iterdir()):
        alter(folder)
    refused(lambda: run_ask(run), COHORTS / task)
    refused(lambda: cells_of(run, {}), COHORTS / task)
    name = protocols_of(run, task)[0]
    refused(lambda: write_units(run, run.protocols[name], Path("units.csv")), COHORTS / task)
    assert not Path("units.csv").exists()
    run_read(run)  # the kept one is whole: it takes the altered one's place
    run_ask(run)


@pytest.mark.parametrize("task", TASKS)
def test_a_test_row_moved_into_training(small: SmallRun, task: str) -> None:
    run = small.run(task)
    folder = next(iter(sorted(SPLITS.glob(f"{next(iter(run.fitting))}/*"))))
    table = pd.read_parquet(folder / "rows.parquet")
    place = table.index[table["role"] == 2][0]
    table.loc[place, "role"] = 0
    (folder / "rows.parquet").unlink()
    table.sort_values(["fold", "role", "row"]).to_parquet(folder / "rows.parquet", compression="zstd", index=False)
    assert "rows.parquet was altered since it was written" in refused(lambda: run_predict(run), folder)
    refused(lambda: run_score(run), folder)
    run_ask(run)
    read_seal(folder, "split")


@pytest.mark.parametrize("alter", ALTERED)
@pytest.mark.parametrize("task", TASKS)
def test_an_audit_that_was_altered(small: SmallRun, task: str, alter: Alter) -> None:
    run = small.run(task)
    folder = next(iter(sorted(AUDITS.glob(f"{next(iter(run.fitting))}/*"))))
    alter(folder)
    refused(lambda: run_predict(run), folder)


@pytest.mark.parametrize("task", TASKS)
def test_an_audit_that_is_not_there(small: SmallRun, task: str) -> None:
    run = small.run(task)
    folder = next(iter(sorted(AUDITS.glob(f"{next(iter(run.fitting))}/*"))))
    shutil.rmtree(folder)
    assert "no audit here" in refused(lambda: run_predict(run), folder)


@pytest.mark.parametrize("alter", ALTERED)
@pytest.mark.parametrize("task", TASKS)
def test_answers_that_were_altered(small: SmallRun, task: str, alter: Alter) -> None:
    """What the run shows is refused by scoring; what is kept is refused by predicting."""
    run = small.run(task)
    board = run.fit_boards[0][1]
    model = run.models_of(task)[-1].name
    shown = PREDICTIONS / board.protocol / board.name / model / "seed0"
    alter(shown)
    refused(lambda: run_score(run), shown)
    (kept,) = CACHE.glob(f"answers/{board.protocol}/{board.name}/{model}.seed0@*")
    alter(kept)
    cells = [one for one in cells_of(run, run_inputs(run), (model,)) if one.board.name == board.name]
    refused(lambda: predict_cells(run, cells), kept)


@pytest.mark.parametrize("task", [name for name in TASKS if load_task(name).crops is not None])
def test_an_embedding_of_which_rows_were_reversed(small: SmallRun, task: str) -> None:
    run = small.run(task)
    for path in CACHE.glob(f"embeddings/{task}/*/*/embedding.npy"):
        rows = np.load(path)[::-1]
        path.unlink()
        np.save(path, rows)
    refused(lambda: cells_of(run, run_inputs(run)), CACHE / "embeddings" / task)


@pytest.mark.parametrize("alter", ALTERED)
@pytest.mark.parametrize("task", TASKS)
def test_a_record_or_its_units_that_were_altered(small: SmallRun, task: str, alter: Alter) -> None:
    run = small.run(task)
    board = run.boards[0]
    model = run.models_of(task)[-1].name
    shown = SCORES / board.protocol / board.name / model / "seed0"
    whole = contents(shown)
    alter(shown)
    from reports.cells import load_records

    with pytest.raises(UserError, match="record"):
        load_records([shown])
    run_score(run)  # the kept one is whole
    assert contents(shown) == whole
    (kept,) = CACHE.glob(f"scores/{board.protocol}/{board.name}/{model}.seed0@*")
    alter(kept)
    refused(lambda: run_score(run), kept)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("task", TASKS)
def test_answers_of_another_split_are_not_scored(small: SmallRun, task: str) -> None:
    """A folder that is whole in itself and was made of another question: a seal alone does not make it ours."""
    run = narrowed(small.config(task), protocols_of(small.run(task), task)[0])
    board = run.fit_boards[0][1]
    model = run.models_of(task)[-1].name
    shown = PREDICTIONS / board.protocol / board.name / model / "seed0"
    told = json.loads((shown / SEAL_FILE).read_text())
    (shown / SEAL_FILE).unlink()
    write_seal(shown, "answers", told["of"] | {"split": "0" * 64})
    with pytest.raises(UserError, match="answers were made for another split"):
        run_score(run)
