"""What a number on a board is: its key, its words, which way is better, and what a model without insight gets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Form = Literal["number", "p", "count"]


@dataclass(frozen=True)
class Metric:
    """One number of a record's summary.

    ``nothing`` is its value for a model without insight (None: it has no such value), ``higher_is_better`` None where
    it only describes. ``hint`` says in one line what it is; ``unit`` is empty for numbers without one.
    """

    key: str
    title: str
    hint: str
    higher_is_better: bool | None = True
    nothing: float | None = None
    unit: str = ""
    form: Form = "number"

    @property
    def axis(self) -> str:
        """As a plot's axis names it."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    def better(self, a: float, b: float) -> bool:
        """Whether ``a`` is strictly better than ``b``; never, where the metric only describes."""
        if self.higher_is_better is None:
            return False
        return a > b if self.higher_is_better else a < b
