"""Control: the training mean of every gene, whatever the slide shows."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from baselines.bulk.parts.answer import gene_columns, patient_means
from protocols.bulk.contract import SlideInputs, SlideTraining
from protocols.contract import Card, FloatArray


class BulkTrainMean:
    """A constant per gene and fold: r within a fold is undefined, over concatenated folds it is below 0 by design."""

    card: ClassVar[Card] = Card(
        name="bulk_train_mean",
        title="Control: training mean",
        kind="control",
        task="bulk",
        summary="Each gene's mean over training patients; a patient with several slides counts once.",
        licence="BSD-3-Clause (this repository)",
        training_overlap="none: fitted on the training fold alone",
    )

    def fit(self, train: SlideTraining) -> None:
        self._genes = train.genes
        (targets,) = patient_means(train.patient, train.targets)
        self._mean = targets.mean(axis=0).astype(np.float32)

    def predict(self, test: SlideInputs) -> FloatArray:
        columns = gene_columns(self._genes, test.genes, self.card.name)
        return np.tile(self._mean if columns is None else self._mean[columns], (len(test), 1))
