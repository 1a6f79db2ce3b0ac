"""What every model of the family must keep to, and the file that a new one starts from."""

import numpy as np

from cell_fraction.answers import checked
from cell_fraction.fit import Slides
from protocols.contract import Settings
from protocols.contract_checks import check_card, require
from protocols.task import Check

TEMPLATE = '''"""{title}"""

import numpy as np
from protocols.contract import Card


class {class_name}:
    card = Card(name="{name}", title="{title}", task="cell_fraction")

    def fit(self, train):
        self.middle = float(np.median(train.fraction))

    def predict(self, test):
        return np.full(len(test), self.middle)
'''


def checks(model_class: type, name: str, _settings: Settings) -> list[tuple[str, Check]]:
    return [
        ("the card is complete and carries the model's name", lambda: check_card(model_class, name, "cell_fraction")),
        ("the answer is one finite fraction a slide", lambda: _answers(model_class, name)),
        ("a slide's answer does not depend on its companions", lambda: _alone(model_class, name)),
    ]


def template() -> str:
    return TEMPLATE


def _toy(model_class: type) -> tuple[object, Slides]:
    features = np.random.default_rng(0).random((12, 5), dtype=np.float32)
    names = tuple(f"s{number}" for number in range(12))
    model = model_class()
    model.fit(Slides(names[:8], features[:8], features[:8, 0]))
    return model, Slides(names[8:], features[8:], None)


def _answers(model_class: type, name: str) -> None:
    model, test = _toy(model_class)
    checked(model.predict(test), test.slide, f"model {name}")


def _alone(model_class: type, name: str) -> None:
    model, test = _toy(model_class)
    one = model.predict(Slides(test.slide[:1], test.features[:1], None))
    require(np.allclose(one, model.predict(test)[:1]), "a slide alone is answered differently than in company")
