"""UNI tuned end to end, through the loop that ST-Net uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from protocols.contract import Card, FloatArray, Inputs, ScheduleRecord, Settings, TrainingData, WeightsRecord
from protocols.errors import look_up

if TYPE_CHECKING:
    from baselines.training.finetuning import FineTuned


class UNIFinetuned:
    """The pattern for tuning any encoder of the table: change the name, the card and the numbers."""

    card: ClassVar[Card] = Card(
        name="uni_finetuned",
        title="UNI (ViT-L/16), fine-tuned end to end",
        summary="UNI and a linear head, tuned with the loop of ST-Net (flips and turns, squared error, SGD).",
        paper="encoder: Chen et al., Nature Medicine 2024; no published recipe for this use",
        licence="CC-BY-NC-ND-4.0 (gated)",
        starts_from=("uni",),
        training_overlap="Mass-100K, private hospital slides; no TCGA (secondary source)",
    )

    def pretrain(self, data: TrainingData) -> None:
        self._network: FineTuned | None = self._new(data)
        self._network.pretrain(data, data.targets)

    def fit(self, train: TrainingData) -> None:
        network = getattr(self, "_network", None) or self._new(train)
        network.fit(train, train.targets)
        self._network = network

    def predict(self, test: Inputs) -> FloatArray:
        if self._network is None:
            raise RuntimeError("predict before fit")
        return self._network.predict(test)

    def weights(self) -> tuple[WeightsRecord, ...]:
        record = self._network.record if self._network else None
        return (record,) if record else ()

    def schedule(self) -> tuple[ScheduleRecord, ...]:
        return self._network.schedule if self._network else ()

    @classmethod
    def load_weights(cls, settings: Settings) -> tuple[WeightsRecord, ...]:
        from baselines.encoders.weights import load_each

        return load_each(cls.card.starts_from, settings)

    @staticmethod
    def _new(data: TrainingData) -> FineTuned:
        from baselines.training.finetuning import FineTuned, FineTuning

        rule = "5 epochs a fold (ours: no recipe is published for this use)"
        recipes = {
            "full": FineTuning(
                rule=rule,
                rule_epochs=5,
                pretrain_epochs=0,
                pretrain_max_steps=0,
                fit_epochs=5,
                fit_max_steps=5_000,
                learning_rate=1e-4,
            ),
            "mini": FineTuning(
                rule=rule,
                rule_epochs=5,
                pretrain_epochs=100,
                pretrain_max_steps=40,
                fit_epochs=1,
                fit_max_steps=4,
                learning_rate=1e-2,
                clip_norm=2.0,
                views=2,
            ),
        }
        recipe = look_up(data.settings.profile, recipes, kind="profile", where="uni_finetuned")
        return FineTuned("uni", recipe, data.settings)
