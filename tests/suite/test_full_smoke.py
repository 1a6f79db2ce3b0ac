"""Every model's whole architecture at published sizes: a step or two on made-up units, on the CPU (-m full_smoke).

Each in a process of its own, so that its peak of memory is its own; one after the other, since the largest takes
several GiB. The table goes into docs/learning.md.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from baselines.encoders.entries import known_encoders
from suite.engine.learning import models_of_their_own
from suite.engine.smoke import ENCODER, Smoke, smoke
from tests.suite.learning_table import write_smoke

CASES = [*(("model", name) for name in models_of_their_own()), *((ENCODER, name) for name in known_encoders({}))]
FOUND: list[Smoke] = []


@pytest.mark.full_smoke
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("kind", "name"), CASES)
def test_a_step_at_published_size(kind: str, name: str) -> None:
    command = [sys.executable, "-m", "suite.engine.smoke", kind, name]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    found = Smoke(**json.loads(done.stdout.splitlines()[-1]))
    FOUND.append(found)
    assert not found.problem


@pytest.mark.full_smoke
def test_the_table_is_written_anew() -> None:
    assert len(FOUND) == len(CASES), "the table is of all models or of none"
    write_smoke(FOUND, [name for _, name in CASES])


@pytest.mark.parametrize("name", ["sequoia_vit", "snn"])
def test_a_smoke_test_takes_so_many_steps_and_says_what_it_saw(name: str) -> None:
    found = smoke(name, 2, profile="mini", threads=1)
    assert 0 < found.updates <= 2
    assert not found.problem
    assert found.parameters > 1000
    assert found.first_loss is not None
