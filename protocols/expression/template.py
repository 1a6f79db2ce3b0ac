"""The file that a newcomer starts from."""

from __future__ import annotations

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


def template() -> str:
    return TEMPLATE
