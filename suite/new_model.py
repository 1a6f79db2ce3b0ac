"""``slide2omics new-model``: the file a newcomer starts from."""

from __future__ import annotations

import re
from pathlib import Path

from protocols.errors import UserError

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


def write_new_model(name: str, folder: Path) -> Path:
    """Write ``<folder>/<name>.py``; an existing file is never overwritten."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise UserError(
            f"{name!r} is no model name", where="new-model", expected="lower_case_words", remedy="e.g. my_model"
        )
    path = folder / f"{name}.py"
    if path.exists():
        raise UserError("file exists", where=path, expected="a new file", remedy="choose another name or remove it")
    class_name = "".join(word.capitalize() for word in name.split("_"))
    path.write_text(TEMPLATE.format(name=name, class_name=class_name, title=name.replace("_", " ").capitalize()))
    return path
