"""What fits a model enters its record: every file named is there, and a model's own sources are not doubled."""

from __future__ import annotations

import pytest

from suite.stages.encoder_sources import repository
from suite.stages.inputs import LISTS
from suite.stages.machinery import FITTED_BY, fingerprint


def test_every_task_of_params_has_its_files() -> None:
    assert set(FITTED_BY) == set(LISTS)
    for files in FITTED_BY.values():
        assert all((repository() / name).is_file() for name in files)


@pytest.mark.parametrize("task", FITTED_BY)
def test_a_task_is_fitted_by_its_stage(task: str) -> None:
    stages = [name for name in FITTED_BY[task] if name.startswith("suite/stages/")]  # type: ignore[index]
    assert len(stages) == 1
    assert "predict" in stages[0]


def test_fingerprints_differ() -> None:
    assert len({fingerprint(task) for task in FITTED_BY}) == len(FITTED_BY)
