"""What a result depends on: the files that its modules really import and the libraries below, computed, never listed.

What is seen: every import statement that can run, also inside functions, and ``import_module`` with a literal name.
What cannot be seen: names computed at run time (whoever computes them gives those modules as starts), files that are
opened rather than imported (they are ``declared``), and what a library itself depends on.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from protocols.errors import UserError, did_you_mean
from suite.engine.origins import Module, Origins, Packages, importable, origins_of, version_of
from suite.engine.remembered import remembered_by_content

CHECKOUT = Path(__file__).resolve().parents[2]

FLOORS = ("suite", "protocols", "baselines", "past_model", "reports")


@dataclass(frozen=True)
class Closure:
    """Files by their names (``package/part/file.py``, the same on every machine), and libraries by theirs."""

    named: tuple[tuple[str, str], ...]
    libraries: tuple[str, ...]
    """Distributions, sorted; an import that is not installed stands here under its own name."""

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file once, absolute, sorted."""
        return tuple(Path(path) for path in sorted({path for _, path in self.named}))

    @property
    def digest(self) -> str:
        """SHA-256 over the files' names and contents, the libraries' names and versions and Python's minor version.

        Files are read when this is asked, and again only if they have changed.
        """
        lines = [f"file {name}\0{_sha256(path)}" for name, path in self.named]
        lines += [f"library {name}\0{version}" for name, version in self.versions().items()]
        lines.append(f"python {sys.version_info.major}.{sys.version_info.minor}")
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def versions(self) -> dict[str, str]:
        """Library to installed version; ``absent`` for an import that is not installed."""
        return {name: version_of(name) for name in self.libraries}


def closure_of(*starts: str | Path, declared: Sequence[Path] = ()) -> Closure:
    """Everything of ours that the starts import, directly or not, and the libraries that these files import.

    A start is a dotted module name (of ours, or of an installed package, whose own modules then count like ours) or a
    ``.py`` file, beside which further modules may lie; an installed module goes before a neighbour of the same name.
    Modules that are importable but whose version says nothing of their content (an editable install, a folder on the
    path) are read like ours. ``declared`` files enter by their bytes. A start or a declared file that does not exist
    is a :class:`UserError`.
    """
    return closure_within(CHECKOUT, FLOORS, starts, declared)


def closure_within(
    checkout: Path, floors: Iterable[str], starts: Sequence[str | Path], declared: Sequence[Path] = ()
) -> Closure:
    """:func:`closure_of` for the packages ``floors`` of any checkout."""
    packages: dict[str, tuple[Path, ...]] = {floor: (checkout / floor,) for floor in floors}
    files = [_placed(Path(start)) for start in starts if _is_file(start)]
    names = [str(start) for start in starts if not _is_file(start)]
    packages |= {top: _installed(top, packages) for top in {name.partition(".")[0] for name in names} - set(packages)}
    origins = origins_of(packages)
    waiting = [module for name in names for module in _started(name, origins)]
    waiting += [module for path in files for module in _from_file(path, checkout, origins)]
    modules, libraries = _walk(waiting, origins)
    named = {(module.label, module.path) for module in modules}
    folders = [*(path.parent for path in files), checkout]
    named |= {(_declared_name(path, folders), str(path)) for path in map(_placed, declared)}
    return Closure(tuple(sorted(named)), tuple(sorted(libraries)))


def imported_files() -> set[Path]:
    """Our files that this process has really imported so far."""
    roots = tuple(f"{CHECKOUT / floor}{os.sep}" for floor in FLOORS)
    loaded = [vars(module).get("__file__") for module in list(sys.modules.values()) if isinstance(module, ModuleType)]
    real = {os.path.realpath(file) for file in loaded if isinstance(file, str)}
    return {Path(file) for file in real if file.startswith(roots)}


def _walk(waiting: list[Module], origins: Origins) -> tuple[set[Module], set[str]]:
    """Every module that can be reached, and the libraries on the way."""
    found: set[Module] = set()
    libraries: set[str] = set()
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            imported = origins.imports(module)
            waiting += imported.modules - found
            libraries |= imported.libraries
    return found, libraries


def _is_file(start: str | Path) -> bool:
    return isinstance(start, Path) or start.endswith(".py")


def _placed(path: Path) -> Path:
    """The absolute path of a file that must exist; its folder without links, as neighbours are looked up there."""
    if not path.is_file():
        raise UserError(
            "no such file",
            where=path,
            expected="a file that the result depends on",
            remedy="mend its path or put the file there",
        )
    return path.parent.resolve() / path.name


def _installed(top: str, known: Packages) -> tuple[Path, ...]:
    """Where the top-level package of a third party lies."""
    places = () if top in sys.stdlib_module_names else importable(top)
    if not places:
        raise UserError(
            f"no package {top!r}", where="closure", expected="one of ours or an installed one",
            remedy=f"install it ({did_you_mean(top, known)})",
        )  # fmt: skip
    return places


def _started(name: str, origins: Origins) -> tuple[Module, ...]:
    modules = origins.modules(name, None)
    if not any(module.name == name for module in modules):
        above = modules[-1].name if modules else name.partition(".")[0]
        beside = {module.name for module in origins.modules(f"{above}.*", None)}
        raise UserError(
            f"no module {name!r}", where="closure", expected="a module with a file", remedy=did_you_mean(name, beside)
        )
    return modules


def _from_file(path: Path, checkout: Path, origins: Origins) -> list[Module]:
    """A file under its own name, with its folder's neighbours; one of ours also under its full name."""
    parts = path.relative_to(checkout).with_suffix("").parts if path.is_relative_to(checkout) else ()
    if len(parts) < 2 or parts[0] not in origins.packages:
        return [Module(str(path), path.stem, path.parent)]
    name = ".".join(parts)
    return [*origins.modules(name, None), Module(str(path), name, path.parent)]


def _declared_name(path: Path, folders: Iterable[Path]) -> str:
    """Relative to the first folder that holds the file, otherwise its bare name: never where a machine keeps it."""
    within = next((folder for folder in folders if path.is_relative_to(folder)), path.parent)
    return f"declared {path.relative_to(within).as_posix()}"


@remembered_by_content
def _sha256(path: str) -> str:
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
