"""When to keep a network's weights and when to stop: small state machines, told one epoch at a time.

``update(epoch, loss, score)`` takes the validation loss (mean squared error) and score (mean Pearson r over genes; NaN
where undefined) of an epoch and answers ``(save, stop)``. A NaN never counts as better.
"""

from __future__ import annotations

from typing import Protocol

DELTA = 0.5
"""How far the loss may rise above its best while correlation improves, in log2 units squared (SEQUOIA, Methods)."""


class StoppingRule(Protocol):
    reload_best: bool
    """Whether the saved weights are the ones that answer; otherwise the last epoch's are."""
    looks_before: bool
    """Whether the untrained network is shown as epoch -1."""
    needs_score: bool
    """Whether the rule means nothing without validation slides."""

    def update(self, epoch: int, loss: float, score: float) -> tuple[bool, bool]: ...


class LossRule:
    """Save on the lowest loss, stop after ``patience`` epochs without a lower one (SEQUOIA's pre-training)."""

    reload_best, looks_before, needs_score = True, False, False

    def __init__(self, patience: int) -> None:
        self._patience, self._best, self._best_epoch = patience, float("inf"), 0

    def update(self, epoch: int, loss: float, score: float) -> tuple[bool, bool]:  # noqa: ARG002
        save = loss < self._best
        if save:
            self._best, self._best_epoch = loss, epoch
        return save, epoch - self._best_epoch >= self._patience


class CorrelationRule:
    """Save on the best correlation, stop after ``patience`` epochs without a better one; loss plays no part (HE2RNA).

    The untrained network, epoch -1, sets the first bar (0 if its score is undefined) and is not saved: if no epoch
    passes the bar, the last epoch's weights answer, as in the released code.
    """

    reload_best, looks_before, needs_score = True, True, True

    def __init__(self, patience: int) -> None:
        self._patience, self._best, self._since = patience, 0.0, 0

    def update(self, epoch: int, loss: float, score: float) -> tuple[bool, bool]:  # noqa: ARG002
        if epoch < 0:
            self._best = score if score == score else 0.0
            return False, False
        save = score > self._best
        self._best, self._since = (score, 0) if save else (self._best, self._since + 1)
        return save, self._since >= self._patience


class PaperRule:
    """SEQUOIA's combined rule as its Methods describe it; the best checkpoint answers.

    Phase 1 saves every lowest loss. After ``patience`` epochs without one, phase 2 goes on while, within the last
    ``patience`` epochs, correlation has improved and the loss has been below best + ``delta``; it saves an epoch whose
    correlation improves at such a loss. "Improves" means: on the correlation of the weights that are saved, since a
    peak that was never saved is no reason to refuse better weights than those kept. The paper does not say whether
    phase 1 can come back; here, as in the released code, it cannot.
    """

    reload_best, looks_before, needs_score = True, False, True

    def __init__(self, patience: int, delta: float = DELTA) -> None:
        self._patience, self._delta = patience, delta
        self._best_loss, self._saved_score = float("inf"), float("-inf")
        self._lowest, self._improved, self._reasonable = 0, 0, 0  # epochs at which each last happened
        self._second = False

    def update(self, epoch: int, loss: float, score: float) -> tuple[bool, bool]:
        lower, better = loss < self._best_loss, score > self._saved_score
        if lower:
            self._best_loss, self._lowest = loss, epoch
        reasonable = loss < self._best_loss + self._delta
        save = (better and reasonable) if self._second else lower
        if better or (lower and not self._second):
            self._improved = epoch
        if reasonable:
            self._reasonable = epoch
        if save:
            self._saved_score = score if score == score else float("-inf")
        self._second = self._second or epoch - self._lowest >= self._patience
        waited = max(epoch - self._improved, epoch - self._reasonable)
        return save, self._second and waited >= self._patience


class ReleasedRule:
    """SEQUOIA's combined rule as its released code runs it; the last epoch's weights answer.

    The switch to phase 2 comes when the epochs without a lower loss *equal* ``patience``, and is permanent. The best
    score is counted from the start (and from 0), so an early peak blocks later saves; ``delta`` is not looked at when
    saving. It stops when the epochs without a better score *equal* ``patience`` (never, if they passed it before the
    switch), or after ``patience`` epochs of loss at or above best + ``delta``, the best before the epoch. A NaN score,
    which a last batch of one slide makes, leaves the branch on correlation without effect.
    """

    reload_best, looks_before, needs_score = False, False, True

    def __init__(self, patience: int, delta: float = DELTA) -> None:
        self._patience, self._delta = patience, delta
        self._best_loss, self._best_score = float("inf"), 0.0
        self._since_loss = self._since_score = self._since_reasonable = 0
        self._second = False

    def update(self, epoch: int, loss: float, score: float) -> tuple[bool, bool]:  # noqa: ARG002
        if self._second:
            reasonable = loss < self._best_loss + self._delta
            self._since_reasonable = 0 if reasonable else self._since_reasonable + 1
        save = False
        if loss < self._best_loss:
            self._best_loss, self._since_loss, save = loss, 0, not self._second
        else:
            self._since_loss += 1
        if score > self._best_score:
            self._best_score, self._since_score, save = score, 0, save or self._second
        else:
            self._since_score += 1
        self._second = self._second or self._since_loss == self._patience
        waited = self._patience in (self._since_score, self._since_reasonable)
        return save, self._second and waited
