"""Names to classes: every way in, and every way to get it wrong."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from baselines import registry
from baselines.registry import built_in, is_outside, load_model_class, start_of
from protocols.errors import UserError
from tests.entry_points import install

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


@pytest.mark.parametrize("name", sorted(built_in()))
def test_every_file_of_a_task_is_a_model_of_that_name_and_task(name: str) -> None:
    found = load_model_class(name, {}, ROOT)
    assert built_in()[name] == f"baselines.{found.card.task}.{name}" == found.__module__
    assert not is_outside(name, {})
    assert start_of(name, {}, ROOT) == found.__module__


def test_a_new_file_is_found_without_being_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "expression").mkdir()
    (tmp_path / "expression" / "fresh.py").write_text(GOOD.replace("mine", "fresh"))
    monkeypatch.setattr(registry, "HERE", tmp_path)
    built_in.cache_clear()
    try:
        assert built_in() == {"fresh": "baselines.expression.fresh"}
    finally:
        monkeypatch.undo()
        built_in.cache_clear()


def test_a_file_relative_to_the_root(tmp_path: Path) -> None:
    cls = load_model_class("mine", {"mine": _file(tmp_path, GOOD)}, tmp_path)
    assert cls.card.title == "Mine"
    assert is_outside("mine", {"mine": "mine.py:Mine"})
    assert start_of("mine", {"mine": "mine.py:Mine"}, tmp_path) == tmp_path / "mine.py"


def test_a_module_and_an_adapter_that_hides_a_built_in(tmp_path: Path) -> None:
    assert load_model_class("uni", {"uni": "baselines.expression.uni:UNI"}, tmp_path).card.name == "uni"
    text = GOOD.replace('"mine"', '"uni"')
    assert load_model_class("uni", {"uni": _file(tmp_path, text)}, tmp_path).card.title == "Mine"


def test_an_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("theirs", "baselines.expression.plip:PLIP", registry.ENTRY_POINT_GROUP)
    install(monkeypatch, point)
    assert is_outside("theirs", {})
    with pytest.raises(UserError, match="its card is named 'plip'"):
        load_model_class("theirs", {}, ROOT)


def test_an_installed_model_may_not_take_a_built_ins_name(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("plip", "their_package:PLIP", registry.ENTRY_POINT_GROUP)
    install(monkeypatch, point)
    with pytest.raises(UserError, match=r"'plip' is brought by baselines\.expression\.plip and by their_package:PLIP"):
        load_model_class("plip", {}, ROOT)


def test_a_module_beside_the_file_can_be_imported(tmp_path: Path) -> None:
    (tmp_path / "my_net_beside.py").write_text("TITLE = 'Beside'\n")
    text = GOOD.replace("class Mine:", "from my_net_beside import TITLE\n\nclass Mine:").replace(
        'title="Mine"', "title=TITLE"
    )
    assert load_model_class("mine", {"mine": _file(tmp_path, text)}, tmp_path).card.title == "Beside"


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
