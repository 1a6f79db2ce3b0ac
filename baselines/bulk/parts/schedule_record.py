"""What a trained bulk model says of how long it was trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocols.contract import ScheduleRecord

if TYPE_CHECKING:
    from baselines.bulk.parts.answer import Phase
    from baselines.training.bulk_stopping import StoppingRule
    from baselines.training.bulk_training import Schedule, Trained

PARTS = {"fit": "network", "pretrain": "network, on normal tissue"}


def record_of(
    trained: Trained, plan: Schedule, published: Schedule, rule: StoppingRule | None, phase: Phase
) -> ScheduleRecord:
    """``published``: the schedule of paper or code. Where our cap is lower and came before the rule, it cut that short.

    A rule with less patience than published is said, too; what it ended was not ended by the cap.
    """
    words = _words(published, rule)
    if plan != published:
        words += f"; here {_words(plan, rule)}"
    cut = not trained.stopped and trained.epochs < published.epochs
    return ScheduleRecord(PARTS[phase], "epochs", trained.epochs, plan.epochs, words, cut)


def _words(schedule: Schedule, rule: StoppingRule | None) -> str:
    patience = f", patience {schedule.patience}" if rule is not None else ""
    return f"{schedule.epochs} epochs{patience}, rate {schedule.learning_rate:g}"
