"""Where an imported name leads: to files that are read, to an installed library, or nowhere."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from pathlib import Path
from typing import NamedTuple

from suite.engine.imports import imported_names
from suite.engine.remembered import is_young, state_of

ABSENT = "absent"
"""The version of a library that a file would import and that is not installed."""

MODULES = (*EXTENSION_SUFFIXES, ".py")
"""Endings of a module's file in the order in which Python looks for them."""

Packages = Mapping[str, tuple[Path, ...]]
"""Top-level name to the package's folders (several of a namespace package) or to the module's file."""


class Module(NamedTuple):
    """A file, the dotted name that it is imported by, and the folder in which it finds its neighbours."""

    path: str
    name: str
    beside: Path | None

    @property
    def label(self) -> str:
        """The file's name on every machine: ``package/part/file.py``."""
        *above, last = self.name.split(".")
        file = self.path.rpartition(os.sep)[2]
        return "/".join([*above, last, file] if file == "__init__.py" else [*above, file])


@dataclass(frozen=True)
class Origin:
    """Of a top-level name: the package folders or module files that are read, and libraries known by version."""

    places: tuple[Path, ...] = ()
    libraries: tuple[str, ...] = ()
    beside: Path | None = None


class Imports(NamedTuple):
    """What one module imports: files that are read, and libraries."""

    modules: frozenset[Module]
    libraries: frozenset[str]


class Origins:
    """Answers that hold while the folders looked into are what they were; shared by many closures."""

    def __init__(self, packages: Packages) -> None:
        """``packages`` are read, whatever else bears their name."""
        self.packages = packages
        self._listed: dict[Path, tuple[object, frozenset[str]]] = {}
        self._origins: dict[tuple[str, Path | None], Origin] = {}
        self._modules: dict[tuple[str, Path | None], tuple[Module, ...]] = {}
        self._imports: dict[Module, tuple[frozenset[str], Imports]] = {}

    def hold(self) -> bool:
        """Whether no folder has gained or lost a name since it was looked into."""
        return all(state is not None and state_of(str(folder)) == state for folder, (state, _) in self._listed.items())

    def imports(self, module: Module) -> Imports:
        """What the module imports now. Of a compiled module the bytes count; its imports cannot be read."""
        names = imported_names(module.path, module.name) if module.path.endswith(".py") else frozenset()
        known = self._imports.get(module)
        if known is None or known[0] is not names:
            modules = frozenset(found for name in names for found in self.modules(name, module.beside))
            libraries = frozenset(used for name in names for used in self.of(name, module.beside).libraries)
            known = self._imports[module] = (names, Imports(modules, libraries))
        return known[1]

    def of(self, name: str, beside: Path | None) -> Origin:
        """The origin of a dotted name for a file whose neighbours lie in the folder ``beside``."""
        key = (name.partition(".")[0], beside)
        if key not in self._origins:
            self._origins[key] = self._find(*key)
        return self._origins[key]

    def modules(self, name: str, beside: Path | None) -> tuple[Module, ...]:
        """The module's file and the ``__init__.py`` of every package above it; nothing for libraries."""
        key = (name, beside)
        if key not in self._modules:
            origin = self.of(name, beside)
            self._modules[key] = tuple(
                Module(str(path), dotted, origin.beside)
                for place in origin.places
                for path, dotted in self._chain(place, name.split("."))
            )
        return self._modules[key]

    def _find(self, top: str, beside: Path | None) -> Origin:
        if top in self.packages:
            return Origin(places=self.packages[top])
        if top in sys.stdlib_module_names or top == "__main__":
            return Origin()
        owners = distributions().get(top, ())
        if owners:
            # An editable install keeps its version while its files change: they are read like ours.
            live = {owner for owner in owners if is_editable(owner)}
            return Origin(importable(top) if live else (), tuple(owner for owner in owners if owner not in live))
        near = self._lies_in(beside, top) if beside else None
        if near:
            return Origin((near,), beside=beside)
        found = importable(top)  # on the path and of no distribution: no version speaks for it
        return Origin(places=found) if found else Origin(libraries=(top,))

    def _chain(self, place: Path, parts: list[str]) -> list[tuple[Path, str]]:
        """Files and dotted names from the top-level package down to the last part that is a module."""
        found: list[tuple[Path, str]] = []
        dotted, here = parts[0], place
        for part in [*parts[1:], ""]:
            if here.name.endswith(MODULES):
                return [*found, (here, dotted)]
            if "__init__.py" in self._names_in(here):
                found.append((here / "__init__.py", dotted))
            if part == "*":  # the package's __all__ may name modules
                return found + self._all_in(here, dotted)
            below = self._lies_in(here, part) if part else None
            if below is None:
                return found
            here, dotted = below, f"{dotted}.{part}"
        return found

    def _all_in(self, folder: Path, dotted: str) -> list[tuple[Path, str]]:
        """The files of all modules and packages right below a package."""
        stems = {name.partition(".")[0] for name in self._names_in(folder) if name.endswith(MODULES)} - {"__init__"}
        parts = {name for name in self._names_in(folder) if "__init__.py" in self._names_in(folder / name)}
        return [
            file for part in sorted(stems | parts) for file in self._chain(folder, [dotted, part]) if file[1] != dotted
        ]

    def _lies_in(self, folder: Path, part: str) -> Path | None:
        """The package's folder or the module's file that Python takes for ``part`` in a folder."""
        names = self._names_in(folder)
        if part in names and "__init__.py" in self._names_in(folder / part):
            return folder / part
        file = next((f"{part}{ending}" for ending in MODULES if f"{part}{ending}" in names), None)
        if file:
            return folder / file
        return folder / part if part in names and (folder / part).is_dir() else None

    def _names_in(self, folder: Path) -> frozenset[str]:
        """What lies in a folder; nothing where there is none."""
        if folder not in self._listed:
            if not folder.is_dir():
                return frozenset()
            state = state_of(str(folder))
            names = frozenset(path.name for path in folder.iterdir())
            self._listed[folder] = (None if is_young(state) else state, names)
        return self._listed[folder][1]


