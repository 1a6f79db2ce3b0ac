"""One fold fitted by itself, a stranger's table laid out as its answers, and what a board must say."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from protocols.contract import Card, Settings
from protocols.errors import UserError
from protocols.protocol import Board
from protocols.questions.tcga_survival import PROTOCOL
from protocols.splits import Fold, Split
from protocols.survival.cohort import PatientCohort
from protocols.survival.contract import SurvivalPrediction
from protocols.survival.fit import fit, jobs
from protocols.survival.notices import notices
from protocols.survival.settings import PatientEntry, SurvivalSettings
from protocols.survival.store import write_patient_store
from protocols.survival.submit import lay_out
from protocols.task import CohortRequest, Fit, Opened, Question


def question(folder: Path, *, truth: Path | None = None) -> Question:
    """Eight patients in two folds, times 1 to 8, the odd ones with an event."""
    index = pd.Index([f"p{k}" for k in range(8)], name="patient")
    outcome = pd.DataFrame({"time": np.arange(1.0, 9.0), "event": np.arange(8) % 2 == 1}, index=index)
    bare = pd.DataFrame(index=index)
    cohort = PatientCohort("made up", outcome, pd.DataFrame({"age": np.arange(8.0)}, index=index), bare)
    store = write_patient_store(folder / "store", cohort, phantom=truth is not None, root=folder)
    entry = PatientEntry(reader="tidy", root=folder, truth=truth)
    request = CohortRequest("survival", "c", entry, SurvivalSettings(), 0)
    rows = np.arange(8)
    split = Split((Fold("a", "a", rows[4:], rows[:4]), Fold("b", "b", rows[:4], rows[4:])))
    opened = Opened(request, store, "", folder / "store")
    return Question(PROTOCOL, Board(PROTOCOL.name, "c", "c", "c"), opened, {}, split, 0)


class Older:
    card = Card(name="older", title="Older", task="survival", needs=("clinical",))

    def fit(self, train: Any) -> None:
        self.mean = float(train.time.mean())

    def predict(self, test: Any) -> SurvivalPrediction:
        return SurvivalPrediction(test.clinical[:, 0].astype(float) + self.mean)


class Told(Older):
    def predict(self, test: Any) -> SurvivalPrediction:
        return SurvivalPrediction(test.oracle("all"))


class Referee(Told):
    card = Card(name="older", title="Referee", task="survival", needs=("oracle",))


def fitted(asked: Question, model: type[Any], folder: Path, job: str) -> pd.DataFrame:
    folder.mkdir()
    given = fit(Fit(asked, model.card, model, Settings(), {}, folder), job, folder)
    assert (given.units, given.weights) == (4, ())
    (written,) = folder.iterdir()
    assert written.name == f"{job}.parquet"
    return pd.read_parquet(written)


def test_a_fold_is_a_job_and_learns_from_its_training_patients_alone(tmp_path: Path) -> None:
    asked = question(tmp_path)
    assert jobs(asked) == ["0000", "0001"]
    assert fitted(asked, Older, tmp_path / "a", "0000")["risk"].tolist() == [6.5, 7.5, 8.5, 9.5]  # mean of 5 to 8
    second = fitted(asked, Older, tmp_path / "b", "0001")
    assert second["patient"].tolist() == ["p4", "p5", "p6", "p7"]
    assert second["risk"].tolist() == [6.5, 7.5, 8.5, 9.5]  # 4 to 7, and the mean of 1 to 4


def test_the_truth_is_shown_to_a_card_that_needs_it_and_to_no_other(tmp_path: Path) -> None:
    truth = tmp_path / "truth"
    truth.mkdir()
    known = {"patient": [f"p{k}" for k in range(8)], "log_hazard_all": np.arange(8.0) * 2}
    pd.DataFrame(known).to_parquet(truth / "patients.parquet")
    asked = question(tmp_path, truth=truth)
    assert fitted(asked, Referee, tmp_path / "a", "0001")["risk"].tolist() == [8.0, 10.0, 12.0, 14.0]
    with pytest.raises(UserError, match="without a known truth"):
        fitted(asked, Told, tmp_path / "b", "0000")


def test_a_table_is_laid_out_as_a_models_answers_and_nothing_else_of_it_is_kept(tmp_path: Path) -> None:
    asked = question(tmp_path)
    table = pd.DataFrame(
        {
            "cohort": "c",
            "fold": list("bbbbaaaa"),
            "patient": [f"p{k}" for k in (7, 6, 5, 4, 3, 2, 1, 0)],
            "risk": range(8),
        }
    ).assign(comment="x", **{"S(12.5)": 0.5})
    lay_out(asked, table, tmp_path, "theirs.csv")
    first = pd.read_parquet(tmp_path / "0000.parquet")
    assert list(first.columns) == ["patient", "risk", "S(12.5)"]
    assert first["patient"].tolist() == ["p0", "p1", "p2", "p3"]
    assert first["risk"].tolist() == [7, 6, 5, 4]
    with pytest.raises(UserError, match=r"theirs\.csv, c, fold b: 1 test patients missing, first p7"):
        lay_out(asked, table.iloc[1:], tmp_path, "theirs.csv")


@pytest.mark.parametrize(("events", "warned"), [(99, True), (100, False), (None, False)])
def test_few_events_are_warned_of(events: int | None, warned: bool) -> None:
    told: Any = SimpleNamespace(cohort={"n_events": events})
    found = notices([told])
    assert [level for level, _ in found] == ["note", "warning"][: 1 + warned]
    assert "Log-rank p-values describe the curves" in found[0][1]
    assert not warned or found[1][1] == "Only 99 events: differences between models are mostly noise."
    assert notices([]) == []
