"""HEX (Li et al., Nature Medicine 2026) as published: the last four layers of MUSK tuned with its head on tiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from baselines.networks.hex_claims import hex_claims
from baselines.networks.hex_recipe import RULE
from protocols.contract import Card, FloatArray, Inputs, ScheduleRecord, Settings, TrainingData, WeightsRecord
from protocols.errors import look_up
from protocols.seeds import derive_seed

if TYPE_CHECKING:
    from baselines.training.hex_training import HexTuning

OWN_EPOCHS, OWN_BATCH = 120, 384


class HexFinetuned:
    """MUSK's class token, 1024-256-128-markers with ReLU and dropout, Barron's adaptive loss, feature smoothing.

    All but the last four layers and the final norm of MUSK stay as they are; these are frozen from epoch 100, too.
    Targets are what the measure gives, holes masked. A released head gives its hidden layers as a start.
    """

    card: ClassVar[Card] = Card(
        name="hex_finetuned",
        title="HEX as published: MUSK's last four layers tuned, with its head, adaptive loss and feature smoothing",
        summary="MUSK at 384 pixels, flips, turns and colour jitter, Adam at 1e-5, 120 epochs.",
        paper="Li et al., Nature Medicine 2026 (doi 10.1038/s41591-025-04060-4)",
        licence="CC-BY-NC-ND-4.0 (encoder gated; HEX's own release states the same)",
        starts_from=("musk",),
        checkpoints=("hex_head", "musk"),  # musk, too: a released head stands beside it and not in its place
        training_overlap="MUSK: 50 M tiles, TCGA among them; overlap with the evaluated cohorts unknown",
        published=hex_claims(tuned=True),
        notes=(
            "Made for 40 proteins in [0, 1]; of other targets the smoothing's bins are each one's training range.",
            "The release runs in float16 on 8 GPUs of 48 tiles; here 384 tiles are summed, in bfloat16 on a GPU.",
            "mini: a small MUSK, a few updates at rates that learn, outputs that start at the training means.",
        ),
    )

    def __init__(self) -> None:
        self._network: Any = None
        self._schedule: tuple[ScheduleRecord, ...] = ()
        self._records: tuple[WeightsRecord, ...] = ()

    def fit(self, train: TrainingData) -> None:
        from baselines.encoders.entries import encoder_spec
        from baselines.encoders.weights import load_encoder
        from baselines.networks.hex_head import refuse_other_features
        from baselines.networks.hex_released import released_head
        from baselines.training.checkpoints import stage_file
        from baselines.training.hex_training import planned_steps, tune

        settings, recipe, spec = train.settings, recipe_of(train.settings), encoder_spec("musk")
        encoder, record = load_encoder("musk", settings)
        released = released_head(settings, recipe.hidden)
        if released is not None:
            refuse_other_features(released[0], spec.size(settings.profile).dim)
        self._records = (record,) if released is None else (record, released[1])
        given = (train.genes, recipe, settings, train.slide, train.xy_um, train.targets, self._records)
        path = stage_file(train.workspace, "hex-fold", *given)
        seed = derive_seed(settings.seed, "hex_finetuned")
        start = None if released is None else released[0]
        self._network, taken = tune(encoder, start, train, recipe, spec, seed, path)
        owed = OWN_EPOCHS * -(-len(train) // OWN_BATCH)
        cap = planned_steps(recipe, len(train), settings)
        self._schedule += (ScheduleRecord("last layers and head", "steps", taken, cap, RULE, taken < owed),)

    def predict(self, test: Inputs) -> FloatArray:
        from baselines.encoders.entries import encoder_spec
        from baselines.training.hex_training import answers

        if self._network is None:
            raise RuntimeError("predict before fit")
        return answers(self._network, test, encoder_spec("musk"))

    def weights(self) -> tuple[WeightsRecord, ...]:
        return self._records

    def schedule(self) -> tuple[ScheduleRecord, ...]:
        return self._schedule

    @classmethod
    def load_weights(cls, settings: Settings) -> tuple[WeightsRecord, ...]:
        from baselines.encoders.weights import load_each
        from baselines.networks.hex_released import released_head

        found = released_head(settings, recipe_of(settings).hidden)
        return load_each(cls.card.starts_from, settings) + ((found[1],) if found else ())


def recipe_of(settings: Settings) -> HexTuning:
    """The release's numbers, or those of a small network that has a minute."""
    from baselines.training.hex_training import HexTuning

    recipes = {
        "full": HexTuning(),
        "mini": HexTuning(
            hidden=(128, 64),
            dropout=0.1,
            epochs=40,
            max_steps=60,
            batch=48,
            learning_rate=2e-3,
            loss_learning_rate=1e-2,
            decay=0.98,
            bins=10,
            kernel=5,
            smoothing_from=2,
            smoothing_until=3,
            tuned_layers=1,
            frozen_from=30,
            start_at_mean=True,
        ),
    }
    return look_up(settings.profile, recipes, kind="profile", where="hex_finetuned")