_SHARED: dict[object, Origins] = {}


def origins_of(packages: Packages) -> Origins:
    """The shared answers for these packages and this ``sys.path``; new ones once a folder has changed."""
    key = (tuple(sorted(packages.items())), tuple(sys.path))
    if key not in _SHARED or not _SHARED[key].hold():
        _SHARED[key] = Origins(packages)
    return _SHARED[key]


def importable(top: str) -> tuple[Path, ...]:
    """The package's folders, or the module's file, of a top-level name that can be imported; without importing it."""
    specs = (finder.find_spec(top, None) for finder in sys.meta_path)
    spec: ModuleSpec | None = next((spec for spec in specs if spec is not None), None)
    if spec is None:
        return ()
    if spec.submodule_search_locations is not None:
        return tuple(Path(folder).resolve() for folder in spec.submodule_search_locations)
    return (Path(spec.origin).resolve(),) if spec.has_location and spec.origin else ()


def distributions() -> Mapping[str, tuple[str, ...]]:
    """Top-level name to the installed distributions that bring it; sorted. Read once for each ``sys.path``."""
    return _distributions(tuple(sys.path))


def version_of(library: str) -> str:
    """The distribution's version, or :data:`ABSENT`. Read once for each ``sys.path``."""
    return _version_of(library, tuple(sys.path))


@cache
def _distributions(_path: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    return {top: tuple(sorted(set(owners))) for top, owners in metadata.packages_distributions().items()}


@cache
def _version_of(library: str, _path: tuple[str, ...]) -> str:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return ABSENT


def is_editable(distribution: str) -> bool:
    """Whether the distribution is imported from a folder in which its author works."""
    noted = metadata.distribution(distribution).read_text("direct_url.json")
    return bool(noted and json.loads(noted).get("dir_info", {}).get("editable", False))
