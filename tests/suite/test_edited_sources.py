"""No number is stale: an edit of a source that a result comes from is noticed, one of another leaves it alone."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from suite.engine import keys
from suite.engine.plan import run_plan
from suite.places import PLAN
from tests.protocols.staining.trees import write_tree
from tests.suite.engine_run import default_params, the_run, write_params
from tests.suite.working_folder import (
    COHORT,
    EXPRESSION,
    PATIENTS,
    SURVIVAL,
    WorkingFolder,
    copied_tree,
    edit,
    phantom,
    small,
)

SCORED = "from tests.suite.engine_run import run_all; run_all()"
ONE_TASK = {"protocols": [EXPRESSION], "models": ["oracle", "stain_statistics"], "workers": 1}
SQUARED = "values = log_normalise(counts, totals) ** 2"
INVERTED = {
    "out[place] = crop": "out[place] = 255 - crop",
    "places[index], crops[index] = next(sweep)": "places[index], crops[index] = next(sweep); crops[index] ^= 255",
}
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_edits_of_targets_and_of_crops_give_what_a_clean_run_gives(tmp_path: Path) -> None:
    data, tree = phantom(tmp_path / "data"), copied_tree(tmp_path / "tree")
    used, clean = (WorkingFolder(tmp_path / name, data, tree) for name in ("used", "clean"))
    for folder in (used, clean):
        folder.params(**ONE_TASK)
    before = scored(used)
    for old, new in INVERTED.items():
        edit(tree / "protocols/images/crop_reader.py", old, new)
    inverted = scored(used)
    assert inverted["oracle"] == before["oracle"]
    assert inverted["stain_statistics"] != before["stain_statistics"]
    edit(tree / "protocols/expression/store.py", "values = log_normalise(counts, totals)", SQUARED)
    squared = scored(used)
    assert squared["oracle"] != before["oracle"]
    assert squared == scored(clean)
    assert used.bytes_of("predictions", "scores") == clean.bytes_of("predictions", "scores")


def scored(folder: WorkingFolder) -> dict[str, float | None]:
    folder.run(sys.executable, "-c", SCORED)
    return {model: folder.record(model).headline.mean for model in ONE_TASK["models"]}


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Plans of a run of three tasks with changes of the run's file; no cohort is read for it."""
    monkeypatch.chdir(tmp_path)
    phantom(tmp_path / "data")
    write_tree(tmp_path / "patches")
    staining = {"tiny": {"reader": "ihc4bc", "root": "patches", "markers": ["ER"], "mpp": 1.0}}

    def plan(tasks: dict[str, Any]) -> dict[str, Any]:
        values = small(models=["oracle", "kaplan_meier", "ihc_identity"])
        values["protocols"] = [*values["protocols"], "ihc4bc"]
        values["cohorts"] = values["cohorts"] | {"staining": staining}
        write_params(tmp_path, values | {"tasks": tasks})
        keys.closure.cache_clear()
        run_plan(the_run())
        return {path.stem: json.loads(path.read_text()) for path in PLAN.glob("*.json")}

    return plan


def test_a_setting_of_staining_leaves_every_other_cell_alone(told: Any) -> None:
    known = default_params()["tasks"]["staining"]
    before, after = (told({"staining": known | {"shift_px": shift}}) for shift in (2, 3))
    moved = {
        (stage, cell) for stage, cells in before.items() for cell in cells if cells[cell] != after[stage].get(cell)
    }
    assert {cell for stage, cell in moved if stage == "score"} == {"ihc4bc/tiny_ER"}
    assert not any(EXPRESSION in cell or SURVIVAL in cell for _, cell in moved)
    assert f"{EXPRESSION}/{COHORT}" in before["score"]
    assert f"{SURVIVAL}/{PATIENTS}/kaplan_meier/0" in before["predict"]
