"""What a reader of a survival board must know before reading a rank."""

from __future__ import annotations

from collections.abc import Sequence

from protocols.records import ScoreRecord

FEW_EVENTS = 100
"""Events below which a C-index has a standard error of about 0.03 or more."""


def notices(records: Sequence[ScoreRecord]) -> list[tuple[str, str]]:
    """(level, text) of everything that the records of one board call for."""
    if not records:
        return []
    found = [
        (
            "note",
            "Log-rank p-values describe the curves: the folds' training patients overlap and many models are looked "
            "at, so they are no tests. Ranks come from the concordance of patients.",
        )
    ]
    events = records[0].cohort.get("n_events")
    if isinstance(events, int) and events < FEW_EVENTS:
        found.append(("warning", f"Only {events} events: differences between models are mostly noise."))
    return found
