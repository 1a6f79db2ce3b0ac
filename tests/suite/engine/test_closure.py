"""The closure holds what really runs: every way to import, on small trees, on installed packages and on this house."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from protocols.errors import UserError
from suite.engine.closure import CHECKOUT, FLOORS, Closure, closure_of, closure_within, imported_files


def write(root: Path, **files: str) -> Path:
    """Files by name, ``__`` between folders and no ending: ``ours__part__one="import json"``."""
    for name, text in files.items():
        path = root / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def package(root: Path, *folders: str) -> None:
    for folder in folders:
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder / "__init__.py").touch()


def labels(closure: Closure) -> list[str]:
    return [name for name, _ in closure.named]


def reached(root: Path, *starts: str | Path) -> list[str]:
    return labels(closure_within(root, ("ours", "theirs"), starts))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two packages, ``ours`` (with a part) and ``theirs``, and in each a module that nobody imports."""
    package(tmp_path, "ours", "ours/part", "theirs")
    return write(
        tmp_path, ours__idle="", ours__part__idle="", theirs__idle="", ours__b="", ours__part__c="", theirs__d=""
    )


INIT, PART = "ours/__init__.py", "ours/part/__init__.py"


@pytest.mark.parametrize(
    ("text", "also"),
    [
        ("import ours.b", ["ours/b.py"]),
        ("import ours.b as other, theirs.d", ["ours/b.py", "theirs/__init__.py", "theirs/d.py"]),
        ("from ours import b, VALUE", ["ours/b.py"]),
        ("from ours.b import VALUE", ["ours/b.py"]),
        ("def later():\n    if True:\n        from ours import b", ["ours/b.py"]),
        ("class A:\n    def f(self):\n        async def g():\n            import ours.b", ["ours/b.py"]),
        ("try:\n    1\nexcept OSError:\n    import ours.b", ["ours/b.py"]),
        ("try:\n    1\nfinally:\n    import ours.b", ["ours/b.py"]),
        ("for i in ():\n    1\nelse:\n    import ours.b", ["ours/b.py"]),
        ("match 1:\n    case 1:\n        import ours.b", ["ours/b.py"]),
        ("with open('x'):\n    import ours.b", ["ours/b.py"]),
        ("from . import b", ["ours/b.py"]),
        ("from .b import VALUE", ["ours/b.py"]),
        ("from .part.c import VALUE", [PART, "ours/part/c.py"]),
        ("import ours.part.c", [PART, "ours/part/c.py"]),
        ("import ours.part", [PART]),
        ("from ours.part import *", [PART, "ours/part/c.py", "ours/part/idle.py"]),
        ("from importlib import import_module\nimport_module('ours.b')", ["ours/b.py"]),
        ("from importlib import import_module as load\nload('ours.b')", ["ours/b.py"]),
        ("import importlib\nx = lambda: importlib.import_module(name='ours.b').y", ["ours/b.py"]),
        ("import importlib\nimportlib.import_module('.b', __package__)", ["ours/b.py"]),
        ("import importlib\n[importlib.import_module(f'ours.part.{name}') for name in 'ab']", [PART]),
        ("__import__('ours.b')", ["ours/b.py"]),
        ("import importlib\nimportlib.import_module(name)", []),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import ours.b", []),
        (
            "import typing\nif typing.TYPE_CHECKING:\n    import ours.b\nelse:\n    import theirs",
            ["theirs/__init__.py"],
        ),
        ("text = 'import ours.b'", []),
        ("import json, os.path", []),
        ("import ours.nowhere", []),
    ],
)
def test_what_a_line_reaches(root: Path, text: str, also: list[str]) -> None:
    write(root, ours__a=text)
    assert reached(root, "ours.a") == sorted([INIT, "ours/a.py", *also])


def test_two_dots_lead_one_package_up(root: Path) -> None:
    write(root, ours__part__c="from ..b import VALUE\nfrom .. import part")
    assert reached(root, "ours.part.c") == [INIT, "ours/b.py", PART, "ours/part/c.py"]


def test_a_package_file_counts_its_dots_from_itself(root: Path) -> None:
    (root / "ours/part/__init__.py").write_text("from .c import VALUE\nfrom ..b import OTHER")
    assert reached(root, "ours.part") == [INIT, "ours/b.py", PART, "ours/part/c.py"]


def test_what_a_package_above_imports_counts(root: Path) -> None:
    (root / "ours/__init__.py").write_text("import theirs.d")
    assert reached(root, "ours.b") == [INIT, "ours/b.py", "theirs/__init__.py", "theirs/d.py"]


