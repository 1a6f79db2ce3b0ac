"""From a model's name to its class: an entry of ``params.yaml``, an installed package, or a built-in."""

from __future__ import annotations

import importlib
import inspect
import traceback
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from baselines.adapter_files import module_from
from baselines.builtin import builtin_models, class_in
from baselines.regression.sklearn_probe import is_sklearn_line, sklearn_model
from baselines.source_closure import source_closure
from protocols.contract import Card, Model
from protocols.errors import UserError, did_you_mean

__all__ = ["ENTRY_POINT_GROUP", "is_outside", "known_models", "load_model_class", "source_closure", "start_of"]

ENTRY_POINT_GROUP = "slide2omics.models"

UNNAMED = "(given)"
"""The adapter name for a model that is looked at before it has one: its card may carry any."""


def known_models(adapters: Mapping[str, str]) -> dict[str, str]:
    """Every name that can be asked for and where it leads: an adapter's entry, ``module:Class`` of an installed
    package, or the module of a built-in.

    An adapter hides what has its name; an installed model that has the name of a built-in, or of another installed
    one, is a :class:`UserError` unless an adapter settles it.
    """
    return {**builtin_models(), **_installed(set(adapters)), **adapters}


def is_outside(name: str, adapters: Mapping[str, str]) -> bool:
    """Whether the code behind ``name`` comes from elsewhere: a file or module of an adapter, or an installed package.

    A scikit-learn line is made by our own code and is not outside.
    """
    target = _target(name, adapters)
    return not is_sklearn_line(target) and not _is_builtin(name, adapters)


def start_of(name: str, adapters: Mapping[str, str], root: Path) -> str | Path:
    """The module or file with which the imports of ``name`` begin; nothing is imported to find it."""
    target = _target(name, adapters)
    if is_sklearn_line(target):
        return sklearn_model.__module__
    if _is_builtin(name, adapters):
        return target
    place, _ = _taken_apart(target, name)
    return root / place if place.endswith(".py") else place


def load_model_class(name: str, adapters: Mapping[str, str], root: Path) -> type[Model]:
    """The class behind ``name``.

    ``adapters[name]`` may be ``path/to/file.py:Class`` (relative to ``root``), ``package.module:Class``, or a
    scikit-learn line (``sklearn.linear_model:Ridge(alpha=10) @ uni``). A file that does not import, a class that is
    not a model and a card with another name are :class:`UserError`; nothing is skipped in silence.
    """
    target = _target(name, adapters)
    if is_sklearn_line(target):
        return cast(type[Model], sklearn_model(target, name))
    if _is_builtin(name, adapters):
        module = _load_module(target, name)
        return _checked(module, class_in(module).__name__, name)
    place, class_name = _taken_apart(target, name)
    module = _load_file(root / place, name) if place.endswith(".py") else _load_module(place, name)
    return _checked(module, class_name, name)


def _target(name: str, adapters: Mapping[str, str]) -> str:
    known = known_models(adapters)
    if name not in known:
        raise UserError(
            f"unknown model {name!r}", where="models", expected="a built-in, an entry point or an adapter",
            remedy=did_you_mean(name, known),
        )  # fmt: skip
    return known[name]


def _is_builtin(name: str, adapters: Mapping[str, str]) -> bool:
    return name not in adapters and name in builtin_models()


def _taken_apart(target: str, name: str) -> tuple[str, str]:
    """The place and the class of ``place:Class``."""
    place, _, class_name = target.rpartition(":")
    if not place or not class_name.isidentifier():
        raise UserError(
            f"cannot read {target!r}",
            where=f"model {name}",
            expected="file.py:Class, package.module:Class or package.module:Regressor @ encoder",
            remedy="mend the entry",
        )
    return place, class_name


def _installed(settled: set[str]) -> dict[str, str]:
    """Models of installed packages by name, less those that an adapter hides."""
    found: dict[str, EntryPoint] = {}
    ours = builtin_models()
    for point in entry_points(group=ENTRY_POINT_GROUP):
        if point.name in settled:
            continue
        other = ours.get(point.name) or (_said(found[point.name]) if point.name in found else None)
        if other:
            raise UserError(
                f"two models {point.name!r}: {_said(point)} and {other}", where=f"entry points {ENTRY_POINT_GROUP}",
                expected="a name of its own", remedy="rename it in its package, or give it a name under adapters",
            )  # fmt: skip
        found[point.name] = point
    return {name: point.value for name, point in found.items()}


def _said(point: EntryPoint) -> str:
    return f"{point.value} of {point.dist.name}" if point.dist else point.value


def _load_file(path: Path, name: str) -> ModuleType:
    try:
        return module_from(path, name)
    except UserError:
        raise
    except Exception as error:
        raise _broken(error, path, name) from error


def _load_module(place: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(place)
    except Exception as error:
        raise _broken(error, place, name) from error


def _broken(error: Exception, place: object, name: str) -> UserError:
    """Name the line of the model's own file where the import failed, not that of the import machinery."""
    if isinstance(error, SyntaxError) and error.filename:
        where = f"{error.filename}:{error.lineno}"
    else:
        frames = traceback.extract_tb(error.__traceback__)
        own = [f for f in frames if f.filename == str(place)] or [f for f in frames if "importlib" not in f.filename]
        where = f"{own[-1].filename}:{own[-1].lineno}" if own else str(place)
    return UserError(
        f"{type(error).__name__}: {error}", where=where, expected=f"model {name} to import", remedy="mend the file"
    )


def _checked(module: ModuleType, class_name: str, name: str) -> type[Model]:
    where = getattr(module, "__file__", None) or module.__name__
    found: Any = getattr(module, class_name, None)
    own = [k for k, v in vars(module).items() if inspect.isclass(v) and v.__module__ == module.__name__]
    if not inspect.isclass(found):
        raise UserError(
            f"no class {class_name!r}", where=where, expected=f"the class of model {name}",
            remedy=did_you_mean(class_name, own),
        )  # fmt: skip
    lacking = [part for part in ("fit", "predict") if not callable(getattr(found, part, None))]
    card = getattr(found, "card", None)
    if not isinstance(card, Card):
        lacking.insert(0, "card")
    if lacking:
        raise UserError(
            f"{class_name} lacks {', '.join(lacking)}", where=where, expected="card, fit and predict",
            remedy="see protocols/contract.py",
        )  # fmt: skip
    if isinstance(card, Card) and name != UNNAMED and card.name != name:
        raise UserError(
            f"its card is named {card.name!r}", where=where, expected=f"the model's name, {name!r}",
            remedy="give both the same name",
        )  # fmt: skip
    return cast(type[Model], found)
