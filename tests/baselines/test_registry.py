"""Names to classes: every way in, and every way to get it wrong."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from baselines import builtin, registry
from baselines.registry import is_outside, known_models, load_model_class, start_of
from baselines.source_closure import source_closure
from protocols.contract import Card
from protocols.errors import UserError

ROOT = Path(__file__).parents[2]
FLOOR = ROOT / "baselines"
GOOD = """
from protocols.contract import Card

class Mine:
    card = Card(name="mine", title="Mine")
    def fit(self, train): ...
    def predict(self, test): ...
"""
ROOMS = {"expression": "expression", "survival": "survival", "bulk": "bulk", "staining": "image"}


def _file(folder: Path, text: str, name: str = "mine.py") -> str:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return f"{name}:Mine"


def _install(monkeypatch: pytest.MonkeyPatch, *points: tuple[str, str]) -> None:
    found = [EntryPoint(name, value, registry.ENTRY_POINT_GROUP) for name, value in points]
    monkeypatch.setattr(registry, "entry_points", lambda group: EntryPoints(found))


def test_every_file_of_a_room_is_a_model_and_no_other_folder_is_a_room() -> None:
    on_disk = {
        path.stem: f"baselines.{room}.{path.stem}"
        for room in ROOMS
        for path in (FLOOR / room).glob("*.py")
        if path.stem != "__init__"
    }
    assert known_models({}) == on_disk
    assert builtin.rooms() == ROOMS
    assert {"uni", "kaplan_meier", "he2rna", "pix2pix"} <= set(on_disk)


@pytest.mark.parametrize("name", sorted(known_models({})))
def test_one_class_a_file_whose_card_module_and_file_have_one_name(name: str) -> None:
    cls = load_model_class(name, {}, ROOT)
    _, room, module = cls.__module__.split(".")
    assert cls.card.name == name == module
    assert cls.card.task == ROOMS[room]
    here = sys.modules[cls.__module__]
    own = [c for c in vars(here).values() if isinstance(c, type) and c.__module__ == cls.__module__]
    assert [c for c in own if isinstance(vars(c).get("card"), Card)] == [cls]


def test_finding_names_imports_nothing() -> None:
    code = (
        "import sys; from pathlib import Path; from baselines.registry import known_models, start_of;"
        "print(len(known_models({})), start_of('past', {}, Path()));"
        "print([name for name in sys.modules if name.startswith(('torch', 'baselines.expression', 'baselines.bulk'))])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True).stdout
    assert out.splitlines() == [f"{len(known_models({}))} baselines.expression.past", "[]"]


def _toy_floor(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, *, twin: bool = False) -> None:
    """A floor of its own with one room, found in place of ours."""
    floor = folder / f"floor_{folder.name.replace('-', '_')}"
    room = floor / "cells"
    room.mkdir(parents=True)
    (floor / "__init__.py").touch()
    (room / "__init__.py").write_text('TASK = "expression"\n')
    (room / "mine.py").write_text(text)
    if twin:
        (floor / "other").mkdir()
        (floor / "other" / "__init__.py").write_text('TASK = "bulk"\n')
        (floor / "other" / "mine.py").write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(registry, "builtin_models", lambda: builtin.builtin_models(floor))
    rooms = builtin.rooms
    monkeypatch.setattr(builtin, "rooms", lambda at=floor: rooms(at))


def test_a_new_file_in_a_room_is_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _toy_floor(tmp_path, monkeypatch, GOOD)
    assert set(known_models({})) == {"mine"}
    assert load_model_class("mine", {}, ROOT).card.title == "Mine"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = 1\ny = x / 0\n", r"mine\.py:2: ZeroDivisionError"),
        ("class Mine: ...\n", r"mine\.py: no class with a card; expected one class with a card named 'mine'"),
        (GOOD.replace('name="mine"', 'name="other"'), r"mine\.py: Mine \(other\); expected .* named 'mine'"),
        (GOOD + GOOD.replace("class Mine", "class Twin"), r"Mine \(mine\), Twin \(mine\)"),
        (
            GOOD.replace('title="Mine"', 'title="Mine", task="bulk"'),
            r"its card's task is 'bulk'; expected 'expression'",
        ),
        ("from protocols.toy import toy_training\n", "no class with a card"),
    ],
)
def test_a_broken_file_of_a_room_is_named(
    text: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _toy_floor(tmp_path, monkeypatch, text)
    with pytest.raises(UserError, match=says):
        load_model_class("mine", {}, ROOT)


def test_two_rooms_with_one_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _toy_floor(tmp_path, monkeypatch, GOOD, twin=True)
    with pytest.raises(UserError, match=r"cells\.mine and .*other\.mine"):
        known_models({})


def test_a_file_relative_to_the_root(tmp_path: Path) -> None:
    cls = load_model_class("mine", {"mine": _file(tmp_path, GOOD)}, tmp_path)
    assert cls.card.title == "Mine"
    assert source_closure(cls) == [tmp_path / "mine.py"]


def test_a_module_and_an_adapter_that_hides_a_built_in(tmp_path: Path) -> None:
    adapters = {"uni": "baselines.expression.uni:UNI"}
    assert load_model_class("uni", adapters, tmp_path).card.name == "uni"
    assert is_outside("uni", adapters)
    text = GOOD.replace('"mine"', '"uni"')
    assert load_model_class("uni", {"uni": _file(tmp_path, text)}, tmp_path).card.title == "Mine"


def test_an_entry_point(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "their_models.py"
    package.write_text(GOOD.replace("mine", "theirs"))
    monkeypatch.syspath_prepend(str(tmp_path))
    _install(monkeypatch, ("theirs", "their_models:Mine"))
    assert load_model_class("theirs", {}, ROOT).card.name == "theirs"
    assert is_outside("theirs", {})
    assert start_of("theirs", {}, ROOT) == "their_models"


def test_an_installed_model_never_hides_a_built_in(monkeypatch: pytest.MonkeyPatch) -> None:
    _install(monkeypatch, ("uni", "theirs.models:UNI"))
    with pytest.raises(UserError, match=r"two models 'uni': theirs\.models:UNI and baselines\.expression\.uni"):
        known_models({})
    adapters = {"uni": "baselines.expression.uni:UNI"}
    assert known_models(adapters)["uni"] == adapters["uni"]


def test_two_installed_models_of_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    _install(monkeypatch, ("x", "one.models:X"), ("x", "two.models:X"))
    with pytest.raises(UserError, match=r"two\.models:X and one\.models:X"):
        known_models({})


def test_where_the_imports_of_a_model_begin(tmp_path: Path) -> None:
    adapters = {
        "file": "no/such/file.py:Mine",
        "module": "package.module:Mine",
        "line": "sklearn.linear_model:Ridge(alpha=10) @ uni",
    }
    assert start_of("uni", adapters, tmp_path) == "baselines.expression.uni"
    assert start_of("file", adapters, tmp_path) == tmp_path / "no/such/file.py"
    assert start_of("module", adapters, tmp_path) == "package.module"
    assert start_of("line", adapters, tmp_path) == "baselines.regression.sklearn_probe"
    assert [name for name in ("uni", "file", "module", "line") if is_outside(name, adapters)] == ["file", "module"]


def test_unknown_name_gets_the_nearest() -> None:
    for ask in (load_model_class, start_of):
        with pytest.raises(UserError, match="did you mean 'ctranspath'"):
            ask("ctranspth", {}, ROOT)


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
    before = list(sys.path)
    with pytest.raises(UserError, match=says):
        load_model_class("mine", {"mine": _file(tmp_path, text)}, tmp_path)
    if "Error" in says:
        assert sys.path == before


@pytest.mark.parametrize("target", ["mine.py", "no/such/file.py:Mine", "no_such_module_at_all:Mine", ":Mine"])
def test_a_target_that_leads_nowhere(target: str, tmp_path: Path) -> None:
    with pytest.raises(UserError):
        load_model_class("mine", {"mine": target}, tmp_path)


def test_neighbours_are_found_at_once_and_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    text = "from beside_at_once import LAYERS\n" + GOOD.replace(
        "def fit(self, train): ...",
        "def fit(self, train):\n        from beside_later import FOUND\n        return FOUND",
    )
    (tmp_path / "beside_at_once.py").write_text("import beside_of_beside\nLAYERS = 3\n")
    (tmp_path / "beside_of_beside.py").touch()
    (tmp_path / "beside_later.py").write_text("FOUND = 'later'\n")
    (tmp_path / "not_used.py").touch()
    cls = load_model_class("mine", {"mine": _file(tmp_path, text)}, tmp_path)
    assert cls().fit(None) == "later"  # type: ignore[func-returns-value, arg-type]
    names = ("beside_at_once", "beside_later", "beside_of_beside", "mine")
    assert source_closure(cls) == [tmp_path / f"{name}.py" for name in names]


def test_neighbours_of_one_name_do_not_stand_in_for_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    for folder in ("one", "two"):
        text = "import same_net\n" + GOOD.replace('"mine"', f'"{folder}"')
        _file(tmp_path / folder, text)
        (tmp_path / folder / "same_net.py").write_text(f"WHO = {folder!r}\n")
    adapters = {folder: f"{folder}/mine.py:Mine" for folder in ("one", "two")}
    load_model_class("one", adapters, tmp_path)
    load_model_class("one", adapters, tmp_path)  # a second look at the same file is no collision
    with pytest.raises(UserError, match=r"two/mine\.py: its neighbour same_net\.py .*one/same_net\.py"):
        load_model_class("two", adapters, tmp_path)


def _closure(name: str) -> set[str]:
    return {path.relative_to(ROOT).as_posix() for path in source_closure(load_model_class(name, {}, ROOT))}


def test_closure_of_a_probe_is_small_and_that_of_st_net_reaches_the_loop() -> None:
    packages = ("", "expression/", "expression/parts/", "regression/")
    assert _closure("uni") == {
        *(f"baselines/{package}__init__.py" for package in packages),
        "baselines/expression/uni.py",
        "baselines/expression/parts/ridge_probe.py",
        "baselines/regression/ridge.py",
    }
    assert _closure("train_mean") == {"baselines/expression/train_mean.py"}
    # imports inside functions and two steps away count too
    assert {
        "baselines/training/finetuning.py",
        "baselines/encoders/modules.py",
        "baselines/encoders/rows_photographs.py",
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
