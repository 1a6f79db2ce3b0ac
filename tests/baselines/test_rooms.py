"""The rooms of the floor: what lies above what, and that nothing runs in a circle."""

from __future__ import annotations

from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from baselines.builtin import rooms
from baselines.source_closure import imported_names

ROOT = Path(__file__).parents[2]
FLOOR = ROOT / "baselines"
UPWARDS = ("weights", "networks", "encoders", "regression", "training")
"""Shared rooms, each of which may use those before it; the tasks' rooms lie above them all and beside each other."""


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _uses(path: Path) -> set[str]:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return {used for used in imported_names(path, name) if used in MODULES}


MODULES = {_module(path): path for path in sorted(FLOOR.rglob("*.py"))}


def test_no_import_runs_in_a_circle_not_even_inside_functions_or_for_types() -> None:
    TopologicalSorter({name: _uses(path) - {name} for name, path in MODULES.items()}).prepare()


@pytest.mark.parametrize("room", UPWARDS)
def test_shared_rooms_use_those_below(room: str) -> None:
    allowed = {"torch_run", *UPWARDS[: UPWARDS.index(room) + 1]}
    for path in (FLOOR / room).rglob("*.py"):
        used = {name.split(".")[1] for name in _uses(path) if "." in name}
        assert used <= allowed, f"{path.relative_to(ROOT)} uses {sorted(used - allowed)}"


@pytest.mark.parametrize("room", sorted(rooms()))
def test_a_task_uses_its_own_room_and_the_shared_ones(room: str) -> None:
    for path in (FLOOR / room).rglob("*.py"):
        used = {name.split(".")[1] for name in _uses(path) if "." in name}
        assert used <= {room, "torch_run", *UPWARDS}, path.relative_to(ROOT)


def test_every_folder_is_a_room_of_models_or_a_shared_one() -> None:
    folders = {path.name for path in FLOOR.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == {*rooms(), *UPWARDS}
