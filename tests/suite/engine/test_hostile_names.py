"""A name that comes from outside and becomes a path is refused in one line; nothing outside is written or removed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from protocols.errors import UserError
from protocols.registry import load_task
from suite.config import read_config
from suite.engine.read import run_read
from suite.engine.run import Run
from suite.engine.submit import handed_in, submit
from suite.new_model import write_new_model
from suite.places import SUBMISSIONS, submission_folder
from tests.suite.engine.small_run import PROTOCOLS, TASKS, SmallRun
from tests.suite.engine.strangers import submission

HOSTILE = {
    "up": "../victim",
    "far up": "../../../victim",
    "absolute": "/tmp/victim",
    "empty": "",
    "blank": " ",
    "here": ".",
    "above": "..",
    "nul": "a\0b",
    "newline": "a\nb",
    "long": "x" * 300,
    "device": "CON",
    "device's file": "aux.txt",
    "ends in a dot": "victim.",
    "ends in a blank": "victim ",
    "begins with a blank": " victim",
    "backslash": "..\\victim",
    "hidden": ".victim",
    "inner": "a/b",
    "drive": "C:victim",
}
protocols = pytest.mark.parametrize(("task", "protocol"), PROTOCOLS)


def tree(folder: Path) -> dict[str, tuple[int, ...]]:
    """Every file and folder, with size and time of change; caches of hashes, locks and workplaces aside."""
    return {
        path.relative_to(folder).as_posix(): (path.lstat().st_size, path.lstat().st_mtime_ns)
        if path.is_file()
        else (0, 0)
        for path in folder.rglob("*")
        if not {"cache"} & set(path.relative_to(folder).parts)
    }


@contextmanager
def nothing_moves(folder: Path) -> Iterator[None]:
    """Nothing appears, changes or goes: not in the working folder, not beside it."""
    for victim in (folder / "victim", folder / "run" / "victim", folder / "run" / "runs" / "victim"):
        victim.mkdir()
        (victim / "record.json").write_text("precious")
    before = tree(folder)
    yield
    assert tree(folder) == before


def refusal(action: Callable[[], object]) -> str:
    with pytest.raises(UserError) as caught:
        action()
    said = str(caught.value)
    assert "\n" not in said
    assert "\0" not in said
    assert len(said) < 700
    return said


@pytest.fixture(scope="module")
def theirs(finished: SmallRun, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A whole submission to every protocol."""
    out = tmp_path_factory.mktemp("theirs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(finished.folder)
        run = finished.run()
        return {name: submission(run, run.protocols[name], out / name) for _, name in PROTOCOLS}


def hand_in(run: Run, protocol: str, path: Path, model: str | None = None) -> None:
    asked = run.protocols[protocol]
    submit(run, asked, handed_in(run.config, run.tasks[asked.task], path, model, ""))


@protocols
def test_a_whole_submission_is_scored_and_one_handed_in_again_replaces_itself_alone(
    small: SmallRun, theirs: dict[str, Path], task: str, protocol: str
) -> None:
    run = small.run(task)
    hand_in(run, protocol, theirs[protocol], "one")
    hand_in(run, protocol, theirs[protocol], "other")
    boards = [board.name for board in run.boards_of(run.protocols[protocol])]
    before = tree(SUBMISSIONS)
    assert {f"{protocol}/{board}/{name}/record.json" for board in boards for name in ("one", "other")} <= set(before)
    (submission_folder(protocol, boards[0], "one") / "stale.txt").write_text("of an older submission")
    hand_in(run, protocol, theirs[protocol], "one")
    after = tree(SUBMISSIONS)
    assert set(after) == set(before), "nothing of the older one is left"
    assert {name: state for name, state in after.items() if "/other" in name} == {
        name: state for name, state in before.items() if "/other" in name
    }
    with pytest.raises(UserError):
        hand_in(run, protocol, theirs[protocol], ".")
    assert tree(SUBMISSIONS) == after


@protocols
def test_the_name_of_a_model(
    small: SmallRun, theirs: dict[str, Path], tmp_path: Path, task: str, protocol: str
) -> None:
    run = small.run(task)
    with nothing_moves(tmp_path):
        for name in HOSTILE.values():
            refusal(lambda given=name: hand_in(run, protocol, theirs[protocol], given))  # type: ignore[misc]


@protocols
def test_every_column_of_names(
    small: SmallRun, theirs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, task: str,
    protocol: str,
) -> None:  # fmt: skip
    """A table as Parquet carries what a CSV cannot; of a folder the columns are its folders' and files' names."""
    run = small.run(task)
    if run.tasks[task].by_folder:
        pytest.skip("no table: see the test of folders")
    out = tmp_path_factory.mktemp("hostile") / "answers.parquet"
    table = pd.read_csv(theirs[protocol])
    columns = {"model", "cohort", *(name for name in table if not pd.api.types.is_numeric_dtype(table[name]))}
    assert len(columns) > 2
    with nothing_moves(tmp_path):
        for column in sorted(columns):
            for name in HOSTILE.values():
                told = table.astype({column: str}) if column in table else table.assign(**{column: "tiny"})
                told.loc[told.index[0] if column in table else slice(None), column] = name
                told.to_parquet(out)
                model = None if column == "model" else "theirs"
                refusal(lambda given=model: hand_in(run, protocol, out, given))  # type: ignore[misc]


@protocols
def test_models_that_differ_by_case_alone(
    small: SmallRun, theirs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, task: str, protocol: str
) -> None:
    run = small.run(task)
    hand_in(run, protocol, theirs[protocol], "Somebody")
    before = tree(SUBMISSIONS)
    assert "differ by case alone" in refusal(lambda: hand_in(run, protocol, theirs[protocol], "somebody"))
    listed = run.config.models[0].upper()
    assert "is a model of params.yaml" in refusal(lambda: hand_in(run, protocol, theirs[protocol], listed))
    if not run.tasks[task].by_folder:
        table = pd.read_csv(theirs[protocol])
        out = tmp_path_factory.mktemp("twins") / "answers.parquet"
        pd.concat([table.assign(model="mine"), table.assign(model="Mine")]).to_parquet(out)
        assert "differ by case alone" in refusal(lambda: hand_in(run, protocol, out))
    assert tree(SUBMISSIONS) == before


@pytest.mark.parametrize(("task", "protocol"), [one for one in PROTOCOLS if load_task(one[0]).by_folder])
def test_names_and_links_in_a_folder(
    small: SmallRun, theirs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, task: str,
    protocol: str,
) -> None:  # fmt: skip
    run = small.run(task)
    files = sorted(path.relative_to(theirs[protocol]) for path in theirs[protocol].rglob("*.png"))
    place = tmp_path_factory.mktemp("hostile")
    made = ["CON", "aux.txt", "x" * 200, "a\nb", "..\\victim", "C:victim", "victim ", " victim", "victim."]
    with nothing_moves(tmp_path):
        for number, (level, name) in enumerate((level, name) for level in (1, 2, 3) for name in made):
            folder = Path(shutil.copytree(theirs[protocol], place / str(number)))
            old = folder.joinpath(*files[0].parts[:level])
            old.rename(old.with_name(f"{name}.png" if level == 3 else name))
            refusal(lambda given=folder: hand_in(run, protocol, given, "theirs"))  # type: ignore[misc]
        for level in (1, 2, 3):
            folder = Path(shutil.copytree(theirs[protocol], place / f"linked{level}"))
            old = folder.joinpath(*files[0].parts[:level])
            outside = old.rename(place / f"outside{level}")
            old.symlink_to(outside)
            assert "a link" in refusal(lambda given=folder: hand_in(run, protocol, given, "theirs"))  # type: ignore[misc]


@pytest.mark.parametrize("task", TASKS)
def test_the_name_of_a_new_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str) -> None:
    (tmp_path / "run" / "runs").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "run")
    write_new_model("mine", Path(), task)
    with nothing_moves(tmp_path):
        for name in [*HOSTILE.values(), "Mine", "mine"]:
            refusal(lambda given=name: write_new_model(given, Path(), task))  # type: ignore[misc]


def put(values: dict[str, Any], keys: tuple[str, ...], name: str) -> None:
    """Rename the last of ``keys``, or the first entry of the list that lies there."""
    *above, last = keys
    for key in above:
        values = values[key]
    found = values[last]
    if isinstance(found, list):
        values[last] = [name, *found[1:]]
    else:
        values[last] = {name: next(iter(found.values()), {}), **dict(list(found.items())[1:])}


@pytest.mark.parametrize(
    "keys",
    [*(("cohorts", task) for task in TASKS), ("cohorts",), ("tasks",), ("models",), ("protocols",), ("adapters",),
     ("weights",), ("encoders",)],
    ids="-".join,
)  # fmt: skip
def test_names_in_the_runs_file(
    small: SmallRun, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, keys: tuple[str, ...]
) -> None:
    written = tmp_path_factory.mktemp("params") / "params.yaml"
    whole = small.values() | {"weights": {"uni": {"path": "x"}}, "encoders": {"mine": {"timm": "resnet18"}}}
    with nothing_moves(tmp_path):
        for name in HOSTILE.values():
            told = json.loads(json.dumps(whole))
            put(told, keys, name)
            written.write_text(json.dumps(told))
            refusal(lambda: run_read(Run(read_config(written))))
