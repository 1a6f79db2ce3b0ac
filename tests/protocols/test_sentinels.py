"""Rows that were never filled are asked about; constants, ties of trees and honest answers are not."""

from __future__ import annotations

import numpy as np
import pytest

from protocols.sentinels import joined, notes_of, seen

PATIENTS = 373


def risks(seed: int = 0) -> np.ndarray:
    """Like Patch-GCN's: minus a sum of survival, all below zero."""
    return -np.random.default_rng(seed).uniform(0.9, 3.3, PATIENTS).astype(np.float32).astype(np.float64)


def told(values: np.ndarray, **options: object) -> tuple[str, ...]:
    return notes_of([seen(values)], "patients", "risk", **options)  # type: ignore[arg-type]


def test_zeros_at_the_end_of_the_scale_are_asked_about() -> None:
    values = risks()
    values[::42] = 0.0
    assert told(values) == (
        "9 of 373 patients share the highest risk 0 exactly: rows that were never filled?",
    )  # fmt: skip
    assert told(-values)[0].startswith("9 of 373 patients share the lowest risk 0 exactly")
    parts = np.array_split(values, 5)  # one or two a fold: only together they repeat
    assert notes_of([seen(part) for part in parts], "patients", "risk") == told(values)


@pytest.mark.parametrize("value", [-999.0, 1e6])
def test_a_repeated_value_behind_a_gap_is_asked_about(value: float) -> None:
    values = risks()
    values[[3, 300]] = value
    assert "2 of 373" in told(values)[0]
    values[3] = values[5]  # once is no repetition
    assert told(values) == ()


def test_honest_answers_are_not() -> None:
    for seed in range(20):
        assert told(risks(seed)) == ()
        assert notes_of([seen(np.random.default_rng(seed).normal(size=(200, 7)))], "slides", "expression") == ()
    near = risks()
    near[[1, 2]] = near.max() + 1e-3  # tied at the top, but where the others are
    assert told(near) == ()


def test_trees_and_neighbours_may_tie() -> None:
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.neighbors import KNeighborsRegressor

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(300, 5)), np.maximum(rng.normal(size=(300, 6)), 0)
    for model in (RandomForestRegressor(5, max_depth=3, random_state=0), KNeighborsRegressor(1)):
        answers = model.fit(x[:200], y[:200]).predict(x[200:])
        assert notes_of([seen(answers)], "cells", "expression") == ()
        assert notes_of([seen(answers[:, 0])], "patients", "risk") == ()


def test_a_constant_is_a_scale_without_content_and_no_sentinel() -> None:
    assert told(np.zeros(50)) == ("degenerate scale: risk is the same for all",)
    two = notes_of([seen(risks()), seen(np.full(20, 0.5))], "patients", "risk")
    assert two == ("degenerate scale: risk is the same for all in 1 of 2 folds",)
    image = np.full((4, 8, 8, 3), 240, np.uint8)
    assert notes_of([joined([seen(image), seen(image)])], "tiles", "image") == (
        "degenerate scale: image is the same for all",
    )


def test_scales_at_which_nothing_can_be_recovered() -> None:
    lost = (risks() * 1e-60).astype(np.float32)
    assert told(lost) == ("degenerate scale: risk is the same for all",)
    assert "where float32 keeps no digits" in told(risks() * 1e-60)[0]
    assert "its order is rounding" in told(1e9 + risks())[0]
    assert told(risks() * 1e-10) == ()  # small, but whole
    genes = np.random.default_rng(0).normal(size=(40, 10))
    genes[:, :4] = 0.0  # four genes given up are a model's own affair
    assert notes_of([seen(genes)], "slides", "expression") == ()
    assert notes_of([seen(genes * 1e-300)], "slides", "expression") != ()


def test_rows_of_zeros_and_equal_rows() -> None:
    rows = np.random.default_rng(0).normal(size=(60, 9)).astype(np.float32)
    rows[[4, 50]] = 0
    assert notes_of([seen(rows)], "cells", "expression") == (
        "2 of 60 cells have zeros alone for expression: rows that were never filled?",
    )
    rows[[4, 50, 51]] = 7.5
    rows[51, 0] = 7.25
    assert notes_of([seen(rows)], "cells", "expression") == ()  # a pair may be chance
    rows[51, 0] = 7.5
    assert "3 of 60 cells have one and the same expression" in notes_of([seen(rows)], "cells", "expression")[0]
    images = np.random.default_rng(1).integers(0, 256, (20, 6, 6, 3), dtype=np.uint8)
    images[[2, 5, 11]] = images[2]
    assert "3 of 20 tiles have one" in notes_of([joined([seen(images[:9]), seen(images[9:])])], "tiles", "image")[0]


def test_patients_at_month_0_with_one_risk() -> None:
    values, time = risks(), np.random.default_rng(2).exponential(30, PATIENTS)
    time[[7, 9]] = 0
    assert told(values, time=time) == ()
    values[[7, 9]] = -2.0
    assert told(values, time=time) == (
        "all 2 patients whose follow-up is 0 share the risk -2: rows that were never filled?",
    )


def test_units_without_an_answer_are_not_looked_at() -> None:
    values = risks()
    values[::42] = np.nan
    assert told(values) == ()
    assert told(np.full(9, np.nan)) == ()


def test_hashes_of_numbers_that_differ_in_their_highest_bits() -> None:
    powers = np.ldexp(1.0, np.arange(-500, 500))
    both = np.concatenate([powers, -powers])[:, None] * np.ones(2)
    assert len(np.unique(seen(both).rows)) == 2000
    assert len(np.unique(seen(np.array([[0.0, 1.0], [-0.0, 1.0]])).rows)) == 1
