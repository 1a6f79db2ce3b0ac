"""The file that a newcomer starts from."""

from __future__ import annotations

TEMPLATE = '''"""{title}: say here in one line what is new about it."""

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


def template() -> str:
    return TEMPLATE
