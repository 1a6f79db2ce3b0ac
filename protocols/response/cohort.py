"""A cohort of treated patients, as every reader returns it."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from protocols.splits import Exclusion


@dataclass(frozen=True)
class ResponseCohort:
    """Checked: one row a patient, sorted by patient, the same index (named ``patient``) in all three tables.

    ``outcome``: column response (bool). ``clinical``, ``proteins``: float columns, sorted, NaN where missing; either
    may have no column. ``endpoint``: what a response is, in words.
    """

    name: str
    outcome: pd.DataFrame
    clinical: pd.DataFrame
    proteins: pd.DataFrame
    endpoint: str = "response"
    excluded: tuple[Exclusion, ...] = ()
