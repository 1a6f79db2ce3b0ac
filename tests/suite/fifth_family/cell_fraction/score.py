"""Answers meet the truth."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cell_fraction.answers import fold_file, read
from protocols.metrics.intervals import mean_interval
from protocols.records import UNITS_FILE
from protocols.task import Question, Scored


def score(question: Question, answers: Path) -> Scored:
    table = question.cohort.store.table
    told = pd.concat([read(answers / fold_file(number)) for number in range(len(question.split.folds))])
    units = table.merge(told.rename(columns={"fraction": "told"}), on="slide", validate="one_to_one")
    units["error"] = (units["told"] - units["fraction"]).abs()
    a_patient = {str(patient): float(error) for patient, error in units.groupby("patient")["error"].mean().items()}
    headline = mean_interval(a_patient)
    flat = units["told"].std() < 1e-9
    pearson = None if flat else float(np.corrcoef(units["told"], units["fraction"])[0, 1])
    summary = {"error": headline.mean, "pearson": pearson}
    return Scored(headline, summary, {"slides": len(units)}, a_patient, tables={UNITS_FILE: units})


def describe(question: Question) -> dict[str, Any]:
    table, entry = question.cohort.store.table, question.cohort.entry
    counts = {"n_slides": len(table), "n_cells": len(table), "n_patients": table["patient"].nunique()}
    return {"name": question.cohort.name, "phantom": entry.truth is not None, "unit": "slide", **counts}
