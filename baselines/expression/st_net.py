"""ST-Net (He et al., Nature Biomedical Engineering 2020): DenseNet-121, tuned end to end."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from protocols.contract import (
    Card,
    FloatArray,
    Inputs,
    Published,
    ScheduleRecord,
    Settings,
    TrainingData,
    WeightsRecord,
)
from protocols.errors import look_up

if TYPE_CHECKING:
    from baselines.training.finetuning import FineTuned


class STNet:
    """DenseNet-121 with one linear output per gene, trained whole with ST-Net's recipe.

    Head: zero weights, bias the training mean. Images: flips and quarter turns at random, channel statistics estimated
    on twelve training batches, eight views averaged at test. SGD, momentum 0.9, batch 32, squared error summed over
    the batch. ``full``: learning rate 1e-6 and 50 epochs per fold from ImageNet weights, as published (the authors'
    inner cross-validation over the number of epochs is left out).

    ``mini`` runs the same stages with other numbers. It has no ImageNet weights, so a scaled-down network is trained
    on the union of the fold group's training rows and then adjusted in a few steps to each fold. Its learning rate is
    larger because the published one is meant for a trained network and some 50,000 steps: from a random start, a few
    hundred steps of 1e-6 would leave the training mean unchanged.
    """

    target: ClassVar[str] = "protocol"
    card: ClassVar[Card] = Card(
        name="st_net",
        title="ST-Net (DenseNet-121), fine-tuned end to end",
        summary="DenseNet-121 tuned with ST-Net's recipe on the protocol's target.",
        paper="He et al., Nature Biomedical Engineering 2020; code bryanhe/ST-Net",
        licence="MIT (setup.py; no licence file)",
        starts_from=("densenet121",),
        training_overlap="ImageNet photographs only: none",
        published=(
            Published(
                protocol="intra_patient",
                metric="pearson_per_slide",
                words="mean per-gene Pearson r",
                value=0.447,
                spread=0.112,
                spread_is="SD over tumour types, as the sentence says",
                source="PAST, arXiv 2507.06418",
                note="re-trained by PAST's authors, recipe not stated",
            ),
        ),
        notes=(
            "Cross-cancer: PAST prints only that every other model stays below r = 0.25.",
            "Its own paper: leave-one-patient-out on 23 breast cancer patients, 250 genes; the released arrays give a"
            " mean over genes of 0.136 for the median over patients.",
        ),
    )

    def pretrain(self, data: TrainingData) -> None:
        self._network: FineTuned | None = self._new(data)
        self._network.pretrain(data, self._targets(data))

    def fit(self, train: TrainingData) -> None:
        network = getattr(self, "_network", None) or self._new(train)
        network.fit(train, self._targets(train))
        self._network = network

    def predict(self, test: Inputs) -> FloatArray:
        if self._network is None:
            raise RuntimeError("predict before fit")
        return self._from_target(self._network.predict(test))

    def weights(self) -> tuple[WeightsRecord, ...]:
        record = self._network.record if self._network else None
        return (record,) if record else ()

    def schedule(self) -> tuple[ScheduleRecord, ...]:
        return self._network.schedule if self._network else ()

    @classmethod
    def load_weights(cls, settings: Settings) -> tuple[WeightsRecord, ...]:
        from baselines.encoders.weights import load_each

        return load_each(cls.card.starts_from, settings)

    def _targets(self, data: TrainingData) -> FloatArray:
        """What the network learns, ``(n, genes)`` with NaN holes; a named variant learns something else."""
        return data.targets

    def _from_target(self, predicted: FloatArray) -> FloatArray:
        """Back to the protocol's scale."""
        return predicted

    @staticmethod
    def _new(data: TrainingData) -> FineTuned:
        from baselines.training.finetuning import FineTuned, FineTuning

        rule = "50 epochs a fold, from ImageNet weights"
        recipes = {
            "full": FineTuning(
                rule=rule,
                rule_epochs=50,
                pretrain_epochs=0,
                pretrain_max_steps=12,  # no step is taken; the crops give the channel statistics
                fit_epochs=50,
                fit_max_steps=1_000_000,
                learning_rate=1e-6,
                normalisation_rows=12 * 32,
            ),
            "mini": FineTuning(
                rule=rule,
                rule_epochs=50,
                pretrain_epochs=1_000,
                pretrain_max_steps=50,
                fit_epochs=1,
                fit_max_steps=3,
                learning_rate=8e-2,
                batch=96,
                clip_norm=2.0,
                views=2,
                normalisation_rows=384,
            ),
        }
        recipe = look_up(data.settings.profile, recipes, kind="profile", where="st_net")
        return FineTuned("densenet121", recipe, data.settings)
