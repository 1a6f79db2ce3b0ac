"""What a board's numbers are: headline and secondary metrics, as the protocol declared them when it was scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protocols.metric import Metric
from protocols.records import ScoreRecord

UNKNOWN = Metric("headline", "Score", "the headline")


@dataclass(frozen=True)
class BoardMetrics:
    """``sign``: 1 where more is better, -1 where less is; ``nothing``: the headline of a model without insight."""

    first: Metric
    secondary: dict[str, Metric]

    @property
    def headline(self) -> str:
        return self.first.axis

    @property
    def means(self) -> str:
        return self.first.hint

    @property
    def axis(self) -> str:
        return self.first.axis

    @property
    def nothing(self) -> float:
        return self.first.nothing or 0.0

    @property
    def sign(self) -> int:
        return -1 if self.first.higher_is_better is False else 1

    @property
    def key(self) -> str:
        return self.first.key


def metrics_of(records: Sequence[ScoreRecord]) -> BoardMetrics:
    """Of the first record that carries them; all records of a board were scored by one protocol."""
    for record in records:
        if record.metrics:
            first, *others = record.typed_metrics
            return BoardMetrics(first, {one.key: one for one in others})
    return BoardMetrics(UNKNOWN, {})
