"""Names to classes: every way in, and every way to get it wrong."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from baselines import registry
from baselines.registry import BUILTIN, load_model_class
from baselines.source_closure import source_closure
from protocols.errors import UserError

ROOT = Path(__file__).parents[2]
GOOD = """
from protocols.contract import Card

class Mine:
    card = Card(name="mine", title="Mine")
    def fit(self, train): ...
    def predict(self, test): ...
"""


def _file(folder: Path, text: str, name: str = "mine.py") -> str:
    (folder / name).write_text(text)
    return f"{name}:Mine"


@pytest.mark.parametrize("name", sorted(BUILTIN))
def test_every_built_in_file_holds_one_class_named_in_the_table(name: str) -> None:
    module, _, class_name = BUILTIN[name].partition(":")
    assert module == f"baselines.{name}"
    text = (ROOT / "baselines" / f"{name}.py").read_text()
    assert f"class {class_name}" in text


def test_a_file_relative_to_the_root(tmp_path: Path) -> None:
    cls = load_model_class("mine", {"mine": _file(tmp_path, GOOD)}, tmp_path)
    assert cls.card.title == "Mine"
    assert source_closure(cls) == [tmp_path / "mine.py"]


def test_a_module_and_an_adapter_that_hides_a_built_in(tmp_path: Path) -> None:
    assert load_model_class("uni", {"uni": "baselines.expression.uni:UNI"}, tmp_path).card.name == "uni"
    text = GOOD.replace('"mine"', '"uni"')
    assert load_model_class("uni", {"uni": _file(tmp_path, text)}, tmp_path).card.title == "Mine"


def test_an_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("plip", "baselines.expression.plip:PLIP", registry.ENTRY_POINT_GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: EntryPoints([point]))
    monkeypatch.setattr(registry, "BUILTIN", {})
    assert load_model_class("plip", {}, ROOT).card.name == "plip"
    with pytest.raises(UserError, match="unknown model"):
        load_model_class("uni", {}, ROOT)


def test_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'ctranspath'"):
        load_model_class("ctranspth", {}, ROOT)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("import nowhere_at_all\n", r"mine\.py:1: ModuleNotFoundError"),
        ("x = 1\ny = x / 0\n", r"mine\.py:2: ZeroDivisionError"),
        ("class Mine\n", r"mine\.py:1: SyntaxError"),
        ("class Mien: ...\n", r"no class 'Mine'.*did you mean 'Mien'"),
        ("class Mine: ...\n", "lacks card, fit, predict"),
        (GOOD.replace('name="mine"', 'name="other"'), "its card is named 'other'"),
    ],
)
def test_a_broken_file_is_named_with_its_line(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=says):
        load_model_class("mine", {"mine": _file(tmp_path, text)}, tmp_path)


@pytest.mark.parametrize("target", ["mine.py", "no/such/file.py:Mine", "no_such_module_at_all:Mine", ":Mine"])
def test_a_target_that_leads_nowhere(target: str, tmp_path: Path) -> None:
    with pytest.raises(UserError):
        load_model_class("mine", {"mine": target}, tmp_path)


def _closure(name: str) -> set[str]:
    return {path.relative_to(ROOT).as_posix() for path in source_closure(load_model_class(name, {}, ROOT))}


def test_closure_of_a_probe_is_small_and_that_of_st_net_reaches_the_loop() -> None:
    package = {"baselines/__init__.py", "baselines/shared/__init__.py"}
    assert _closure("uni") == package | {
        "baselines/expression/uni.py",
        "baselines/expression/parts/ridge_probe.py",
        "baselines/regression/ridge.py",
    }
    assert _closure("train_mean") == {"baselines/expression/train_mean.py"}
    # imports inside functions and two steps away count too
    assert {
        "baselines/training/finetuning.py",
        "baselines/encoders/modules.py",
        "baselines/weights/keys.py",
        "past_model/timm_import.py",
    } <= _closure("st_net")
    assert "baselines/expression/st_net.py" in _closure("st_net_own_target")
    assert "baselines/expression/st_net_own_target.py" not in _closure("st_net")


def test_closure_of_an_adapter_holds_what_it_imports_from_here(tmp_path: Path) -> None:
    text = GOOD.replace("class Mine", "from baselines.regression.ridge import MaskedRidge\n\nclass Mine")
    closure = source_closure(load_model_class("mine", {"mine": _file(tmp_path, text)}, tmp_path))
    assert tmp_path / "mine.py" in closure
    assert ROOT / "baselines/regression/ridge.py" in closure
