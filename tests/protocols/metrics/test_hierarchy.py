"""Averages level by level."""

from __future__ import annotations

from protocols.metrics.hierarchy import mean, patient_means


def test_many_slides_or_folds_weigh_no_more() -> None:
    rows = [("p", "s1", 1.0), ("p", "s1", 0.0), ("p", "s2", 0.0), ("q", "s3", 0.5), ("q", "s3", None)]
    assert patient_means(rows) == {"p": 0.25, "q": 0.5}
    assert patient_means([*rows, ("r", "s4", float("nan"))]) == {"p": 0.25, "q": 0.5}
    assert list(patient_means(reversed(rows))) == ["p", "q"]


def test_the_order_does_not_show_in_the_last_digit() -> None:
    rows = [("p", f"s{i % 3}", 0.1 * i) for i in range(12)]
    assert patient_means(rows) == patient_means(rows[::-1])
    assert mean([0.1, 0.2, 0.3]) == mean([0.3, 0.2, 0.1])
    assert mean([]) is None
