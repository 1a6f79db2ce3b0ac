"""``slide2omics new-model``: the file a newcomer starts from."""

from __future__ import annotations

import re
from pathlib import Path

from protocols.errors import UserError, look_up
from suite.ihc.new_model_template import IMAGE_TEMPLATE

TEMPLATE = '''"""{title}: say here in one line what is new about it."""

from sklearn.linear_model import Ridge

from protocols.contract import Card


class {class_name}:
    card = Card(
        name="{name}",
        title="{title}",
        paper="Author et al., year",
        licence="",
        encoder="uni",  # a row of the encoder table, embedded once for everybody; None if you read crops yourself
        training_overlap="unknown",
    )

    def fit(self, train):
        """Learn. train.embedding() is (n, d); train.targets (n, genes), NaN where unmeasured; train.crops() RGB."""
        self.head = Ridge(alpha=100.0).fit(train.embedding(), train.filled_targets())

    def predict(self, test):
        """Log-normalised expression, (n, len(test.genes)), finite. `test` has no targets."""
        return self.head.predict(test.embedding())
'''


SURVIVAL_TEMPLATE = '''"""{title}: say here in one line what is new about it."""

import numpy as np
from sksurv.linear_model import CoxPHSurvivalAnalysis
from sksurv.util import Surv

from protocols.contract import Card
from protocols.survival_contract import SurvivalPrediction


class {class_name}:
    card = Card(
        name="{name}",
        title="{title}",
        task="survival",
        encoder="uni",  # tiles of every slide, embedded once for everybody; drop it and "slides" if you read no image
        needs=("slides", "clinical"),
        training_overlap="unknown",
    )

    def fit(self, train):
        """Learn. train.bag(i) is (tiles, d) of patient i; train.genomic, train.clinical (n, …), NaN where missing."""
        x = self._features(train)
        self.middle, self.spread = x.mean(axis=0), x.std(axis=0) + 1e-6
        self.cox = CoxPHSurvivalAnalysis(alpha=100.0)
        self.cox.fit((x - self.middle) / self.spread, Surv.from_arrays(train.event, train.time))

    def predict(self, test):
        """Risks (n,), higher = earlier event; curves are optional. `test` has no follow-up."""
        return SurvivalPrediction(self.cox.predict((self._features(test) - self.middle) / self.spread))

    def _features(self, data):
        bags = np.array([data.bag(i).mean(axis=0) for i in range(len(data))], dtype=float)
        return np.nan_to_num(np.column_stack([bags, data.clinical]))
'''


BULK_TEMPLATE = '''"""{title}: say here in one line what is new about it."""

from sklearn.linear_model import Ridge

from protocols.contract import Card


class {class_name}:
    card = Card(
        name="{name}",
        title="{title}",
        task="bulk",
        encoder="uni",  # tiles of every slide, embedded once for everybody
        training_overlap="unknown",
    )

    def fit(self, train):
        """Learn. train.mean_feature() is (slides, d), train.super_tiles().features (slides, K, d).

        train.targets (slides, genes) are log2(v + 1); train.validation marks slides to stop by.
        """
        x = train.mean_feature()
        self.genes, self.middle, self.spread = train.genes, x.mean(axis=0), x.std(axis=0) + 1e-6
        self.head = Ridge(alpha=100.0).fit((x - self.middle) / self.spread, train.targets)

    def predict(self, test):
        """log2(v + 1), (rows, len(test.genes)), finite. Other cohorts have fewer genes; rows may be windows."""
        place = {{gene: column for column, gene in enumerate(self.genes)}}
        columns = [place[gene] for gene in test.genes]
        return self.head.predict((test.mean_feature() - self.middle) / self.spread)[:, columns]
'''
TEMPLATES = {
    "expression": TEMPLATE,
    "survival": SURVIVAL_TEMPLATE,
    "bulk": BULK_TEMPLATE,
    "image": IMAGE_TEMPLATE,
}
LISTS = {"expression": "models", "survival": "survival.models", "bulk": "bulk.models", "image": "ihc.models"}
"""Where params.yaml lists the models of a task."""


def write_new_model(name: str, folder: Path, task: str = "expression") -> Path:
    """Write ``<folder>/<name>.py``, a model of that task; an existing file is never overwritten."""
    template = look_up(task, TEMPLATES, kind="task", where="new-model")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise UserError(
            f"{name!r} is no model name", where="new-model", expected="lower_case_words", remedy="e.g. my_model"
        )
    path = folder / f"{name}.py"
    if path.exists():
        raise UserError("file exists", where=path, expected="a new file", remedy="choose another name or remove it")
    class_name = "".join(word.capitalize() for word in name.split("_"))
    path.write_text(template.format(name=name, class_name=class_name, title=name.replace("_", " ").capitalize()))
    return path
