"""Any scikit-learn regressor on an encoder's frozen embedding is a model in one line of ``params.yaml``."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from baselines.encoders.table import ENCODERS
from baselines.expression.parts.ridge import missingness_groups, standardisation
from protocols.contract import Card, FloatArray, Inputs, TrainingData
from protocols.errors import UserError, did_you_mean

_LINE = re.compile(r"\s*(?P<module>[\w.]+):(?P<name>\w+)\s*(?P<call>\(.*\))?\s*@\s*(?P<encoder>\w+)\s*")


@dataclass(frozen=True)
class SklearnLine:
    """``package.module:Regressor(keyword=literal, …) @ encoder``, taken apart."""

    module: str
    name: str
    keywords: dict[str, Any]
    encoder: str


def is_sklearn_line(spec: str) -> bool:
    """A regressor's place before the ``@``; a model's name there has no colon (:mod:`baselines.on_encoder`)."""
    before, at, _ = spec.partition("@")
    return bool(at) and ":" in before


def parse_line(spec: str, *, where: object) -> SklearnLine:
    """Parse without evaluating anything: keyword arguments must be Python literals."""
    match = _LINE.fullmatch(spec)
    if match is None:
        raise UserError(
            f"cannot read {spec!r}",
            where=where,
            expected='"package.module:Regressor @ encoder", with keyword=literal in brackets if needed',
            remedy='for example "sklearn.linear_model:Ridge(alpha=10) @ uni"',
        )
    return SklearnLine(
        match["module"], match["name"], _literal_keywords(match["call"] or "()", where), match["encoder"]
    )


def sklearn_model(spec: str, name: str) -> type[SklearnProbe]:
    """A model class called ``name`` from one line; everything that can be wrong with the line is found here, but for
    its encoder: whether the run has one of that name is asked of every card alike."""
    where = f"model {name}"
    line = parse_line(spec, where=where)
    known = ENCODERS.get(line.encoder)
    _regressor_class(line, where=where)
    card = Card(
        name=name,
        title=f"{line.name} on {line.encoder}",
        summary=f"Frozen {line.encoder} embedding, standardised, then {spec.split('@')[0].strip()}.",
        licence=known.licence if known else "",
        encoder=line.encoder,
        training_overlap=known.training_overlap if known else "unknown",
    )
    return type("SklearnProbe_" + re.sub(r"\W", "_", name), (SklearnProbe,), {"card": card, "line": line})


class SklearnProbe:
    """Fits the regressor on standardised features, one fit per group of genes with the same measured rows.

    A regressor that takes one target at a time (it refuses a matrix, or answers with a vector) is fitted gene by gene.
    ``random_state`` and ``n_jobs`` come from the run's settings where the line does not set them.
    """

    card: ClassVar[Card]
    line: ClassVar[SklearnLine]

    def fit(self, train: TrainingData) -> None:
        x = train.embedding().astype(np.float64)
        self._mean, self._scale = standardisation(x)
        x = (x - self._mean) / self._scale
        self._fitted: list[tuple[np.ndarray[Any, Any], list[Any]]] = []
        self._n_genes = train.targets.shape[1]
        keywords = self._keywords(train)
        regressor = _regressor_class(self.line, where=f"model {self.card.name}")
        for rows, genes in missingness_groups(train.targets.astype(np.float64)):
            if len(rows):
                y = train.targets[np.ix_(rows, genes)].astype(np.float64)
                self._fitted.append((genes, _fit_group(regressor, keywords, x[rows], y)))

    def predict(self, test: Inputs) -> FloatArray:
        x = (test.embedding().astype(np.float64) - self._mean) / self._scale
        out = np.zeros((len(x), self._n_genes), dtype=np.float32)
        for genes, estimators in self._fitted:
            columns = [np.asarray(e.predict(x)).reshape(len(x), -1) for e in estimators]
            out[:, genes] = np.concatenate(columns, axis=1)
        return out

    def _keywords(self, train: TrainingData) -> dict[str, Any]:
        accepted = inspect.signature(_regressor_class(self.line, where=f"model {self.card.name}")).parameters
        ours = {"random_state": train.settings.seed % 2**32, "n_jobs": train.settings.threads}
        return {**{key: value for key, value in ours.items() if key in accepted}, **self.line.keywords}


def _fit_group(
    regressor: type[Any], keywords: dict[str, Any], x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]
) -> list[Any]:
    """One estimator for all columns of ``y`` where the regressor can, else one per column."""
    if y.shape[1] > 1 and _takes_many_targets(regressor, keywords):
        return [regressor(**keywords).fit(x, y)]
    return [regressor(**keywords).fit(x, column) for column in y.T]


def _takes_many_targets(regressor: type[Any], keywords: dict[str, Any]) -> bool:
    """Ask scikit-learn's own estimator tags; a regressor without tags is fitted gene by gene."""
    from sklearn.utils import get_tags

    try:
        tags = get_tags(regressor(**keywords))
    except (AttributeError, TypeError):
        return False
    return bool(tags.target_tags.multi_output)


def _regressor_class(line: SklearnLine, *, where: object) -> type[Any]:
    try:
        module = importlib.import_module(line.module)
    except ModuleNotFoundError as error:
        raise UserError(
            f"no module {line.module!r} ({error})", where=where, expected="an installed package", remedy="install it"
        ) from None
    found = getattr(module, line.name, None)
    if not inspect.isclass(found) or not hasattr(found, "fit") or not hasattr(found, "predict"):
        classes = [key for key, value in vars(module).items() if inspect.isclass(value) and hasattr(value, "predict")]
        raise UserError(
            f"{line.module} has no regressor {line.name!r}",
            where=where,
            expected="a class with fit and predict",
            remedy=did_you_mean(line.name, classes),
        )
    accepted = inspect.signature(found).parameters
    for key in line.keywords:
        if key not in accepted:
            raise UserError(
                f"{line.name} takes no {key!r}", where=where, expected="its own keywords",
                remedy=did_you_mean(key, accepted),
            )  # fmt: skip
    return found


def _literal_keywords(call: str, where: object) -> dict[str, Any]:
    try:
        node = ast.parse(f"f{call}", mode="eval").body
        if not isinstance(node, ast.Call) or node.args or any(k.arg is None for k in node.keywords):
            raise ValueError("only keyword arguments")
        return {str(k.arg): ast.literal_eval(k.value) for k in node.keywords}
    except (SyntaxError, ValueError) as error:
        raise UserError(
            f"cannot read the arguments {call} ({error})",
            where=where,
            expected="keyword=literal, separated by commas",
            remedy="use numbers, strings, True, False, None, tuples or lists",
        ) from None
