"""The built-in models: every module directly in a task's room is one, and nothing lists them.

A room of models is a folder here whose ``__init__.py`` says ``TASK = "…"``. Names are found by looking, without an
import; the class of a name is found in its module, once that is imported.
"""

from __future__ import annotations

import ast
import inspect
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from protocols.contract import Card
from protocols.errors import UserError

FLOOR = Path(__file__).resolve().parent


@cache
def rooms(floor: Path = FLOOR) -> dict[str, str]:
    """Folder of models -> the task that they answer."""
    tasks = {folder.name: _task_of(folder / "__init__.py") for folder in sorted(floor.iterdir()) if folder.is_dir()}
    return {folder: task for folder, task in tasks.items() if task}


@cache
def builtin_models(floor: Path = FLOOR) -> dict[str, str]:
    """Name of a model -> its module. Two files of one name in two rooms are refused."""
    found: dict[str, str] = {}
    for room in rooms(floor):
        for path in sorted((floor / room).glob("*.py")):
            name, module = path.stem, f"{floor.name}.{room}.{path.stem}"
            if name == "__init__":
                continue
            if name in found:
                raise UserError(
                    f"two models {name!r}: {found[name]} and {module}", where=floor, expected="one file a name",
                    remedy="rename one, and its card",
                )  # fmt: skip
            found[name] = module
    return found


def class_in(module: ModuleType) -> type[Any]:
    """The one class that is defined in ``module`` with a card named like it, for its room's task.

    A :class:`UserError` names the file and what it holds instead: no card, another name, two of them, another task.
    """
    *_, room, name = module.__name__.split(".")
    where = module.__file__
    cards = {
        cls: card
        for cls in vars(module).values()
        if inspect.isclass(cls) and cls.__module__ == module.__name__
        if isinstance(card := vars(cls).get("card"), Card)
    }
    named = [cls for cls, card in cards.items() if card.name == name]
    if len(cards) != 1 or len(named) != 1:
        held = ", ".join(f"{cls.__name__} ({card.name})" for cls, card in cards.items()) or "no class with a card"
        raise UserError(
            held, where=where, expected=f"one class with a card named {name!r}", remedy="one model a file, named alike"
        )
    task = rooms().get(room)
    if cards[named[0]].task != task:
        raise UserError(
            f"its card's task is {cards[named[0]].task!r}", where=where, expected=f"{task!r}, as its room's",
            remedy="move the file, or mend its card",
        )  # fmt: skip
    return named[0]


def _task_of(path: Path) -> str | None:
    if not path.is_file():
        return None
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and [getattr(t, "id", "") for t in node.targets] == ["TASK"]:
            return str(ast.literal_eval(node.value))
    return None
