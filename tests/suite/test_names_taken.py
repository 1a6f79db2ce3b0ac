"""A name that two things have is an error whose advice can be followed: nothing wins in silence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import Distribution, EntryPoint
from pathlib import Path

import pytest

from baselines import registry as models
from baselines.encoders import entries as encoders
from protocols import registry
from protocols.errors import UserError
from suite.engine import closure
from suite.engine.closure import closure_of
from tests.entry_points import install

MODEL = """
{imports}
from protocols.contract import Card

class Mine:
    card = Card(name="mine", title="Mine")
    def fit(self, train): ...
    def predict(self, test): ...
"""


@pytest.fixture
def brought(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[str, str], None]]:
    """Installs a package of the name ``their-package`` with one entry point, as far as the registries can see."""
    (tmp_path / "their_package-1.dist-info").mkdir()
    (tmp_path / "their_package-1.dist-info" / "METADATA").write_text("Name: their-package\nVersion: 1\n")

    def bring(group: str, name: str) -> None:
        point = EntryPoint(name, "their_package:THING", group)._for(distribution(tmp_path))  # type: ignore[attr-defined]
        install(monkeypatch, point)
        encoders._points.cache_clear()

    yield bring
    monkeypatch.undo()
    encoders._points.cache_clear()


def distribution(folder: Path) -> Distribution:
    return Distribution.at(folder / "their_package-1.dist-info")


@pytest.mark.parametrize(
    ("group", "name", "built_in", "asked"),
    [
        ("slide2omics.tasks", "survival", "protocols.survival.task", registry.task_modules),
        ("slide2omics.protocols", "ihc4bc", "protocols.questions.ihc4bc", registry.protocol_modules),
        ("slide2omics.readers", "bulk.gtex", "protocols.bulk.readers.gtex", lambda: registry.reader_modules("bulk")),
        ("slide2omics.models", "uni", "baselines.expression.uni", lambda: models.known_models({})),
        ("slide2omics.encoders", "uni", "the table of encoders", lambda: encoders.known_encoders({})),
    ],
)
def test_an_entry_point_of_a_built_ins_name(
    brought: Callable[[str, str], None], group: str, name: str, built_in: str, asked: Callable[[], object]
) -> None:
    brought(group, name)
    with pytest.raises(UserError) as caught:
        asked()
    kind = group.rpartition(".")[2].removesuffix("s")
    assert caught.value.what == f"{kind} {name!r} is brought by {built_in} and by their_package:THING (their-package)"
    assert caught.value.where == f"entry points {group}"
    assert caught.value.remedy.startswith("uninstall their-package, or give its entry point another name")


def test_an_adapter_settles_which_model_is_meant(brought: Callable[[str, str], None]) -> None:
    brought("slide2omics.models", "uni")
    with pytest.raises(UserError, match="or name the one that you mean under adapters"):
        models.known_models({"other": "other.py:Other"})
    chosen = "baselines.expression.uni:UNI"
    assert models.known_models({"uni": chosen})["uni"] == chosen
    assert models.load_model_class("uni", {"uni": chosen}, Path()).card.name == "uni"


@pytest.mark.parametrize(
    ("beside", "imports", "other"),
    [
        ("yaml.py", "import yaml", "yaml/__init__.py"),
        ("yaml/__init__.py", "from yaml import safe_load", "yaml/__init__.py"),
        ("random.py", "import random", "a module of Python's own library"),
        ("reports/__init__.py", "def later():\n    from reports import write", "a package of slide2omics"),
    ],
)
def test_a_module_beside_an_adapter_of_an_installed_ones_name(
    tmp_path: Path, beside: str, imports: str, other: str
) -> None:
    path = tmp_path / beside
    path.parent.mkdir(exist_ok=True)
    path.write_text("VALUE = 1\n")
    (tmp_path / "mine.py").write_text(MODEL.format(imports=imports))
    top = beside.partition("/")[0].removesuffix(".py")
    with pytest.raises(
        UserError, match=f"it imports '{top}'.* beside it as well as .*{other}; .*rename the one beside"
    ):
        closure_of(tmp_path / "mine.py")


def test_so_is_one_that_a_neighbour_imports(tmp_path: Path) -> None:
    (tmp_path / "yaml.py").write_text("VALUE = 1\n")
    (tmp_path / "my_net.py").write_text("import yaml\n")
    (tmp_path / "mine.py").write_text(MODEL.format(imports="import my_net"))
    with pytest.raises(UserError, match=r"my_net\.py: it imports 'yaml'"):
        closure_of(tmp_path / "mine.py")


def test_an_adapter_is_its_file_whatever_else_has_its_name(tmp_path: Path) -> None:
    (tmp_path / "calendar.py").write_text(MODEL.format(imports="import my_net"))
    (tmp_path / "my_net.py").write_text("VALUE = 1\n")
    assert {"calendar.py", "my_net.py"} <= {name for name, _ in closure_of(tmp_path / "calendar.py").named}


def test_one_that_nothing_imports_is_no_matter(tmp_path: Path) -> None:
    """Not even if our own code does: that always has the installed one."""
    (tmp_path / "yaml.py").write_text("VALUE = 1\n")
    (tmp_path / "my_net.py").write_text("VALUE = 1\n")
    (tmp_path / "mine.py").write_text(MODEL.format(imports="import my_net"))
    named = {name for name, _ in closure_of(tmp_path / "mine.py", "suite.config").named}
    assert {"mine.py", "my_net.py", "suite/config.py"} <= named
    assert "yaml.py" not in named


def test_an_adapter_at_the_root_of_a_checkout_has_the_projects_own_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They lie beside it and are the same."""
    (tmp_path / "protocols").mkdir()
    (tmp_path / "protocols" / "__init__.py").touch()
    (tmp_path / "mine.py").write_text("import protocols\n")
    with pytest.raises(UserError, match="a package of slide2omics"):
        closure_of(tmp_path / "mine.py")
    monkeypatch.setattr(closure, "CHECKOUT", tmp_path)
    closure._elsewhere.cache_clear()
    try:
        assert [name for name, _ in closure_of(tmp_path / "mine.py").named] == ["mine.py", "protocols/__init__.py"]
    finally:
        monkeypatch.undo()
        closure._elsewhere.cache_clear()
