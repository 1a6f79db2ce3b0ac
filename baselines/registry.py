"""From a model's name to its class: an entry of the run's file, an installed package, or a built-in.

A built-in is a module ``baselines/<task>/<name>.py`` with one class whose card carries that name; it is found by
looking into the folders, and nothing is imported until a name is asked for.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from baselines.expression.parts.sklearn_probe import is_sklearn_line, sklearn_model
from baselines.on_encoder import is_encoder_line, on_encoder, parse_encoder_line
from protocols.contract import Card
from protocols.entry_points import installed
from protocols.errors import UserError, did_you_mean
from protocols.registry import own_tasks

ENTRY_POINT_GROUP = "slide2omics.models"
UNNAMED = "(given)"
"""The adapter name for a model that is looked at before it has one: its card may carry any."""
HERE = Path(__file__).resolve().parent
SKLEARN = "baselines.expression.parts.sklearn_probe"


@cache
def built_in() -> dict[str, str]:
    """Name of every built-in model to its module."""
    found: dict[str, str] = {}
    for task in own_tasks():
        for path in sorted((HERE / task).glob("*.py")):
            if path.stem != "__init__":
                if path.stem in found:
                    raise UserError(
                        f"model {path.stem!r} is there twice",
                        where=path,
                        expected=found[path.stem],
                        remedy="rename one",
                    )
                found[path.stem] = f"baselines.{task}.{path.stem}"
    return found


def known_models(adapters: Mapping[str, str]) -> dict[str, str]:
    """Every name that can be asked for and where it leads; the run's own adapters come first.

    An installed package that brings the name of a built-in is an error, but for a name that the run's own adapters
    settle: nothing overrides anything in silence.
    """
    or_else = ", or name the one that you mean under adapters"
    brought = installed(ENTRY_POINT_GROUP, built_in(), "model", settled=adapters, or_else=or_else)
    return {**built_in(), **{name: point.value for name, point in brought.items()}, **adapters}


def is_outside(name: str, adapters: Mapping[str, str]) -> bool:
    """Whether somebody else's code would be imported."""
    target = _target(name, adapters)
    if is_encoder_line(target):
        return is_outside(_base(target, name, adapters)[0], adapters)
    return not is_sklearn_line(target) and target != built_in().get(name)


def start_of(name: str, adapters: Mapping[str, str], root: Path) -> str | Path:
    """The module or file with which the model's import closure begins; nothing is imported."""
    target = _target(name, adapters)
    if is_sklearn_line(target):
        return SKLEARN
    if is_encoder_line(target):
        return start_of(_base(target, name, adapters)[0], adapters, root)
    place = target.rpartition(":")[0] or target
    return (root / place).resolve() if place.endswith(".py") else place


def load_model_class(name: str, adapters: Mapping[str, str], root: Path) -> type[Any]:
    """The class behind ``name``.

    ``adapters[name]`` may be ``path/to/file.py:Class`` (relative to ``root``), ``package.module:Class``, a scikit-learn
    line (``sklearn.linear_model:Ridge(alpha=10) @ uni``), or a known model on another encoder (``mcat_uni @ my_vit``).
    A file that does not import, a class that is not a model and a card with another name are :class:`UserError`;
    nothing is skipped in silence.
    """
    target = _target(name, adapters)
    if is_sklearn_line(target):
        return cast(type[Any], sklearn_model(target, name))
    if is_encoder_line(target):
        model, encoder = _base(target, name, adapters)
        return on_encoder(load_model_class(model, adapters, root), encoder, name)
    if target == built_in().get(name):
        module = _load_module(target, name)
        return _checked(module, _only_class(module, name), name)
    place, _, class_name = target.rpartition(":")
    if not place or not class_name.isidentifier():
        raise UserError(
            f"cannot read {target!r}",
            where=f"model {name}",
            expected="file.py:Class, package.module:Class, model @ encoder or package.module:Regressor @ encoder",
            remedy="mend the entry",
        )
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


def _base(target: str, name: str, adapters: Mapping[str, str]) -> tuple[str, str]:
    """Model and encoder of a line; the model is one by itself and no line again."""
    model, encoder = parse_encoder_line(target, where=f"model {name}")
    if "@" in _target(model, adapters):
        raise UserError(
            f"{model} is itself a line with an encoder", where=f"model {name}", expected="a model by itself",
            remedy=f"write its own line, with @ {encoder}",
        )  # fmt: skip
    return model, encoder


def _only_class(module: ModuleType, name: str) -> str:
    """The class of a built-in's module whose card carries the module's name."""
    found = [
        key
        for key, value in vars(module).items()
        if inspect.isclass(value) and isinstance(card := getattr(value, "card", None), Card) and card.name == name
    ]
    if len(found) != 1:
        raise UserError(
            f"{len(found)} classes with a card named {name!r}",
            where=module.__name__,
            expected="one",
            remedy="mend the file",
        )
    return found[0]


def _load_file(path: Path, name: str) -> ModuleType:
    """Import one file under a name of its own. Modules beside it can be imported by it, at once or later: a model from
    outside is alone in its process."""
    if not path.is_file():
        raise UserError("no such file", where=path, expected=f"the file of model {name}", remedy="mend its path")
    module_name = f"slide2omics_adapter_{name}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise UserError("not importable", where=path, expected="a Python file", remedy="name a .py file")
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses look the module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[module_name]
        raise _broken(error, path, name) from error
    return module


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


def _checked(module: ModuleType, class_name: str, name: str) -> type[Any]:
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
    return cast(type[Any], found)
