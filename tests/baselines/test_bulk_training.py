"""Stopping rules on traces made by hand, what validation measures, and what training keeps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from baselines.bulk.parts.answer import gene_columns, patient_means
from baselines.bulk.parts.windows import distinct_tiles
from baselines.networks.he2rna_network import He2rnaNetwork, He2rnaSizes
from baselines.training.bulk_stopping import CorrelationRule, LossRule, PaperRule, ReleasedRule, StoppingRule
from baselines.training.bulk_training import (
    Examples,
    Looking,
    Schedule,
    Tiles,
    look,
    mean_correlation,
    predict_rows,
    tile_scale,
    train,
)
from protocols.errors import UserError
from tests.baselines.bulk_toy import ToySlides, toy

CPU = torch.device("cpu")
NAN = float("nan")
Trace = list[tuple[float, float]]
COMBINED: Trace = [(1.0, 0.1), (0.8, 0.2), (0.9, 0.15), (0.9, 0.3), (0.85, 0.25), (1.2, 0.24), (1.2, 0.24)]


def run(rule: StoppingRule, trace: Trace) -> tuple[list[int], int | None]:
    """Epochs saved, and the epoch of the stop."""
    saved = []
    for epoch, (loss, score) in enumerate(trace):
        save, stop = rule.update(epoch, loss, score)
        if save:
            saved.append(epoch)
        if stop:
            return saved, epoch
    return saved, None


def test_paper_rule_saves_a_better_correlation_after_the_loss() -> None:
    """Phase 1 until epoch 3 (two epochs without a lower loss); .25 beats the .2 of the saved weights; then patience."""
    assert run(PaperRule(2), COMBINED) == ([0, 1, 4], 6)


def test_released_rule_is_blocked_by_an_earlier_peak() -> None:
    """The .3 of epoch 3, never saved, blocks epoch 4; two epochs after it, the end."""
    assert run(ReleasedRule(2), COMBINED) == ([0, 1], 5)


def test_released_rule_never_stops_where_the_count_has_passed() -> None:
    """Best score at epoch 0, loss falling to epoch 3: at the switch five epochs are gone, and 5 is not 2."""
    trace = [(1.0 - 0.1 * epoch, 0.9 - 0.1 * epoch) for epoch in range(4)] + [(0.8, 0.1)] * 60
    assert run(ReleasedRule(2), trace) == ([0, 1, 2, 3], None)
    assert run(PaperRule(2), trace) == ([0, 1, 2, 3], 5)


def test_released_rule_saves_at_any_loss_and_the_paper_does_not() -> None:
    trace = [(1.0, 0.1), (1.1, 0.1), (1.1, 0.1), (9.0, 0.2), (1.1, 0.3)]
    assert run(ReleasedRule(2), [(1.0, 0.1), (1.1, 0.11), (1.1, 0.12), (9.0, 0.2)])[0] == [0, 3]
    assert run(PaperRule(2), [(1.0, 0.1), (1.1, 0.11), (1.1, 0.12), (9.0, 0.2), (1.1, 0.3)])[0] == [0, 4]
    assert run(PaperRule(2), trace) == ([0], 2)  # no better correlation within patience: as stopping on the loss


@pytest.mark.parametrize("rule", [PaperRule, ReleasedRule])
def test_both_stop_when_the_loss_leaves_its_best(rule: type[PaperRule] | type[ReleasedRule]) -> None:
    """Correlation rises for ever, but from epoch 3 the loss is at best + delta (not below) or more."""
    trace = [(1.0, 0.1), (1.1, 0.2), (1.1, 0.3), (1.5, 0.4), (1.6, 0.5), (1.6, 0.6)]
    saved, stop = run(rule(2), trace)
    assert stop == 4
    assert saved == ([0] if rule is PaperRule else [0, 3, 4])


def test_released_switch_is_permanent_and_new_lows_are_not_saved() -> None:
    trace = [(1.0, 0.5), (1.1, 0.6), (1.1, 0.7), (0.5, 0.65), (0.5, 0.8)]
    assert run(ReleasedRule(2), trace) == ([0, 4], None)


def test_an_undefined_score_leaves_released_correlation_inert() -> None:
    """A last batch of one slide: NaN every epoch. Neither saved nor stopped on, once patience has passed."""
    trace = [(1.0 - 0.1 * epoch, NAN) for epoch in range(4)] + [(0.8, NAN)] * 60
    assert run(ReleasedRule(2), trace) == ([0, 1, 2, 3], None)
    assert run(PaperRule(2), trace) == ([0, 1, 2, 3], 5)  # on the whole set the score is defined; still no harm


def test_negative_correlation_is_no_best_in_the_release() -> None:
    assert run(ReleasedRule(2), [(1.0, -0.3), (1.1, -0.2), (1.1, -0.1)]) == ([0], None)


def test_loss_rule() -> None:
    assert run(LossRule(2), [(1.0, 0.9), (0.9, 0.1), (0.95, 0.9), (0.9, 0.9), (0.1, 0.9)]) == ([0, 1], 3)


def test_correlation_rule_looks_at_nothing_else_and_starts_from_the_untrained_network() -> None:
    rule = CorrelationRule(2)
    assert rule.update(-1, 5.0, 0.3) == (False, False)
    assert run(rule, [(1.0, 0.2), (9.0, 0.4), (0.1, 0.3), (0.1, 0.4), (0.1, 0.9)]) == ([1], 3)
    undefined = CorrelationRule(2)
    undefined.update(-1, 5.0, NAN)
    assert run(undefined, [(1.0, -0.1), (1.0, 0.01)]) == ([1], None)


def test_mean_correlation_against_numpy_and_its_holes() -> None:
    rng = np.random.default_rng(0)
    truth, predicted = rng.normal(size=(2, 12, 5)).astype(np.float32)
    expected = np.mean([np.corrcoef(truth[:, gene], predicted[:, gene])[0, 1] for gene in range(4)])
    assert mean_correlation(truth[:, :4], predicted[:, :4]) == pytest.approx(expected)
    truth[:, 4] = 3.0  # a constant truth is left out
    assert mean_correlation(truth, predicted) == pytest.approx(expected)
    predicted[:, 3] = 1.0  # a constant prediction counts 0, or is left out as released
    three = np.mean([np.corrcoef(truth[:, gene], predicted[:, gene])[0, 1] for gene in range(3)])
    assert mean_correlation(truth, predicted) == pytest.approx(three * 3 / 4)
    assert mean_correlation(truth, predicted, constant_prediction=None) == pytest.approx(three)
    assert np.isnan(mean_correlation(truth[:1], predicted[:1]))


def network(genes: int = 20) -> He2rnaNetwork:
    torch.manual_seed(0)
    return He2rnaNetwork(He2rnaSizes((6,), 0.0), 8, 12, genes)


def examples(slides: ToySlides, held: int = 17) -> Examples:
    rows = np.arange(len(slides))
    return Examples(Tiles(slides, "features"), slides.targets, rows[held:], rows[:held])


def test_validation_by_batch_is_undefined_with_a_last_batch_of_one() -> None:
    """17 held slides in batches of 16, as in six of the published folds; all at once the score is defined."""
    data, rng = examples(toy()), np.random.default_rng(0)
    loss, score = look(network(), data, Looking(), rng, CPU, 16)
    by_batch, undefined = look(network(), data, Looking(by_batch=True), rng, CPU, 16)
    assert np.isfinite([loss, score, by_batch]).all()
    assert np.isnan(undefined)
    assert np.isfinite(look(network(), examples(toy(), 32), Looking(by_batch=True), rng, CPU, 16)[1])


class Scripted:
    """Saves and stops at given epochs."""

    looks_before, needs_score = False, False

    def __init__(self, save: int, stop: int, *, reload_best: bool = True) -> None:
        self.save, self.stop, self.reload_best = save, stop, reload_best

    def update(self, epoch: int, loss: float, score: float) -> tuple[bool, bool]:
        return epoch == self.save, epoch == self.stop


def weights_after(rule: StoppingRule | None, epochs: int) -> torch.Tensor:
    trained = network()
    schedule = Schedule(epochs, 1, 1e-2)
    train(trained, examples(toy()), schedule, rule, Looking(), np.random.default_rng(3), CPU)
    return trained.output.weight.detach().clone()


def test_training_keeps_the_saved_epoch_or_the_last() -> None:
    assert torch.equal(weights_after(Scripted(0, 2), 9), weights_after(None, 1))
    assert torch.equal(weights_after(Scripted(0, 2, reload_best=False), 9), weights_after(None, 3))
    assert torch.equal(weights_after(Scripted(99, 2), 9), weights_after(None, 3))  # nothing saved: the last


def test_without_validation_a_score_rule_runs_every_epoch_and_a_loss_rule_sees_the_training_loss() -> None:
    slides, rng = toy(), np.random.default_rng(0)
    nobody = examples(slides, 0)
    assert train(network(), nobody, Schedule(5, 1, 1e-2), PaperRule(1), Looking(), rng, CPU).epochs == 5
    kept = train(network(), nobody, Schedule(5, 2, 1e-2), LossRule(2), Looking(), rng, CPU)
    assert kept.kept_epoch == 4
    with pytest.raises(UserError, match="no slide to train on"):
        train(network(), examples(slides, len(slides)), Schedule(1, 1, 1e-2), None, Looking(), rng, CPU)


def test_diverged_training_is_one_line() -> None:
    with pytest.raises(UserError, match="training diverged"):
        train(network(), examples(toy()), Schedule(2, 1, 1e30), None, Looking(), np.random.default_rng(0), CPU)


def test_tile_scale_reads_present_tiles_only() -> None:
    slides = toy(scale=50.0)
    features = slides.features.copy()
    features[~slides.present] = 1e6
    features[..., 4] = 7.0
    slides = replace(slides, features=features)
    mean, spread = tile_scale(Tiles(slides, "features"), np.arange(40), 12)
    seen = features[:40][slides.present[:40]].astype(np.float64)
    np.testing.assert_allclose(mean, seen.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(np.delete(spread, 4), np.delete(seen.std(axis=0), 4), rtol=1e-5)
    assert spread[4] == 1.0


def test_tiles_from_memory_and_by_batch_are_the_same() -> None:
    slides, rows = toy(), np.array([5, 2, 80])
    for kept, read in zip(Tiles(slides, "features")(rows), Tiles(slides, "features", keep=False)(rows), strict=True):
        np.testing.assert_array_equal(kept, read)


def test_no_rows_no_answers() -> None:
    assert predict_rows(network(), Tiles(toy(), "features"), np.arange(0), CPU).shape == (0, 20)


def test_distinct_tiles() -> None:
    tiles = np.array([[1, 2], [3, 4], [1, 2], [0, 0], [3, 4]], dtype=np.float32)
    distinct, index = distinct_tiles(tiles)
    assert distinct.tolist() == [[1, 2], [3, 4], [0, 0]]
    np.testing.assert_array_equal(distinct[index], tiles)


def test_gene_columns() -> None:
    assert gene_columns(("a", "b"), ("a", "b"), "m") is None
    found = gene_columns(("a", "b", "a"), ("b", "a"), "m")
    assert found is not None
    assert found.tolist() == [1, 0]  # of a symbol that stands twice, the first
    with pytest.raises(UserError, match="'c' and 0 more"):
        gene_columns(("a",), ("a", "c"), "m")


def test_patient_means_by_hand() -> None:
    (means,) = patient_means(np.array(["q", "p", "q"]), np.array([[1.0], [5.0], [3.0]], dtype=np.float32))
    assert means.tolist() == [[5.0], [2.0]]
