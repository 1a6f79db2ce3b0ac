"""Reference: ridge from a slide's mean feature to every gene."""

from __future__ import annotations

from typing import ClassVar

from baselines.bulk.parts.answer import gene_columns, patient_means
from baselines.expression.parts.ridge import MaskedRidge
from protocols.bulk.contract import SlideInputs, SlideTraining
from protocols.contract import Card, FloatArray


class RidgeMeanFeature:
    """What a linear model gets from the slide's average alone.

    Slides of one patient share their expression, so they are averaged first: leave-one-out over rows is then
    leave-one-patient-out, and the penalty of each gene is chosen without looking at the patient's other slide.
    """

    card: ClassVar[Card] = Card(
        name="ridge_mean_feature",
        title="Ridge on the mean feature, UNI",
        task="bulk",
        summary="Mean of all tile features, standardised, ridge; penalty per gene by leave-one-patient-out.",
        licence="CC-BY-NC-ND-4.0 (gated; the encoder's)",
        encoder="uni",
        training_overlap="Mass-100K, private hospital slides; no TCGA (secondary source)",
    )

    def fit(self, train: SlideTraining) -> None:
        self._genes = train.genes
        features, targets = patient_means(train.patient, train.mean_feature(), train.targets)
        self._ridge = MaskedRidge().fit(features, targets)

    def predict(self, test: SlideInputs) -> FloatArray:
        columns = gene_columns(self._genes, test.genes, self.card.name)
        answer = self._ridge.predict(test.mean_feature())
        return answer if columns is None else answer[:, columns]
