"""A scikit-learn regressor as a one-line model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from baselines.expression.parts.sklearn_probe import parse_line, sklearn_model
from baselines.registry import load_model_class
from protocols.errors import UserError
from protocols.expression.toy import inputs_of, toy_training


def test_line_is_taken_apart_without_evaluation() -> None:
    line = parse_line('a.b:C(x=1, y="z", w=(1, None)) @ uni', where="t")
    assert (line.module, line.name, line.encoder) == ("a.b", "C", "uni")
    assert line.keywords == {"x": 1, "y": "z", "w": (1, None)}
    assert parse_line("a.b:C@uni", where="t").keywords == {}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("sklearn.linear_model:Ridge(alpha=__import__('os').getcwd()) @ uni", "cannot read the arguments"),
        ("sklearn.linear_model:Ridge(10) @ uni", "only keyword arguments"),
        ("sklearn.linear_model:Ridge(**{}) @ uni", "only keyword arguments"),
        ("sklearn.linear_model:Ridge(alpha=1) + f() @ uni", "cannot read"),
        ("sklearn.linear_model.Ridge @ uni", "cannot read"),
        ("sklearn.linear_model:Ridge(alfa=1) @ uni", "did you mean 'alpha'"),
        ("sklearn.linear_model:Rigde @ uni", "did you mean 'Ridge'"),
        ("sklearn.linear_modell:Ridge @ uni", "no module"),
        ("sklearn.preprocessing:StandardScaler @ uni", "no regressor"),
    ],
)
def test_every_fault_of_a_line_is_found_when_it_is_read(line: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        sklearn_model(line, "mine")


def test_ridge_with_holes_equals_scikit_learn_per_gene() -> None:
    data = toy_training(n=80, genes=6)
    cls = load_model_class("r", {"r": "sklearn.linear_model:Ridge(alpha=10) @ resnet50"}, Path())
    assert cls.card.encoder == "resnet50"
    model = cls()
    model.fit(data)
    got = model.predict(inputs_of(data))
    x = data.embedding().astype(float)
    z = (x - x.mean(0)) / x.std(0)
    for gene in range(6):
        rows = np.isfinite(data.targets[:, gene])
        expected = Ridge(alpha=10).fit(z[rows], data.targets[rows, gene]).predict(z)
        np.testing.assert_allclose(got[:, gene], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "line",
    [
        "sklearn.ensemble:RandomForestRegressor(n_estimators=5) @ uni",
        "sklearn.ensemble:GradientBoostingRegressor(n_estimators=3) @ uni",  # one target at a time
        "sklearn.svm:SVR @ uni",
        "sklearn.neighbors:KNeighborsRegressor @ uni",
        "sklearn.cross_decomposition:PLSRegression(n_components=2) @ uni",
    ],
)
def test_any_regressor_is_finite_and_repeatable(line: str) -> None:
    data = toy_training(n=60, genes=4)
    answers = []
    for _ in range(2):
        model = sklearn_model(line, "mine")()
        model.fit(data)
        answers.append(model.predict(inputs_of(data)))
    assert answers[0].shape == (60, 4)
    assert np.isfinite(answers[0]).all()
    np.testing.assert_array_equal(*answers)
