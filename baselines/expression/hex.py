"""HEX (Li et al., Nature Medicine 2026) as an expression regressor: MUSK features, HEX's head, loss and smoothing."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from baselines.networks.hex_claims import hex_claims
from baselines.networks.hex_recipe import PUBLISHED, RULE, HexRecipe
from protocols.contract import Card, FloatArray, Inputs, ScheduleRecord, Settings, TrainingData, WeightsRecord
from protocols.errors import look_up
from protocols.seeds import derive_seed

RECIPES: dict[str, HexRecipe] = {
    "full": HexRecipe(),
    # A head on frozen features starts from nothing and may take a hundred steps: hence the larger rate, no decay.
    "mini": HexRecipe(
        hidden=(128, 64),
        dropout=0.1,
        epochs=40,
        max_steps=45,
        batch=64,
        learning_rate=2e-3,
        loss_learning_rate=1e-2,
        decay=0.93,
        bins=10,
        kernel=5,
        smoothing_from=2,
        smoothing_until=3,
    ),
}


class HEX:
    """Frozen MUSK embedding, then 1024-256-128-genes with ReLU and dropout.

    Loss: Barron's adaptive robust loss, shape and scale per gene. Regulariser: feature distribution smoothing on the
    last hidden layer, one per gene, on targets scaled to [0, 1] by their range in training. Unmeasured entries are
    masked. The head starts at random or, with ``settings.weights["hex_head"]``, its hidden layers from the released
    one; the output layer, a protein each there, is new. HEX also tunes the last four encoder layers and augments
    images; here the embedding is frozen, as for every probe, so that what is compared is the head.
    """

    card: ClassVar[Card] = Card(
        name="hex",
        title="HEX: MUSK, frozen, with HEX's head, adaptive loss and feature smoothing",
        summary="256-128 regression head, Barron's adaptive loss, feature distribution smoothing.",
        paper="Li et al., Nature Medicine 2026 (doi 10.1038/s41591-025-04060-4)",
        licence="CC-BY-NC-ND-4.0 (encoder gated; HEX's own release states the same)",
        encoder="musk",
        checkpoints=("hex_head",),
        training_overlap="MUSK: 50 M tiles, TCGA among them; overlap with the evaluated cohorts unknown",
        published=hex_claims(tuned=False),
        notes=(
            "HEX predicts 40 proteins, and its published numbers are of these; of genes it has none.",
            "Its last four encoder layers, tuned in the paper, are frozen here.",
            "The published rate of 1e-5 is for that tuning on 755,000 tiles; the head alone takes 1e-3.",
            "weights.hex_head: the hidden layers start from HEX's released head, a file that its authors call a test.",
        ),
    )

    def __init__(self) -> None:
        self._schedule: tuple[ScheduleRecord, ...] = ()
        self._records: tuple[WeightsRecord, ...] = ()

    def fit(self, train: TrainingData) -> None:
        from baselines.networks.hex_head import planned_steps, train_head
        from baselines.networks.hex_released import released_head

        recipe = _recipe(train.settings)
        self._settings: Settings = train.settings
        seed = derive_seed(train.settings.seed, "hex")
        start = released_head(train.settings, recipe.hidden)
        self._records = (start[1],) if start else ()
        network = start[0] if start else None
        self._head: Any = train_head(train.embedding(), train.targets, recipe, train.settings, seed, network)
        owed = PUBLISHED.epochs * recipe.steps_of_epoch(len(train))
        cap = planned_steps(recipe, len(train), train.settings)
        self._schedule += (ScheduleRecord("head", "steps", self._head.steps, cap, RULE, self._head.steps < owed),)

    def predict(self, test: Inputs) -> FloatArray:
        from baselines.networks.hex_head import apply_head

        answer = apply_head(self._head, test.embedding(), self._settings)
        return np.ascontiguousarray(answer)

    def weights(self) -> tuple[WeightsRecord, ...]:
        return self._records

    def schedule(self) -> tuple[ScheduleRecord, ...]:
        return self._schedule

    @classmethod
    def load_weights(cls, settings: Settings) -> tuple[WeightsRecord, ...]:
        from baselines.networks.hex_released import released_head

        found = released_head(settings, _recipe(settings).hidden)
        return (found[1],) if found else ()


def _recipe(settings: Settings) -> HexRecipe:
    return look_up(settings.profile, RECIPES, kind="profile", where="hex")
