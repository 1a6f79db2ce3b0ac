"""Models in files of their own: one file is imported under a name of its own, its neighbours by their plain names."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from baselines.source_closure import neighbours
from protocols.errors import UserError

PREFIX = "slide2omics_adapter_"


def module_from(path: Path, name: str) -> ModuleType:
    """Import the file of model ``name``; its folder comes first on ``sys.path`` and stays, for imports made later.

    Whatever the file raises passes through, and leaves neither module nor folder behind.
    """
    if not path.is_file():
        raise UserError("no such file", where=path, expected=f"the file of model {name}", remedy="mend its path")
    module_name = f"{PREFIX}{name}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise UserError("not importable", where=path, expected="a Python file", remedy="name a .py file")
    module = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    folder = str(path.resolve().parent)
    sys.modules[module_name] = module  # dataclasses and pickling of annotations look the module up
    sys.path[:] = [folder, *(entry for entry in before if entry != folder)]
    try:
        _refuse_names_taken(path)
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[module_name]
        sys.path[:] = before
        raise
    return module


def _refuse_names_taken(path: Path) -> None:
    """A neighbour whose name another module of this process has would not be imported, and the other one used."""
    for name, own in neighbours(path).items():
        taken = getattr(sys.modules.get(name), "__file__", None)
        if name in sys.modules and (taken is None or Path(taken).resolve() != own.resolve()):
            raise UserError(
                f"its neighbour {own.name if own.name != '__init__.py' else name} is called like a module that is in "
                f"use ({taken or name})",
                where=path, expected="a name of its own", remedy="rename the neighbour",
            )  # fmt: skip
