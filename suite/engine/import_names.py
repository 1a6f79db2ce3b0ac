"""Dotted names that a source file may import: read with ``ast``, once for each content of a file.

Imports inside functions count; blocks under ``if TYPE_CHECKING:`` never run and do not. What was read is kept by the
SHA-256 of the file's bytes, so that the next process need not parse hundreds of files that nobody touched.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from protocols.errors import UserError
from protocols.files import sha256_of, write_text_whole
from suite.places import IMPORTS

Spoken = list[tuple[int, str]]
"""Names as a file says them: how many dots stand before, and the dotted name behind."""
_memory: dict[str, Spoken] = {}
_used: set[str] = set()
_loaded: list[Path] = []


@cache
def imported_names(path: Path, module: str, sha256: str) -> frozenset[str]:
    """``import a.b`` gives ``a.b``; ``from a import b`` gives ``a`` and ``a.b`` (``b`` may be a module).

    ``module`` is the file's own dotted name, ``sha256`` of its bytes. A file that is no Python (``.py``) has none.
    """
    if path.suffix != ".py":
        return frozenset()
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    names = (
        ".".join([*(package[: len(package) - dots + 1] if dots else []), *([name] if name else [])])
        for dots, name in _spoken(path, sha256)
    )
    return frozenset(name for name in names if name)


def keep_names() -> None:
    """Write what this process asked for; what it did not ask for is of files that are gone, and is forgotten."""
    IMPORTS.parent.mkdir(parents=True, exist_ok=True)
    names = {sha256: _memory[sha256] for sha256 in sorted(_used)}
    write_text_whole(IMPORTS, json.dumps({"read_by": _reader(), "names": names}))


def _spoken(path: Path, sha256: str) -> Spoken:
    _load()
    _used.add(sha256)
    if sha256 not in _memory:
        _memory[sha256] = _read(path)
    return _memory[sha256]


def _load() -> None:
    place = IMPORTS.absolute()
    if place in _loaded:
        return
    _loaded.append(place)
    try:
        told = json.loads(place.read_text())
        if told["read_by"] == _reader():
            _memory.update({str(sha): [(int(n), str(name)) for n, name in said] for sha, said in told["names"].items()})
    except FileNotFoundError:
        return
    except (ValueError, TypeError, KeyError, AttributeError):  # a torn file says nothing; the sources are read again
        place.unlink()


@cache
def _reader() -> str:
    """Whoever mends this file reads every source anew."""
    return sha256_of(Path(__file__))


def _read(path: Path) -> Spoken:
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError as error:
        raise UserError(
            f"SyntaxError: {error.msg}", where=f"{path}:{error.lineno}", expected="Python", remedy="mend the file"
        ) from None
    said: set[tuple[int, str]] = set()
    for node in _executed(tree):
        if isinstance(node, ast.Import):
            said.update((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            said.add((node.level, base))
            said.update((node.level, f"{base}.{alias.name}" if base else alias.name) for alias in node.names)
        elif isinstance(node, ast.Call) and _is_import_call(node.func) and node.args:
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                said.add((0, first.value))
    return sorted(said)


def _executed(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node but those under ``if TYPE_CHECKING:``."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and _names_type_checking(node.test):
            waiting += node.orelse
        else:
            waiting += ast.iter_child_nodes(node)


def _names_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def _is_import_call(function: ast.expr) -> bool:
    return (isinstance(function, ast.Name) and function.id in ("import_module", "__import__")) or (
        isinstance(function, ast.Attribute) and function.attr == "import_module"
    )
