"""What a reader of a response board must know before reading a rank."""

from __future__ import annotations

from collections.abc import Sequence

from protocols.records import ScoreRecord

FEW = 50
"""Patients of the rarer outcome below which an AUC has a standard error of about .04 or more."""


def notices(records: Sequence[ScoreRecord]) -> list[tuple[str, str]]:
    """(level, text) of everything that the records of one board call for."""
    if not records:
        return []
    cohort = records[0].cohort
    patients, responders = cohort.get("n_patients"), cohort.get("n_events")
    chance = next((one.summary["auprc_chance"] for one in records if one.summary.get("auprc_chance")), None)
    found = []
    if chance is not None:
        found.append(("note", f"An event is a response. An AUPRC of {chance:.2f} is chance in folds of this size."))
    if isinstance(patients, int) and isinstance(responders, int):
        rarer = min(responders, patients - responders)
        if rarer < FEW:
            words = "responders" if rarer == responders else "patients without a response"
            found.append(("warning", f"Only {rarer} {words}: differences between models are mostly noise."))
    return found
