"""Fits one model on one fold."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cell_fraction.answers import checked, fold_file
from cell_fraction.cohort import TILES
from protocols.contract import FloatArray
from protocols.task import Fit, Fitted, Question


@dataclass(frozen=True, eq=False)
class Slides:
    """What a model sees: ``features`` ``(slides, d)``, means over tiles, with an encoder; ``fraction`` to learn on."""

    slide: tuple[str, ...]
    features: FloatArray | None
    fraction: FloatArray | None

    def __len__(self) -> int:
        return len(self.slide)


def jobs(question: Question) -> list[str]:
    return [str(number) for number in range(len(question.split.folds))]


def fit(fit: Fit, job: str, folder: Path) -> Fitted:
    question, store = fit.question, fit.question.cohort.store
    fold = question.split.folds[int(job)]
    slide, fraction = store.table["slide"].to_numpy(), store.table["fraction"].to_numpy(np.float32)
    features = None
    if fit.card.encoder:
        embedding = np.load(fit.features[question.cohort.name].embeddings[TILES])
        features = embedding.reshape(len(slide), store.a_slide, -1).mean(axis=1)
    train, test = (
        Slides(tuple(slide[rows]), None if features is None else features[rows], known)
        for rows, known in ((fold.train, fraction[fold.train]), (fold.test, None))
    )
    model = fit.model_class()
    model.fit(train)
    told = checked(model.predict(test), test.slide, f"model {fit.card.name}, fold {fold.name}")
    told.to_csv(folder / fold_file(int(job)), index=False)
    return Fitted.of(model, len(test))
