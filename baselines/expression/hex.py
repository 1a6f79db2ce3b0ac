"""HEX (Li et al., Nature Medicine 2026) as an expression regressor: MUSK features, HEX's head, loss and smoothing."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from baselines.networks.hex_recipe import HexRecipe
from protocols.contract import Card, FloatArray, Inputs, Settings, TrainingData
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
    masked. HEX also tunes the last four encoder layers and augments images; here the embedding is frozen, as for
    every probe, so that what is compared is the head.
    """

    card: ClassVar[Card] = Card(
        name="hex",
        title="HEX: MUSK, frozen, with HEX's head, adaptive loss and feature smoothing",
        summary="256-128 regression head, Barron's adaptive loss, feature distribution smoothing.",
        paper="Li et al., Nature Medicine 2026 (doi 10.1038/s41591-025-04060-4)",
        licence="CC-BY-NC-ND-4.0 (encoder gated; HEX's own release states the same)",
        encoder="musk",
        training_overlap="MUSK: 50 M tiles, TCGA among them; overlap with the evaluated cohorts unknown",
        notes=(
            "HEX predicts 40 proteins; as an expression regressor it has no published number.",
            "Its last four encoder layers, tuned in the paper, are frozen here.",
        ),
    )

    def fit(self, train: TrainingData) -> None:
        from baselines.networks.hex_head import train_head

        recipe = look_up(train.settings.profile, RECIPES, kind="profile", where="hex")
        self._settings: Settings = train.settings
        seed = derive_seed(train.settings.seed, "hex")
        self._head: Any = train_head(train.embedding(), train.targets, recipe, train.settings, seed)

    def predict(self, test: Inputs) -> FloatArray:
        from baselines.networks.hex_head import apply_head

        answer = apply_head(self._head, test.embedding(), self._settings)
        return np.ascontiguousarray(answer)