def test_a_circle_ends(root: Path) -> None:
    write(root, ours__a="import ours.b", ours__b="from ours import a")
    assert reached(root, "ours.a") == reached(root, "ours.b") == [INIT, "ours/a.py", "ours/b.py"]


def test_a_package_goes_before_a_module_of_its_name_and_folders_need_no_init(root: Path) -> None:
    write(root, ours__part="", ours__a="import ours.part.c, ours.plain.e", ours__plain__e="import theirs.d")
    theirs = ["theirs/__init__.py", "theirs/d.py"]
    assert reached(root, "ours.a") == [INIT, "ours/a.py", PART, "ours/part/c.py", "ours/plain/e.py", *theirs]


def test_several_starts_are_one_closure(root: Path) -> None:
    assert reached(root, "ours.b", "theirs.d") == [INIT, "ours/b.py", "theirs/__init__.py", "theirs/d.py"]


def test_files_are_absolute_sorted_and_exist(root: Path) -> None:
    files = closure_within(root, ("ours",), ["ours.part.c"]).files
    assert files == (root / "ours/__init__.py", root / "ours/part/__init__.py", root / "ours/part/c.py")


# --- an adapter and its neighbours ---


def test_an_adapter_finds_what_lies_beside_it(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("home")
    package(home, "nets")
    write(
        home, adapter="from my_net import Net\nfrom ours.b import VALUE", my_net="def f():\n    import nets.deep, numpy"
    )
    write(home, nets__deep="from . import blocks", nets__blocks="", numpy="import idle", json="import idle", idle="")
    closure = closure_within(root, ("ours",), [home / "adapter.py"])
    beside = ["adapter.py", "my_net.py", "nets/__init__.py", "nets/blocks.py", "nets/deep.py"]
    assert labels(closure) == sorted([*beside, INIT, "ours/b.py"])
    assert closure.libraries == ("numpy",)  # the installed one, not the file of its name
    assert labels(closure_within(root, ("ours",), [str(home / "adapter.py")])) == labels(closure)


def test_two_adapters_each_have_their_own_neighbour(root: Path) -> None:
    for name in ("one", "two"):
        write(root, **{f"{name}__adapter": "import my_net", f"{name}__my_net": f"# {name}"})
    closure = closure_within(root, ("ours",), [root / "one/adapter.py", root / "two/adapter.py"])
    assert closure.files == tuple(
        root / f"{name}/{file}.py" for name in ("one", "two") for file in ("adapter", "my_net")
    )


def test_our_own_file_given_as_a_file_brings_its_package(root: Path) -> None:
    write(root, ours__part__c="from . import d", ours__part__d="")
    assert reached(root, root / "ours/part/c.py") == [INIT, PART, "ours/part/c.py", "ours/part/d.py"]


def test_a_declared_file_counts_by_its_bytes(root: Path) -> None:
    adapter = write(root, home__adapter="") / "home/adapter.py"
    weights = root / "home/my_weights.npy"
    weights.write_bytes(b"1")

    def digest() -> str:
        return closure_within(root, ("ours",), [adapter], [weights]).digest

    before = digest()
    assert before != closure_within(root, ("ours",), [adapter]).digest
    weights.write_bytes(b"2")
    assert digest() != before
    weights.write_bytes(b"1")
    assert digest() == before


# --- the digest ---


def test_the_digest_changes_with_what_is_reached_and_with_nothing_else(root: Path) -> None:
    write(root, ours__a="def f():\n    import ours.part.c")

    def digest() -> str:
        return closure_within(root, ("ours",), ["ours.a"]).digest

    before = digest()
    for idle in ("ours/idle.py", "ours/b.py", "ours/part/idle.py", "ours/unborn.py"):
        (root / idle).write_text("changed = 1")
        assert digest() == before
    for part in ("ours/a.py", "ours/part/c.py", "ours/__init__.py", "ours/part/__init__.py"):
        text = (root / part).read_text()
        (root / part).write_text(f"{text}\n")
        assert digest() != before
        (root / part).write_text(text)
        assert digest() == before


def test_a_module_that_appears_is_seen(root: Path) -> None:
    write(root, ours__a="from ours import unborn")
    assert reached(root, "ours.a") == [INIT, "ours/a.py"]
    write(root, ours__unborn="")
    assert reached(root, "ours.a") == [INIT, "ours/a.py", "ours/unborn.py"]


def test_an_edit_within_one_tick_of_the_clock_is_seen(root: Path) -> None:
    for turn in range(50):
        write(root, ours__a="import ours.b" if turn % 2 else "import theirs")
        assert ("ours/b.py" in reached(root, "ours.a")) == bool(turn % 2)


def test_the_digest_does_not_say_where_the_files_lie(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    write(root, ours__a="import ours.b, numpy", home__adapter="import net, ours.a", home__net="", home__weights="")
    other = tmp_path_factory.mktemp("other") / "deep" / "copy"
    shutil.copytree(root, other)
    closures = [
        closure_within(place, ("ours",), ["ours.a", place / "home/adapter.py"], [place / "home/weights.py"])
        for place in (root, other)
    ]
    assert closures[0].digest == closures[1].digest
    assert not set(closures[0].files) & set(closures[1].files)
    outside = [closure_within(root, ("ours",), ["ours.a"], [place / "home/weights.py"]) for place in (root, other)]
    assert [labels(closure)[0] for closure in outside] == ["declared home/weights.py", "declared weights.py"]


def test_the_digest_holds_names_and_contents(root: Path) -> None:
    write(root, ours__a="1", ours__e="2")
    first = closure_within(root, ("ours",), ["ours.a", "ours.e"]).digest
    write(root, ours__a="2", ours__e="1")
    assert closure_within(root, ("ours",), ["ours.a", "ours.e"]).digest != first


# --- libraries ---


def install(site: Path, name: str, version: str, module: str, editable: bool = False) -> None:
    """What an installer leaves behind: a module and the distribution's metadata."""
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    write(site, **{module: "import deep_below"})
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "RECORD").write_text(f"{module}.py,,\n")
    (info / "top_level.txt").write_text(module)
    if editable:
        (info / "direct_url.json").write_text(json.dumps({"url": "file:///x", "dir_info": {"editable": True}}))


def test_libraries_are_distributions_and_the_standard_library_is_none(root: Path) -> None:
    write(
        root, ours__a="import json, numpy.linalg\nfrom yaml import x\ndef f():\n    import cv2", ours__b="import scipy"
    )
    closure = closure_within(root, ("ours",), ["ours.a"])
    assert closure.libraries == ("PyYAML", "numpy", "opencv-python-headless")
    import numpy

    assert closure.versions()["numpy"] == numpy.__version__


def test_a_library_that_appears_and_one_that_is_updated_change_the_digest(
    root: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(root, ours__a="try:\n    import optional_thing.part\nexcept ImportError:\n    pass")
    found = [closure_within(root, ("ours",), ["ours.a"])]
    digests = [found[0].digest]
    assert found[0].versions() == {"optional_thing": "absent"}
    for version in ("1.0", "1.1"):
        site = tmp_path_factory.mktemp("site")
        install(site, "optional-thing", version, "optional_thing")
        monkeypatch.syspath_prepend(site)
        closure = closure_within(root, ("ours",), ["ours.a"])
        digests.append(closure.digest)
        assert closure.versions() == {"optional-thing": version}
        assert labels(closure) == [INIT, "ours/a.py"]
    assert len(set(digests)) == 3


def test_what_no_version_speaks_for_is_read(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site"
    install(site, "in-the-making", "1.0", "in_the_making", editable=True)
    write(site, on_the_path="import ours.b", deep_below="")
    monkeypatch.syspath_prepend(site)
    write(root, ours__a="import in_the_making, on_the_path")
    closure = closure_within(root, ("ours",), ["ours.a"])
    assert labels(closure) == ["deep_below.py", "in_the_making.py", "on_the_path.py", INIT, "ours/a.py", "ours/b.py"]
    assert closure.libraries == ()


def test_an_installed_package_as_a_start_is_read_like_ours(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    install(site, "their-models", "1.0", "their_pkg/__init__")
    write(site, their_pkg__model="from .layers import Net\nimport ours.b, numpy", their_pkg__layers="")
    (site / "their_pkg/__init__.py").write_text("raise RuntimeError('never executed')")
    (site / "their_models-1.0.dist-info/top_level.txt").write_text("their_pkg")
    monkeypatch.syspath_prepend(site)
    closure = closure_within(root, ("ours",), ["their_pkg.model"])
    theirs = ["their_pkg/__init__.py", "their_pkg/layers.py", "their_pkg/model.py"]
    assert labels(closure) == [INIT, "ours/b.py", *theirs]
    assert closure.libraries == ("numpy",)


# --- refusals ---


@pytest.mark.parametrize(
    ("start", "says"),
    [
        ("ours.bb", r"no module 'ours\.bb'.*did you mean 'ours\.b'"),
        ("ours.part.nothing", r"no module 'ours\.part\.nothing'.*ours\.part\.c"),
        ("outs.b", r"no package 'outs'.*did you mean 'ours'"),
        ("json", r"no package 'json'"),
        (Path("nowhere/adapter.py"), r"adapter\.py: no such file"),
    ],
)
def test_a_start_that_leads_nowhere(root: Path, start: str | Path, says: str) -> None:
    with pytest.raises(UserError, match=says):
        reached(root, start)


def test_a_declared_file_that_is_missing(root: Path) -> None:
    with pytest.raises(UserError, match=r"my_weights\.npy: no such file"):
        closure_within(root, ("ours",), ["ours.b"], [root / "my_weights.npy"])


def test_a_file_that_does_not_parse_is_named_with_its_line(root: Path) -> None:
    write(root, ours__a="import ours.b", ours__b="x = 1\nclass Mine\n")
    with pytest.raises(UserError, match=r"b\.py:2: it does not parse"):
        reached(root, "ours.a")


# --- this house ---

ENTRIES = (
    "protocols.survival.scoring",
    "protocols.metrics.spatial_maps",
    "suite.stages.predict",
    "suite.stages.survival_predict",
    "suite.cli",
    "baselines.registry",
    "baselines.sequoia_vis",
    "baselines.past_faithful",
    "reports.page",
)


@pytest.mark.parametrize("entry", ENTRIES)
def test_everything_that_a_fresh_process_imports_lies_in_the_closure(entry: str) -> None:
    code = f"import sys, {entry}; print(*(getattr(m, '__file__', None) or '' for m in sys.modules.values()), sep='\\n')"
    loaded = {Path(line) for line in python(code).splitlines() if line}
    ours = {path for path in loaded if path.is_relative_to(CHECKOUT) and path.relative_to(CHECKOUT).parts[0] in FLOORS}
    assert ours
    assert ours <= set(closure_of(entry).files)


def test_what_functions_import_when_they_run_lies_in_the_closure() -> None:
    """The command that lists everything imports inside its function; the names that it computes are given as starts."""
    code = (
        "import sys; from suite.cli import list_known; list_known();"
        "print('loaded'); print(*(getattr(m, '__file__', None) or '' for m in sys.modules.values()), sep='\\n');"
        "from baselines.registry import BUILTIN; from protocols import BULK, EXPRESSION, IMAGE, SURVIVAL;"
        "print('starts'); print(*(target.partition(':')[0] for target in BUILTIN.values()), sep='\\n');"
        "print(*(f'protocols.{name}' for name in (*BULK, *EXPRESSION, *IMAGE, *SURVIVAL)), sep='\\n')"
    )
    loaded, starts = (part.split() for part in python(code).partition("loaded\n")[2].split("starts\n"))
    ours = {file for file in map(Path, loaded) if file.is_relative_to(CHECKOUT)}
    ours = {file for file in ours if file.relative_to(CHECKOUT).parts[0] in FLOORS}
    assert len(ours) > 100
    assert ours <= set(closure_of("suite.cli", *starts).files)


def test_imported_files_are_ours_alone() -> None:
    found = imported_files()
    assert CHECKOUT / "suite/engine/closure.py" in found
    assert Path(__file__) not in found
    assert all(path.relative_to(CHECKOUT).parts[0] in FLOORS for path in found)


def test_a_probe_does_not_depend_on_the_loop_and_st_net_does() -> None:
    probe, network = (set(labels(closure_of(f"baselines.{name}"))) for name in ("uni", "st_net"))
    assert "baselines/shared/ridge.py" in probe
    assert "baselines/shared/finetuning.py" in network - probe
    assert "past_model/timm_import.py" in network - probe
    assert "torch" not in closure_of("baselines.train_mean").libraries
    assert "torch" in closure_of("baselines.st_net").libraries


def test_the_floors_are_the_packages_that_are_installed() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    assert [f"{floor}*" for floor in FLOORS] == project["tool"]["setuptools"]["packages"]["find"]["include"]


def test_all_models_and_tasks_take_little_time() -> None:
    """Cold, in a process of its own: about one second of computing, whatever else the machine does."""
    code = (
        "import time; from baselines.registry import BUILTIN; from suite.engine.closure import closure_of;"
        "starts = [target.partition(':')[0] for target in BUILTIN.values()] + ['suite.stages.predict', 'suite.cli'];"
        "begin = time.process_time(); [closure_of(start, 'suite.stages.predict').digest for start in starts];"
        "print(time.process_time() - begin)"
    )
    assert float(python(code)) < 3.0


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=CHECKOUT).stdout
