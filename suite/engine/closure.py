"""What a result depends on: the import closure of the process that makes it, computed and never listed by hand.

Imports are read from the source (:mod:`suite.engine.import_names`), nothing is executed. A name that is computed at run
time cannot be seen: whoever imports by such a name (the engine loads tasks, protocols and models by name) passes the
module as a start of its own.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import metadata
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path

from protocols.errors import UserError
from suite.engine.import_names import imported_names

CHECKOUT = Path(__file__).resolve().parents[2]
FLOORS = ("suite", "protocols", "baselines", "past_model", "reports")
OWN = "slide2omics"
ABSENT = "absent"


@dataclass(frozen=True)
class Root:
    """A folder in which top-level names are ours; names in the digest are relative to it."""

    folder: Path
    names: tuple[str, ...]
    """Empty: any module that lies there, unless another of that name can be imported (an adapter's folder)."""


@dataclass(frozen=True)
class Closure:
    """``files``: (name, path) of ours; ``declared``: data files likewise; ``libraries``: distributions imported."""

    named: tuple[tuple[str, Path], ...]
    libraries: tuple[str, ...]

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(sorted(path for _, path in self.named))

    @cached_property
    def digest(self) -> str:
        """One SHA-256 of every file's name and bytes, every library's version and the Python that runs them."""
        told = [
            *((name, _file_hash(path, _stamp(path))) for name, path in self.named),
            *sorted(self.versions().items()),
        ]
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        return hashlib.sha256(json.dumps([python, told]).encode()).hexdigest()

    def versions(self) -> dict[str, str]:
        """Library to version; one that the sources name and that is not installed is "absent"."""
        return {name: _version(name) for name in self.libraries}


def closure_of(*starts: str | Path, declared: Sequence[Path] = (), roots: Sequence[Root] = ()) -> Closure:
    """Everything that the modules (dotted names) and files (adapters) of ``starts`` can import.

    Our floors count, the whole top-level package of a start that somebody else installed, and the folder of a file.
    ``declared``: data files that enter by their bytes.
    """
    known = [Root(CHECKOUT, FLOORS), *roots]
    waiting: list[tuple[Path, str, Root]] = []
    for start in starts:
        root, module = _root_of(start, known)
        if root not in known:
            known.append(root)
        # A file is itself, whatever else can be imported under its name.
        files = ((start.resolve(), module),) if isinstance(start, Path) else _files_of(module, root)
        waiting += [(path, name, root) for path, name in files]
        if not files:
            raise UserError("no such module", where=start, expected="a module or file", remedy="mend its name")
    seen: dict[Path, str] = {}
    libraries: set[str] = set()
    while waiting:
        path, module, root = waiting.pop()
        if path in seen:
            continue
        seen[path] = _below(path, root.folder)
        ours, theirs = _neighbours(path, module, _stamp(path), root, tuple(known))
        waiting += ours
        libraries |= theirs
    for path in declared:
        if not path.is_file():
            raise UserError(
                "no such file", where=path, expected="a file that the card declares", remedy="mend its name"
            )
        seen[path] = f"declared {path.name}"
    return Closure(tuple(sorted((name, path) for path, name in seen.items())), tuple(sorted(libraries)))


@cache
def _neighbours(
    path: Path, module: str, stamp: tuple[int, int], root: Root, known: tuple[Root, ...]
) -> tuple[tuple[tuple[Path, str, Root], ...], frozenset[str]]:
    """Files of ``known`` that a file may import, and distributions of everything else: looked for once a file, because
    the closures of a run share most of theirs."""
    found: list[tuple[Path, str, Root]] = []
    libraries: set[str] = set()
    for name in imported_names(path, module, _file_hash(path, stamp)):
        if not root.names:
            _refuse_two_of_a_name(name, path, root.folder)
        ours = [(file, other, place) for place in known for file, other in _files_of(name, place)]
        found += ours
        if not ours and not any(name.split(".")[0] in place.names for place in known):
            libraries.update(_distributions(name.split(".")[0]))
    return tuple(dict.fromkeys(found)), frozenset(libraries)


def folder_of(start: str | Path) -> Path:
    """Where a module or file lies: what a card declares is looked for there."""
    if isinstance(start, Path):
        return start.parent
    spec = find_spec(start)
    return Path(spec.origin or ".").parent if spec else Path()


def _root_of(start: str | Path, known: Sequence[Root]) -> tuple[Root, str]:
    if isinstance(start, Path):
        path = start.resolve()
        if not path.is_file():
            raise UserError("no such file", where=start, expected="the file of a model", remedy="mend its path")
        return Root(path.parent, ()), path.stem
    top = start.split(".")[0]
    for root in known:
        if top in root.names:
            return root, start
    spec = find_spec(top)
    places = list(spec.submodule_search_locations or []) if spec else []
    folder = (
        Path(places[0]).resolve().parent if places else Path((spec.origin if spec else None) or ".").resolve().parent
    )
    return Root(folder, (top,)), start


@cache
def _files_of(name: str, root: Root) -> tuple[tuple[Path, str], ...]:
    """The module's file and the ``__init__.py`` of every package above it; nothing for names of another root."""
    parts = name.split(".")
    if root.names and parts[0] not in root.names:
        return ()
    if not root.names and _elsewhere(parts[0], root.folder):
        return ()
    files = []
    for end in range(1, len(parts) + 1):
        stem = root.folder.joinpath(*parts[:end])
        for candidate in (stem.with_name(f"{stem.name}.py"), stem / "__init__.py"):
            if candidate.is_file():
                files.append((candidate, ".".join(parts[:end])))
    return tuple(files)


def _refuse_two_of_a_name(name: str, importer: Path, folder: Path) -> None:
    """A module beside an adapter that has the name of another one: which of them Python takes depends on how the
    process was started, so an adapter that imports such a name is refused; nothing wins in silence."""
    top = name.split(".")[0]
    beside = next((one for one in (folder / f"{top}.py", folder / top / "__init__.py") if one.is_file()), None)
    other = _elsewhere(top, folder) if beside else ""
    if other:
        raise UserError(
            f"it imports {top!r}, and that is {beside.name if beside else ''} beside it as well as {other}",
            where=importer, expected="one module of that name", remedy="rename the one beside it",
        )  # fmt: skip


@cache
def _elsewhere(top: str, folder: Path) -> str:
    """What else a name is, beside what lies in ``folder``; empty: nothing."""
    if top in sys.stdlib_module_names:
        return "a module of Python's own library"
    if top in FLOORS:
        return "" if folder == CHECKOUT else f"a package of {OWN}"
    places = [place for place in sys.path if Path(place or ".").resolve() != folder]
    spec = PathFinder.find_spec(top, places)
    return str(spec.origin) if spec and spec.origin else ""


@cache
def _below(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _stamp(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size


@cache
def _file_hash(path: Path, _stamp: tuple[int, int]) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@cache
def _packages() -> dict[str, list[str]]:
    return {top: list(names) for top, names in metadata.packages_distributions().items()}


def _distributions(top: str) -> list[str]:
    """Distributions that bring a top-level name; the name itself where none does."""
    if top in sys.stdlib_module_names or top in FLOORS:
        return []
    return sorted({name for name in _packages().get(top, [top]) if name != OWN})


@cache
def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ABSENT
