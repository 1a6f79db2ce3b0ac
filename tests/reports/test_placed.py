"""Where an answer stands: its rank among the models, with controls and ceiling beside it."""

from __future__ import annotations

import re
from dataclasses import asdict

from protocols.metric import Metric
from protocols.records import ScoreRecord
from reports.leaderboard import build_leaderboards, placed
from tests.reports.synthetic import record, skipped

PATIENTS = [f"p{i}" for i in range(6)]
ERROR = [asdict(Metric("error", "Error", "mean absolute error", higher_is_better=False))]


def made(model: str, mean: float, kind: str = "model", less: bool = False) -> ScoreRecord:
    found = record(model=model, kind=kind, per_patient={p: mean + 0.01 * i for i, p in enumerate(PATIENTS)})
    return found if not less else record(**{**vars(found), "metrics": ERROR})


def shown(records: list[ScoreRecord], mine: ScoreRecord) -> list[tuple[str, str]]:
    """Mark and rank (or kind), model, of each line."""
    (board,) = build_leaderboards([*records, mine], seed=0)
    lines = placed(board, mine).splitlines()
    return [(" ".join(line[:11].split()), re.split(r" {2,}", line[12:].strip())[0]) for line in lines]


def test_the_rank_it_would_have_with_controls_and_ceiling() -> None:
    others = [made("good", 0.5), made("poor", 0.1), made("mean", 0.0, "control"), made("oracle", 0.8, "oracle")]
    others.append(skipped("intra_patient", "aside", "no counts"))
    assert shown(others, made("mine", 0.3)) == [
        ("1", "good"), ("-> 2", "mine"), ("3", "poor"), ("oracle", "oracle"), ("control", "mean"),
    ]  # fmt: skip


def test_less_is_better_where_the_protocol_says_so() -> None:
    others = [made("good", 0.1, less=True), made("poor", 0.5, less=True)]
    assert shown(others, made("mine", 0.05, less=True)) == [("-> 1", "mine"), ("2", "good"), ("3", "poor")]
