"""Which way is better, as a sign for arithmetic, an arrow for a column's head and words for a sentence."""

from __future__ import annotations

from protocols.metric import Metric


def sign(metric: Metric) -> float:
    """1 where higher is better, -1 where lower is; 1, too, where the metric only describes."""
    return -1.0 if metric.higher_is_better is False else 1.0


def arrow(metric: Metric) -> str:
    """The way to better numbers; empty where the metric only describes."""
    return {True: "↑", False: "↓", None: ""}[metric.higher_is_better]


def direction(metric: Metric) -> str:
    return {True: "higher is better", False: "lower is better", None: "it only describes"}[metric.higher_is_better]


def headed(metric: Metric) -> str:
    """The metric's title with its arrow, for a column's head."""
    return f"{metric.title} {arrow(metric)}".strip()


def best_first(metric: Metric, value: float | None) -> float:
    """A key that sorts the best value first and an undefined one last."""
    return float("inf") if value is None else -sign(metric) * value
