"""Prognosis from a table with one row a patient, markers and censored follow-up, and no slide: by a run file, whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sksurv.metrics import concordance_index_censored

from reports.cells import load_records
from reports.compare import compare_all
from suite.engine.report import cells
from tests.suite.engine_run import params, run_all, write_params

MODELS = ["kaplan_meier", "cox_protein", "cox_niche", "cox_all", "cox_clinical", "mica"]
N = 160


def write_tables(folder: Path) -> None:
    """Who lies beside whom decides, the means do not; half are censored."""
    rng = np.random.default_rng(4)
    patients = [f"P{k:03d}" for k in range(N)]
    niche = rng.normal(size=N)
    table = pd.DataFrame({"patient": patients, "mean_CD8": rng.normal(size=N), "mean_CD68": rng.normal(size=N)})
    table.assign(niche_CD8_CD4=niche).to_csv(folder / "markers.csv", index=False)
    event_time, censored = rng.exponential(size=N) * np.exp(-1.5 * niche), rng.exponential(size=N)
    outcome = pd.DataFrame({"patient": patients, "time": np.minimum(event_time, censored) * 30 + 0.1})
    outcome.assign(event=(event_time <= censored).astype(int)).to_csv(folder / "outcome.csv", index=False)


def test_a_table_of_markers_alone_runs_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tables(tmp_path)
    entry = {"reader": "tidy", "root": ".", "outcome": "outcome.csv", "proteins": "markers.csv"}
    cohorts = {"survival": {"mine": entry}}
    tasks = {"survival": {"average": []}}
    write_params(tmp_path, params(protocols=["tcga_survival"], models=MODELS, cohorts=cohorts, tasks=tasks))
    monkeypatch.chdir(tmp_path)
    run = run_all()

    records = {record.model: record for record in load_records(cells(run))}
    scored = {name for name, record in records.items() if record.headline.mean is not None}
    assert scored == {"kaplan_meier", "cox_protein", "cox_niche"}
    reasons = {"cox_all": "clinical variables", "cox_clinical": "clinical variables", "mica": "slides"}
    assert all(why in records[name].reason for name, why in reasons.items())
    # By an independent library, of the hazard itself: no order of patients is better but by luck.
    outcome = pd.read_csv("outcome.csv")
    niche = pd.read_csv("markers.csv")["niche_CD8_CD4"]
    ceiling = concordance_index_censored(outcome["event"].astype(bool), outcome["time"], niche)[0]
    assert records["cox_niche"].headline.mean == pytest.approx(ceiling, abs=0.04)
    assert records["kaplan_meier"].headline.mean == 0.5
    # Nothing is in the means: the empty model is the right one, or C is within chance of it.
    assert records["cox_protein"].headline.mean == pytest.approx(0.5, abs=0.1)
    (found,) = compare_all(list(records.values()), "cox_niche", "cox_protein", seed=run.config.seed)
    assert found.better == "A"
    low, mean, high = found.difference.low, found.difference.mean, found.difference.high
    assert low is not None
    assert mean is not None
    assert high is not None
    assert 0.1 < low < mean < high
