"""What a board's numbers are: headline and secondary metrics, as the protocol declared them when it was scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protocols.errors import UserError
from protocols.metric import Metric
from protocols.records import ScoreRecord


@dataclass(frozen=True)
class BoardMetrics:
    """``first`` is the headline, which ranks; ``secondary``: the others by key, in the order of their columns."""

    first: Metric
    secondary: dict[str, Metric]

    @property
    def headline(self) -> str:
        return headed(self.first)

    @property
    def means(self) -> str:
        """In one line, with the direction where it is not the usual one."""
        return (
            self.first.hint
            + {True: "", False: "; lower is better", None: "; describes only, so nothing is ranked"}[
                self.first.higher_is_better
            ]
        )

    @property
    def axis(self) -> str:
        return self.first.axis

    @property
    def nothing(self) -> float:
        """Where the axis stands: the headline of a model without insight."""
        return self.first.nothing or 0.0

    @property
    def sign(self) -> int:
        """1 where more is better (or where nothing is), -1 where less is."""
        return -1 if self.first.higher_is_better is False else 1

    @property
    def ranks(self) -> bool:
        """Whether one value is better than another at all."""
        return self.first.higher_is_better is not None

    @property
    def key(self) -> str:
        return self.first.key


def headed(metric: Metric) -> str:
    """The metric's name at the head of a column: an arrow marks those of which less is better."""
    return f"{metric.axis} ↓" if metric.higher_is_better is False else metric.axis


KINDS = {"oracle": 0, "model": 1, "control": 2}


def best_first(record: ScoreRecord) -> tuple[int, float, str]:
    """A key that sorts the cells of a figure: the oracle, models by the headline's own direction, controls."""
    mean, sign = record.headline.mean, metrics_of([record]).sign
    return KINDS.get(record.kind, KINDS["model"]), float("inf") if mean is None else -sign * mean, record.model


def metrics_of(records: Sequence[ScoreRecord]) -> BoardMetrics:
    """The metrics of one board's records.

    Raises :class:`UserError` where a record names none, or where two were scored by another headline: they can stand
    in no common order.
    """
    first, *others = (_typed(record) for record in records)
    for other in others:
        if (other[0].key, other[0].higher_is_better) != (first[0].key, first[0].higher_is_better):
            raise UserError(
                f"records with the headlines {first[0].key} and {other[0].key}"
                + (", of two directions" if first[0].key == other[0].key else ""),
                where=f"{records[0].protocol} {records[0].board}",
                expected="one headline, one way better",
                remedy="run `dvc repro` to score all models anew",
            )
    longest = max((first, *others), key=len)
    return BoardMetrics(longest[0], {one.key: one for one in longest[1:]})


def _typed(record: ScoreRecord) -> tuple[Metric, ...]:
    if not record.metrics:
        raise UserError(
            f"a record of {record.model} without metrics",
            where=f"{record.protocol} {record.board}",
            expected="the protocol's metrics, the headline first",
            remedy="score the predictions again",
        )
    return record.typed_metrics
