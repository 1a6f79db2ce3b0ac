"""What one source file says that it imports: read with ``ast``, nothing is executed."""

from __future__ import annotations

import ast
import gc
from collections.abc import Iterator
from pathlib import Path

from protocols.errors import UserError
from suite.engine.remembered import remembered_by_content

LOADERS = ("import_module", "__import__")
"""Functions that import a module by its name; followed where that name is a literal."""


@remembered_by_content
def imported_names(path: str, module: str) -> frozenset[str]:
    """Dotted names that the file of ``module`` may import, wherever in it the import stands.

    ``from a import b`` gives ``a`` and ``a.b`` (``b`` may be a module), ``from a import *`` gives ``a`` and ``a.*``. A
    literal in ``import_module("a.b")`` counts, and of ``import_module(f"a.{name}")`` the package ``a``; other computed
    names are not seen. What stands under ``if TYPE_CHECKING:`` never runs and does not count. A file that does not
    parse is a :class:`UserError`.
    """
    source = Path(path).read_bytes()
    package = module.split(".")
    if Path(path).name != "__init__.py":
        package = package[:-1]
    collecting = gc.isenabled()
    gc.disable()  # a tree is many objects and no cycles: searching them for garbage takes a third of the time
    try:
        return frozenset(_names(ast.parse(source), package, by_name=any(name.encode() in source for name in LOADERS)))
    except SyntaxError as error:
        raise UserError(
            f"it does not parse ({error.msg})",
            where=f"{path}:{error.lineno}",
            expected="Python",
            remedy="mend the file",
        ) from error
    finally:
        if collecting:
            gc.enable()


def _names(tree: ast.Module, package: list[str], by_name: bool) -> Iterator[str]:
    """Every name; expressions are looked into only where a loader is mentioned (``by_name``)."""
    loaders, calls = set(LOADERS), []
    for node in _running(tree, by_name):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node.module or "", node.level, package)
            if base:
                yield base
            yield from (f"{base}.{alias.name}".lstrip(".") for alias in node.names)
            loaders |= {alias.asname for alias in node.names if alias.asname and alias.name in LOADERS}
        elif isinstance(node, ast.Call):
            calls.append(node)
    for call in calls:
        if _called(call.func) in loaders:
            yield from _literal(call, package)


def _running(tree: ast.Module, expressions: bool) -> Iterator[ast.AST]:
    """The nodes that may run: all statements, and their expressions where asked."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and _is_type_checking(node.test):
            waiting += node.orelse
        elif expressions:
            waiting += ast.iter_child_nodes(node)
        else:
            for block in ("body", "orelse", "finalbody", "handlers", "cases"):
                inner = getattr(node, block, ())
                if isinstance(inner, list):  # the body of a lambda or of `x if y else z` is one expression
                    waiting += inner


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def _absolute(name: str, level: int, package: list[str]) -> str:
    """A relative name (``level`` dots) in full; beyond the top it stays as it is written."""
    above = package[: max(len(package) - level + 1, 0)] if level else []
    return ".".join([*above, *([name] if name else [])])


def _called(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _literal(call: ast.Call, package: list[str]) -> Iterator[str]:
    """The name that a loader is called with, as far as it is written out."""
    given = [*call.args, *(word.value for word in call.keywords if word.arg == "name")]
    name, whole = _written(given[0]) if given else ("", True)
    if name.startswith("."):
        level = len(name) - len(name.lstrip("."))
        name = _absolute(name[level:], level, package)
    if not whole:
        name = name.rpartition(".")[0]
    if name:
        yield name


def _written(name: ast.expr) -> tuple[str, bool]:
    """The constant beginning of an expression, and whether that is all of it."""
    if isinstance(name, ast.Constant) and isinstance(name.value, str):
        return name.value, True
    if isinstance(name, ast.JoinedStr) and name.values:
        return _written(name.values[0])[0], False
    return "", False
