"""Control: the ridge on the mean feature, fitted on genes that were exchanged between patients, each on its own."""

from __future__ import annotations

from typing import ClassVar

from baselines.bulk.parts.answer import patient_means
from baselines.bulk.ridge_mean_feature import RidgeMeanFeature
from baselines.expression.parts.ridge import MaskedRidge
from protocols.bulk.contract import SlideTraining
from protocols.contract import Card
from protocols.seeds import generator


class BulkShuffled(RidgeMeanFeature):
    """Each gene is permuted between patients by itself: means and spread stay, the link to the slide is cut.

    Its r must be near 0 within each fold; if not, the split or the metric leaks. Permuting whole rows would keep genes
    correlated, and then all genes share one random model, whose mean r is far from 0 by chance on 80 patients.
    """

    card: ClassVar[Card] = Card(
        name="bulk_shuffled",
        title="Control: shuffled targets",
        kind="control",
        task="bulk",
        summary="As ridge_mean_feature; each gene's values permuted among the patients.",
        licence="CC-BY-NC-ND-4.0 (gated; the encoder's)",
        encoder="uni",
        training_overlap="as UNI",
    )

    def fit(self, train: SlideTraining) -> None:
        self._genes = train.genes
        features, targets = patient_means(train.patient, train.mean_feature(), train.targets)
        rng = generator(train.settings.seed, "bulk shuffled", *sorted(set(train.patient.tolist())))
        self._ridge = MaskedRidge().fit(features, rng.permuted(targets, axis=0))
