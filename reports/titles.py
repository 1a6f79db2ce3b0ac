"""What models are called in a figure, where two of them may share a title."""

from __future__ import annotations

from collections.abc import Sequence

from protocols.records import ScoreRecord
from reports.leaderboard import title_of


def titles_by_model(records: Sequence[ScoreRecord]) -> dict[str, str]:
    """Model to its title; where two models share one, with their names behind it."""
    titles = {record.model: title_of(record) for record in records}
    given = list(titles.values())
    return {model: title if given.count(title) == 1 else f"{title} ({model})" for model, title in titles.items()}
