"""Tasks, protocols and readers by name: found in the folders of this package and through entry points, listed nowhere.

A task is ``protocols/<task>/task.py`` with ``TASK``; a protocol ``protocols/questions/<name>.py`` with ``PROTOCOL``;
a reader ``protocols/<task>/readers/<name>.py`` with ``READER``. A third party's package brings its own through entry
points ``slide2omics.tasks``, ``.protocols`` and ``.readers`` (``<task>.<reader>``), whose values lead to such an
object. A name that is there twice is an error: nothing overrides anything in silence.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from protocols.entry_points import installed
from protocols.errors import UserError, did_you_mean
from protocols.protocol import Protocol
from protocols.task import Reader, Task

HERE = Path(__file__).resolve().parent
T = TypeVar("T")


def task_modules() -> dict[str, str]:
    """Name of every task to the module that declares it; nothing of it is imported."""
    return _with_installed(own_tasks(), "slide2omics.tasks", "task")


def own_tasks() -> dict[str, str]:
    """The tasks of this package."""
    return {path.parent.name: f"protocols.{path.parent.name}.task" for path in sorted(HERE.glob("*/task.py"))}


def protocol_modules() -> dict[str, str]:
    own = {path.stem: f"protocols.questions.{path.stem}" for path in _modules(HERE / "questions")}
    return _with_installed(own, "slide2omics.protocols", "protocol")


def reader_modules(task: str) -> dict[str, str]:
    folder = HERE / task / "readers"
    own = {f"{task}.{path.stem}": f"protocols.{task}.readers.{path.stem}" for path in _modules(folder)}
    found = _with_installed(own, "slide2omics.readers", "reader")
    return {name.partition(".")[2]: module for name, module in found.items() if name.partition(".")[0] == task}


def load_task(name: str) -> Task:
    """The task of that name; an unknown one fails with the nearest."""
    found: Task = _load(_found(name, task_modules(), "task"), "TASK", Task)
    return _named(found, name, found.name)


def load_protocol(name: str) -> Protocol:
    """The protocol of that name, or of a file: ``path/to/file.py`` holds one ``PROTOCOL``."""
    if name.endswith(".py"):
        return _object(_module_of_file(Path(name).resolve()), "PROTOCOL", Protocol, name)
    found: Protocol = _load(_found(name, protocol_modules(), "protocol"), "PROTOCOL", Protocol)
    return _named(found, name, found.name)


def start_of_protocol(name: str) -> str | Path:
    """The module or file with which a protocol's import closure begins."""
    return Path(name) if name.endswith(".py") else module_of(_found(name, protocol_modules(), "protocol"))


def load_reader(task: str, name: str) -> Reader:
    found: Reader = _load(_found(name, reader_modules(task), f"reader of the task {task}"), "READER", Reader)
    return _named(found, f"{task}.{name}", f"{found.task}.{found.name}")


def module_of(target: str) -> str:
    """``package.module`` of ``package.module:Object``."""
    return target.partition(":")[0]


def _modules(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.py") if not path.stem.startswith("_"))


def _with_installed(own: Mapping[str, str], group: str, kind: str) -> dict[str, str]:
    return {**own, **{name: point.value for name, point in installed(group, own, kind).items()}}


def _found(name: str, known: Mapping[str, str], kind: str) -> str:
    if name not in known:
        raise UserError(
            f"unknown {kind} {name!r}",
            where="the run's file",
            expected=f"a known {kind}",
            remedy=did_you_mean(name, known),
        )
    return known[name]


def _named(found: T, name: str, own: str) -> T:
    """Folders and records carry the object's own name: it must be the one by which it was asked for."""
    if name != own:
        raise UserError(
            f"it is named {own!r}", where=f"what brings {name!r}", expected=f"the name {name!r}",
            remedy="give both the same name",
        )  # fmt: skip
    return found


@cache
def _load(target: str, attribute: str, kind: type[T]) -> T:
    place, _, given = target.partition(":")
    return _object(_module(place, kind), given or attribute, kind, place)


def _module(place: str, kind: type[Any]) -> Any:
    """Our own module that does not import is a defect and keeps its traceback; a package's is its author's to mend."""
    if place.partition(".")[0] == __name__.partition(".")[0]:
        return importlib.import_module(place)
    try:
        return importlib.import_module(place)
    except Exception as error:
        raise UserError(
            f"{type(error).__name__}: {error}",
            where=place,
            expected=f"a {kind.__name__.lower()} that imports",
            remedy="mend the package that brings it, or uninstall it",
        ) from error


def _object(module: Any, attribute: str, kind: type[T], where: object) -> T:
    found = getattr(module, attribute, None)
    if not isinstance(found, kind):
        raise UserError(
            f"no {attribute}", where=where, expected=f"{attribute} = {kind.__name__}(…)", remedy="declare it there"
        )
    return found


@cache
def _module_of_file(path: Path) -> Any:
    if not path.is_file():
        raise UserError("no such file", where=path, expected="the file of a protocol", remedy="mend its path")
    name = f"slide2omics_protocol_{path.stem}_{sha256(str(path).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UserError("not importable", where=path, expected="a Python file", remedy="name a .py file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise UserError(
            f"{type(error).__name__}: {error}", where=path, expected="a protocol that imports", remedy="mend the file"
        ) from error
    return module
