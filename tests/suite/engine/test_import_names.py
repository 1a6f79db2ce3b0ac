"""What sources import is read once for each content, and what was kept never stands for other bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocols.errors import UserError
from protocols.files import sha256_of
from suite.engine import import_names
from suite.engine.import_names import imported_names, keep_names
from suite.places import IMPORTS

SOURCE = """
from __future__ import annotations
import os.path, json as written
from . import beside
from ..above import thing
from .. import other
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import never
else:
    import always
def late():
    import inside
    __import__("called")
    importlib.import_module("a.module")
    import_module(computed)
"""
SAID = {
    "__future__", "__future__.annotations", "os.path", "json", "pkg.sub", "pkg.sub.beside", "pkg.above",
    "pkg.above.thing", "pkg", "pkg.other", "typing", "typing.TYPE_CHECKING", "always", "inside", "called", "a.module",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is remembered, and the run's folder is empty."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(import_names, "_memory", {})
    monkeypatch.setattr(import_names, "_used", set())
    monkeypatch.setattr(import_names, "_loaded", [])
    imported_names.cache_clear()
    yield
    imported_names.cache_clear()


def names(path: Path, module: str = "pkg.sub.mine") -> frozenset[str]:
    return imported_names(path, module, sha256_of(path))


def forget() -> None:
    import_names._memory.clear()
    import_names._used.clear()
    import_names._loaded.clear()
    imported_names.cache_clear()


def test_every_way_to_import_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    assert names(path) == SAID
    package = tmp_path / "__init__.py"
    package.write_text("from . import one\nfrom .two import three\n")
    assert names(package, "pkg.sub") == {"pkg.sub", "pkg.sub.one", "pkg.sub.two", "pkg.sub.two.three"}


def test_one_content_under_two_names_means_two_things(tmp_path: Path) -> None:
    """What is kept is what the file says, not what it means where it lies."""
    path = tmp_path / "mine.py"
    path.write_text("from .a import b\n")
    assert names(path, "first.mine") == {"first.a", "first.a.b"}
    assert names(path, "second.mine") == {"second.a", "second.a.b"}


def test_what_was_kept_is_taken_and_nothing_is_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    names(path)
    keep_names()
    forget()
    monkeypatch.setattr("ast.parse", lambda _: pytest.fail("parsed again"))
    assert names(path) == SAID


def test_other_bytes_of_the_same_size_and_time_are_read(tmp_path: Path) -> None:
    import os

    path = tmp_path / "mine.py"
    path.write_text("import abc\n")
    stat = path.stat()
    assert names(path) == {"abc"}
    keep_names()
    forget()
    path.write_text("import xyz\n")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert names(path) == {"xyz"}


@pytest.mark.parametrize("text", ["", "[]", '{"names": {"a": 3}}', '{"read_by": "', "null"])
def test_a_torn_file_is_no_answer(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text("import abc\n")
    IMPORTS.parent.mkdir(parents=True)
    IMPORTS.write_text(text)
    assert names(path) == {"abc"}


def test_names_read_by_another_version_are_read_again(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("import abc\n")
    names(path)
    keep_names()
    told = json.loads(IMPORTS.read_text())
    told["names"] = {sha256: [[0, "of_before"]] for sha256 in told["names"]}
    IMPORTS.write_text(json.dumps(told))
    forget()
    assert names(path) == {"of_before"}, "the file is really asked"
    IMPORTS.write_text(json.dumps(told | {"read_by": "another"}))
    forget()
    assert names(path) == {"abc"}


def test_what_is_gone_is_forgotten(tmp_path: Path) -> None:
    first, second = tmp_path / "first.py", tmp_path / "second.py"
    first.write_text("import abc\n")
    second.write_text("import json\n")
    names(first)
    names(second)
    keep_names()
    forget()
    names(second)
    keep_names()
    assert list(json.loads(IMPORTS.read_text())["names"]) == [sha256_of(second)]


def test_a_file_that_is_no_python_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("import abc\ndef (:\n")
    with pytest.raises(UserError, match=r"mine\.py:2"):
        names(path)
