"""Where a run's files lie. Stages and commands name folders through here alone."""

from __future__ import annotations

from pathlib import Path

RUNS = Path("runs")
COHORT = RUNS / "cohort"
PATIENTS = RUNS / "patients"
BULK = RUNS / "bulk"
ASKED = RUNS / "asked"
SECTIONS = ASKED / "gbm_spatial"
IHC = RUNS / "ihc"
SPLITS = RUNS / "splits"
AUDITS = RUNS / "audits"
INPUTS = RUNS / "inputs"
PREDICTIONS = RUNS / "predictions"
SCORES = RUNS / "scores"
METRICS = RUNS / "metrics"
SUBMISSIONS = RUNS / "submissions"
REPORTS = RUNS / "reports"
CACHE = RUNS / "cache"
EMBEDDINGS = CACHE / "embeddings"
UNFINISHED = CACHE / "predictions"
SCORED = CACHE / "scores"
TIMINGS = RUNS / "timings"
