"""Which source files a model really depends on, so that only an edit to these runs it again."""

from __future__ import annotations

import ast
import inspect
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent

FLOORS = ("baselines", "past_model")
"""Packages whose files count. The contract and the other questions' parts are the stages' own dependencies."""


def source_closure(cls: type) -> list[Path]:
    """The model's file and every file of ``baselines`` and ``past_model`` that it imports, directly or not; sorted.

    Imports are read from the source (``ast``), also those inside functions; nothing is executed. A module of the
    model's own package (an installed plug-in) counts like one of ours, and so does a neighbour of a model in a file.
    An import under a name that is computed at run time is not seen: write imports out.
    """
    start = Path(inspect.getsourcefile(cls) or "").resolve()
    package = cls.__module__.split(".")[0]
    roots = dict.fromkeys(FLOORS, REPOSITORY)
    if package not in roots and "." in cls.__module__:
        top = getattr(sys.modules.get(package), "__file__", None)
        if top:
            roots[package] = Path(top).resolve().parent.parent
    beside = None if "." in cls.__module__ else start.parent
    return sorted(_closure(start, cls.__module__, roots, beside))


def neighbours(path: Path) -> dict[str, Path]:
    """Top-level modules beside a file that it imports, directly or through one another: name -> file."""
    folder = path.resolve().parent
    files = _closure(path.resolve(), path.stem, {}, folder) - {path.resolve()}
    parts = {file: file.relative_to(folder).parts for file in files}
    tops = {file: Path(names[0]).stem for file, names in parts.items() if len(names) == 1}
    tops |= {file: names[0] for file, names in parts.items() if len(names) == 2 and names[1] == "__init__.py"}
    return {name: file for file, name in tops.items()}


def imported_names(path: Path, module: str) -> set[str]:
    """Dotted names that a file may import: ``from a import b`` gives ``a`` and ``a.b`` (``b`` may be a module)."""
    names: set[str] = set()
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), filename=str(path))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names.update([base, *(f"{base}.{alias.name}" for alias in node.names)])
    return names


def _closure(start: Path, module: str, roots: dict[str, Path], beside: Path | None) -> set[Path]:
    found: set[Path] = set()
    waiting = [(start, module)]
    while waiting:
        path, name = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += [hit for used in imported_names(path, name) for hit in _files_of(used, roots, beside)]
    return found


def _files_of(name: str, roots: dict[str, Path], beside: Path | None) -> list[tuple[Path, str]]:
    """The module's file and the ``__init__.py`` of every package above it; nothing for foreign names."""
    parts = name.split(".")
    root = roots.get(parts[0], beside)
    if root is None or not parts[0]:
        return []
    files = []
    for end in range(1, len(parts) + 1):
        stem = root.joinpath(*parts[:end])
        for candidate in (stem.with_suffix(".py"), stem / "__init__.py"):
            if candidate.is_file():
                files.append((candidate, ".".join(parts[:end])))
    return files
