"""What only a phantom knows is hidden from those who are asked, whatever a task calls it."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from protocols.registry import load_task, own_tasks
from protocols.settings import KNOWN_TRUTH, CohortEntry
from protocols.staining.settings import PairsEntry
from suite.engine.questions import _hidden


class TheirEntry(CohortEntry):
    """Of a package that the engine has not heard of."""

    answers: Path | None = Field(default=None, json_schema_extra=KNOWN_TRUTH)
    table: Path = Path("table.csv")


def test_a_marked_key_of_anybodys_entry() -> None:
    told = TheirEntry(reader="theirs", root=Path("r"), truth=Path("t"), answers=Path("a"), table=Path("x.csv"))
    hidden = _hidden(told)
    assert hidden == told.model_copy(update={"truth": None, "answers": None})
    assert told.answers == Path("a")


def test_the_registered_twin_of_staining() -> None:
    told = PairsEntry(root=Path("r"), truth=Path("t"), aligned=Path("a"), mpp=1.0)
    assert _hidden(told) == told.model_copy(update={"truth": None, "aligned": None})


def test_no_task_declares_its_truth_anew_and_unmarked() -> None:
    for name in own_tasks():
        extra = load_task(name).cohort.model_fields["truth"].json_schema_extra
        assert isinstance(extra, dict), name
        assert extra["known_truth"] is True, name
