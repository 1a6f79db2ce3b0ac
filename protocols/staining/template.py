"""The file a newcomer to virtual staining starts from: a regression of each pixel's colour, which conforms as it is."""

from __future__ import annotations

TEMPLATE = '''"""{title}: say here in one line what is new about it."""

import numpy as np

from protocols.contract import Card


class {class_name}:
    card = Card(
        name="{name}",
        title="{title}",
        task="staining",
        training_overlap="unknown",
    )

    def fit(self, train):
        """Learn. train.he(rows), train.ihc(rows) are uint8 RGB (k, p, p, 3), read when asked for: take a few at a time.

        Draw from train.settings.seed alone; a checkpoint in train.workspace (a folder, or None) survives a kill.
        """
        gram, moment = np.eye(10), np.zeros((10, 3))
        for row in range(len(train)):
            x = self._pixels(train.he(np.array([row])))
            gram += x.T @ x
            moment += x.T @ train.ihc(np.array([row])).reshape(-1, 3)
        self.colours = np.linalg.solve(gram, moment)

    def predict(self, test, rows):
        """IHC of some rows, uint8 RGB (k, p, p, 3). `test` has no IHC; an image must not depend on its companions."""
        answer = np.empty((len(rows), test.pixels, test.pixels, 3), dtype=np.uint8)
        for at, row in enumerate(rows):
            seen = self._pixels(test.he(np.array([row]))) @ self.colours
            answer[at] = np.clip(np.rint(seen), 0, 255).reshape(answer[at].shape)
        return answer

    def _pixels(self, images):
        """Each pixel's colour with squares and products, (pixels, 10)."""
        r, g, b = images.reshape(-1, 3).T / 255.0
        return np.stack([np.ones_like(r), r, g, b, r * r, g * g, b * b, r * g, g * b, b * r], axis=1)
'''


def template() -> str:
    return TEMPLATE
