"""Which keys a setting may move follows from where it is declared: its task, its cohort, and whether scoring alone
reads it. Every numeric setting of every task is changed, as the registry's own models declare them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from protocols.errors import UserError
from suite.engine import plan
from suite.engine.run import Run
from suite.engine.store import digest
from tests.suite.engine.small_run import PROTOCOLS, TASKS, SmallRun

STAGES = ("read", "ask", "predict", "score")
Keys = dict[tuple[str, str], str]
Path = tuple[str, ...]
TOGETHER: set[Path] = {("super_tiles",), ("window",)}
"""Numbers that must fit each other: one of them changed alone is refused."""


def keys_of(run: Run) -> Keys:
    """(stage, cell) to the digest of what it depends on; of cells alone, not of lists of them."""
    return {
        (stage, cell): digest(told)
        for stage in STAGES
        for cell, told in getattr(plan, f"_{stage}")(run).items()
        if cell not in ("boards", "seeds", "not asked", "models")
    }


def task_of(cell: str) -> str:
    first, _, rest = cell.partition("/")
    if first == "derived":
        return rest
    return first if first in TASKS else {name: task for task, name in PROTOCOLS}[first]


def numbers(model: BaseModel, above: Path = ()) -> Iterator[tuple[Path, Any, bool]]:
    """Every field that is a number, with its value and whether scoring alone reads it."""
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from numbers(value, (*above, name))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            extra = field.json_schema_extra
            yield (*above, name), value, isinstance(extra, dict) and bool(extra.get("score_only"))


def changed(values: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    told = copy.deepcopy(values)
    place = told
    for key in path[:-1]:
        place[key] = place.get(key) or {}  # an empty section says nothing
        place = place[key]
    place[path[-1]] = value
    return told


def with_sizes(small: SmallRun) -> dict[str, Any]:
    """The run's file with every size stated, so that its profile brings none."""
    run = small.run()
    tasks = {task: next(iter(run.requests(task, scoring=True).values())).settings for task in TASKS}
    return small.values() | {"tasks": {task: settings.model_dump(mode="json") for task, settings in tasks.items()}}


def moved(small: SmallRun, values: dict[str, Any]) -> set[tuple[str, str]]:
    before, after = keys_of(small.run()), keys_of(Run(small.config(**values), small.folder))
    assert before.keys() == after.keys()
    return {key for key in before if before[key] != after[key]}


@pytest.mark.parametrize("task", TASKS)
def test_a_task_setting_moves_keys_of_its_task_alone(small: SmallRun, task: str) -> None:
    values = small.values()
    whole = next(iter(small.run().requests(task, scoring=True).values())).settings
    asked = list(numbers(whole))
    assert asked
    for path, value, score_only in asked:
        told = changed(values, ("tasks", task, *path), value + 1)
        if path in TOGETHER:
            with pytest.raises(UserError, match="as many as super-tiles"):
                moved(small, told)
            continue
        found = moved(small, told)
        assert found, f"{path} moves no key: an edit would go unseen"
        assert {task_of(cell) for _, cell in found} == {task}, path
        if score_only:
            assert {stage for stage, _ in found} == {"score"}, f"{path}: nothing before scoring reads it"
        else:
            assert "predict" in {stage for stage, _ in found}, path


@pytest.mark.parametrize("task", TASKS)
def test_a_cohort_setting_moves_keys_of_its_task_alone(small: SmallRun, task: str) -> None:
    values = small.values()
    for name, request in small.run().requests(task, scoring=True).items():
        for path, value, score_only in numbers(request.entry):
            if path[0] == "settings" or path[0] not in request.entry.model_fields_set:
                continue  # a key that the entry does not give may be one that its reader refuses
            step = value + 1 if isinstance(value, int) else value * 0.5
            told = changed(values, ("cohorts", task, name, *path), step)
            if path in TOGETHER:
                with pytest.raises(UserError, match="as many as super-tiles"):
                    moved(small, told)
                continue
            found = moved(small, told)
            assert found, path
            assert {task_of(cell) for _, cell in found} == {task}, path
            if score_only:
                assert {stage for stage, _ in found} == {"score"}, path
            else:
                assert ("read", f"{task}/{name}") in found, path


def test_how_many_processes_there_are_is_in_no_key(small: SmallRun) -> None:
    assert moved(small, small.values() | {"workers": 7}) == set()


@pytest.mark.parametrize("change", [{"profile": "full"}, {"threads": 3}, {"seeds": [5]}])
def test_what_every_model_is_handed_is_in_the_key_of_every_fit(small: SmallRun, change: dict[str, Any]) -> None:
    if "seeds" in change:
        before, after = keys_of(small.run()), keys_of(Run(small.config(**change), small.folder))
        made = {key for key in before if key[0] == "read" or key[1].count("/") == 2}  # cohorts, and cells
        assert made
        assert not [key for key in made & after.keys() if before[key] == after[key]]
        return
    found = moved(small, with_sizes(small) | change)
    fits = {key for key in keys_of(small.run()) if key[0] == "predict" and not key[1].startswith("derived")}
    assert found == fits


def test_the_sizes_that_a_profile_brings_are_in_the_keys_of_what_is_read(small: SmallRun) -> None:
    found = moved(small, small.values() | {"profile": "full"})
    assert {key for key in keys_of(small.run()) if key[0] == "predict" and not key[1].startswith("derived")} <= found
    assert any(stage == "read" for stage, _ in found)


def test_weights_and_encoders_move_the_models_that_name_them(small: SmallRun) -> None:
    run = small.run()
    encoder, entry = next((one.card.encoder, one) for one in run.models.values() if one.card.encoder)
    told = small.values() | {"weights": {str(encoder): {"hub": "a/b", "revision": "1", "file": "x"}}}
    users = {one.name for one in run.models.values() if encoder in one.parts}
    assert entry.name in users
    assert {cell.split("/")[2] for _, cell in moved(small, told)} == users
    assert moved(small, small.values() | {"encoders": {"unused": {"timm": "resnet18"}}}) == set()
