"""Names that packages bring: found, refused where they meet another's, and blamed on whoever brings them."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from baselines.encoders import entries
from protocols.errors import UserError
from protocols.registry import load_protocol, load_reader, load_task, own_tasks, reader_modules, task_modules
from tests.entry_points import install

TASKS, PROTOCOLS, READERS = (f"slide2omics.{kind}" for kind in ("tasks", "protocols", "readers"))


@pytest.mark.parametrize(
    ("name", "group"), [("survival", TASKS), ("tcga_survival", PROTOCOLS), ("survival.mcat", READERS)]
)
def test_no_package_takes_a_name_of_ours(monkeypatch: pytest.MonkeyPatch, name: str, group: str) -> None:
    install(monkeypatch, EntryPoint(name, "theirs.place:THING", group))
    load = {TASKS: load_task, PROTOCOLS: load_protocol, READERS: lambda _: load_reader("survival", "mcat")}[group]
    with pytest.raises(
        UserError, match=rf"'{name}' is brought by protocols\..* and by theirs\.place:THING \(theirs"
    ) as e:
        load(name)
    assert "uninstall theirs.place, or give its entry point another name" in str(e.value)


def test_two_packages_of_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, EntryPoint("protein", "one:TASK", TASKS), EntryPoint("protein", "two:TASK", TASKS))
    with pytest.raises(UserError, match=r"'protein' is brought by one:TASK \(one\) and by two:TASK \(two\)"):
        task_modules()


def test_an_encoder_of_the_table_is_not_brought_again(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, EntryPoint("uni", "theirs:UNI", entries.ENTRY_POINT_GROUP))
    entries._points.cache_clear()
    try:
        with pytest.raises(UserError, match="encoder 'uni' is brought by the table of encoders and by theirs:UNI"):
            entries.known_encoders({})
    finally:
        entries._points.cache_clear()


def test_an_encoder_of_a_package_is_data_and_keeps_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "their_encoders.py").write_text(
        "GOOD = {'timm': 'test_resnet', 'pixels': 64}\nBAD = 1 / 0 if 0 else 3\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    install(
        monkeypatch,
        EntryPoint("theirs", "their_encoders:GOOD", entries.ENTRY_POINT_GROUP),
        EntryPoint("broken", "their_encoders:BAD", entries.ENTRY_POINT_GROUP),
    )
    entries._points.cache_clear()
    entries._brought.cache_clear()
    try:
        assert {"theirs", "broken", "uni"} <= set(entries.known_encoders({}))
        assert entries.encoder_spec("theirs").timm_name == "test_resnet"
        with pytest.raises(UserError, match=r"'theirs' is an encoder of the package their_encoders.*rename it"):
            entries.known_encoders({"theirs": {"timm": "resnet18"}})
        with pytest.raises(UserError, match=r"their_encoders:BAD: TypeError.*the entry of encoder broken"):
            entries.encoder_spec("broken")
        with pytest.raises(UserError, match="did you mean 'theirs'"):
            entries.encoder_spec("their")
    finally:
        entries._points.cache_clear()
        entries._brought.cache_clear()
        sys.modules.pop("their_encoders", None)


def test_a_package_that_does_not_import_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "their_broken_task.py").write_text("import nowhere_at_all\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    install(monkeypatch, EntryPoint("protein", "their_broken_task:TASK", TASKS))
    with pytest.raises(
        UserError, match="their_broken_task: ModuleNotFoundError: No module named 'nowhere_at_all'"
    ) as e:
        load_task("protein")
    assert "\n" not in str(e.value)


def test_an_object_carries_the_name_it_is_brought_under(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, EntryPoint("protein", "protocols.survival.task:TASK", TASKS))
    with pytest.raises(UserError, match="what brings 'protein': it is named 'survival'"):
        load_task("protein")


def test_all_of_ours_carry_theirs() -> None:
    for task in own_tasks():
        assert load_task(task).name == task
        assert reader_modules(task)
        for reader in reader_modules(task):
            assert load_reader(task, reader).name == reader
