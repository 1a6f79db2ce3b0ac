"""``params.yaml``: typed, strict, and clear about mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from protocols.errors import UserError
from suite.config import read_config

PARAMS = Path(__file__).resolve().parents[2] / "params.yaml"


def changed(tmp_path: Path, **changes: object) -> Path:
    values = yaml.safe_load(PARAMS.read_text())
    for key, value in changes.items():
        target = values
        *parents, last = key.split("__")
        for parent in parents:
            target = target[parent]
        target[last] = value
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def test_shipped_parameters_are_valid() -> None:
    config = read_config(PARAMS)
    assert config.profile == "mini"
    assert len(config.protocols) == 3


def test_unknown_key_suggests_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"unknown key 'sed'.*did you mean 'seed'"):
        read_config(changed(tmp_path, sed=1))


def test_unknown_nested_key_suggests_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"unknown key 'crop.pixel'.*did you mean 'pixels'"):
        read_config(changed(tmp_path, crop__pixel=64))


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [("profile", "tiny", "profile"), ("crop__um", -1, "crop.um"), ("seed", "x", "seed"), ("threads", 0, "threads")],
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
