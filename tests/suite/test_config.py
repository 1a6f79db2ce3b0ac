"""``params.yaml``: typed, strict, and clear about mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from protocols.errors import UserError
from suite.config import MOVED, read_config
from suite.engine.run import Run

PARAMS = Path(__file__).resolve().parents[2] / "params.yaml"


def changed(tmp_path: Path, **changes: object) -> Path:
    values = yaml.safe_load(PARAMS.read_text())
    for key, value in changes.items():
        target = values
        *parents, last = key.split("__")
        for parent in parents:
            target[parent] = target[parent] or {}  # an empty key says nothing
            target = target[parent]
        target[last] = value
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def test_shipped_parameters_are_valid() -> None:
    config = read_config(PARAMS)
    assert config.profile == "mini"
    assert len(config.protocols) == 10


def test_unknown_key_suggests_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"unknown key 'sed'.*did you mean 'seeds'"):
        read_config(changed(tmp_path, sed=1))


def test_unknown_nested_key_of_a_task_suggests_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^tasks\.expression: unknown key 'crop\.pixel'.*did you mean 'pixels'"):
        Run(read_config(changed(tmp_path, tasks__expression__crop__pixel=64))).requests("expression")


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [("profile", "tiny", "profile"), ("seeds", ["x"], "seeds"), ("seeds", [], "seeds"), ("threads", 0, "threads")],
)
def test_wrong_value_names_the_key(tmp_path: Path, key: str, value: object, named: str) -> None:
    with pytest.raises(UserError, match=named):
        read_config(changed(tmp_path, **{key: value}))


def test_broken_yaml_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("profile: [mini")
    with pytest.raises(UserError) as caught:
        read_config(path)
    assert "\n" not in str(caught.value)


def test_missing_file_says_where(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no parameters"):
        read_config(tmp_path / "params.yaml")


def test_a_model_is_handed_only_its_own_weights(tmp_path: Path) -> None:
    config = read_config(changed(tmp_path, weights={"uni": {"path": "u"}, "conch": {"path": "c"}}))
    assert config.settings("uni").weights == {"uni": {"path": "u"}}


@pytest.mark.parametrize("key", MOVED)
def test_a_key_of_an_earlier_version_names_what_took_its_place(tmp_path: Path, key: str) -> None:
    with pytest.raises(UserError, match=f"key '{key}' is of an earlier version"):
        read_config(changed(tmp_path, **{key: {}}))


def test_a_wrong_value_of_a_task_names_the_key(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^tasks\.expression: crop\.um is -1;.*greater than 0; set crop\.um"):
        Run(read_config(changed(tmp_path, tasks__expression__crop__um=-1))).requests("expression")


@pytest.mark.parametrize("name", ["a/b", "..", "con", "A", "a  b", " a", ""])
@pytest.mark.parametrize("task", ["expression", "survival", "bulk", "staining"])
def test_a_cohorts_hostile_name_is_refused(tmp_path: Path, task: str, name: str) -> None:
    values = yaml.safe_load(PARAMS.read_text())
    held = next(iter(values["cohorts"][task].values()))
    values["cohorts"][task] = {"a": held, name: held}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(UserError, match=f"cohorts.{task}"):
        read_config(tmp_path / "params.yaml")


@pytest.mark.parametrize("key", ["models", "protocols", "seeds"])
def test_what_is_listed_twice_is_named(tmp_path: Path, key: str) -> None:
    first = yaml.safe_load(PARAMS.read_text())[key][0]
    with pytest.raises(UserError, match="listed twice"):
        read_config(changed(tmp_path, **{key: [first, first]}))
