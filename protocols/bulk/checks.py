"""The contract tests of models of bulk expression: the same for built-in ones and for a newcomer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.bulk.answers import checked
from protocols.bulk.contract import BulkModel, HasUntrainedTwin, PretrainsOnNormal, SuperTiles
from protocols.bulk.toy import inputs_of, of_one_tile, retold, take, toy_normal, toy_slides, toy_windows
from protocols.bulk.views import SlideTrainingView, SlideView
from protocols.contract import Card, FloatArray, Settings
from protocols.contract_checks import check_card, known_global_state, require
from protocols.metrics.gene_correlation import mean_by_patient, pearson_per_gene
from protocols.task import Check

CLOSE = 1e-4
WRONG = 1e3
"""What is put into absent places, to see whether anybody looks."""
Arrays = dict[str, NDArray[np.float32]]


def checks(model_class: type[BulkModel], name: str, settings: Settings) -> list[tuple[str, Check]]:
    """Every contract test on made-up slides.

    Last come two findings that are said and never fail: what absent places do to an answer (released code lets them
    count as tiles), and the mean r on the toy's test patients, which is about 0 for a model that learns nothing.
    """
    run = _Run(model_class, name, settings)
    return [
        ("the card is complete and carries the model's name", lambda: check_card(model_class, name, "bulk")),
        ("fit and predict answer with finite numbers of the right shape", run.answers),
        ("the same seed gives the same bytes twice", run.deterministic),
        ("the order of test slides does not matter", run.order),
        ("a slide's answer does not depend on its companions", run.alone),
        ("fewer genes, in another order, can be asked for", run.genes),
        ("windows of a section are answered, each for itself", run.windows),
        ("absent places are accepted, wherever they are", run.absent),
        ("pre-training on normal tissue comes as arrays, and only where the card needs it", run.pretraining),
        ("the untrained twin, if there is one, is reproducible and differs", run.twin),
        ("expression of slides outside the training rows changes nothing", run.blind),
        ("fitting again starts afresh", run.refit),
        ("global random state is left as found", run.global_state),
        ("what absent places do to an answer (reported, never required)", run.absent_places),
        ("mean r on the toy's test patients (reported, never required)", run.mean_r),
    ]


class _Run:
    """A toy cohort, cut by patient: two thirds of the slides to train on, the others to answer for.

    As in the pipeline, a model gets what its card names, and a new instance for every fold.
    """

    def __init__(self, model_class: type[BulkModel], name: str, settings: Settings) -> None:
        self.model_class, self.name = model_class, name
        self.card = getattr(model_class, "card", None)
        self.truth = toy_slides(settings=settings)
        self.data: SlideTrainingView = self._as_declared(self.truth)
        self.normal: SlideTrainingView = self._as_declared(toy_normal(settings=settings))
        self.section: SlideView = self._as_declared(toy_windows(settings=settings))
        tested = np.isin(self.data.patient, np.unique(self.data.patient)[1::3]) & ~self.data.validation
        self.train_at, self.test_at = np.flatnonzero(~tested), np.flatnonzero(tested)
        self._models: list[Any] = []
        self._untouched = True
        self._arrays: Arrays | None = None
        self._first: FloatArray | None = None

    def answers(self) -> None:
        self._once()

    def deterministic(self) -> None:
        first, second = self._once(), self._ask(self._second())
        require(first.tobytes() == second.tobytes(), f"two runs differ by up to {_gap(first, second):.3g}")
        again = self._ask(self._fitted_once())
        require(first.tobytes() == again.tobytes(), f"asking twice answers differently (by {_gap(first, again):.3g})")

    def order(self) -> None:
        back = self._ask(self._fitted_once(), take(self._test(), np.arange(len(self.test_at))[::-1]))[::-1]
        self._same(back, self._once(), "answers move when the test slides come in another order")

    def alone(self) -> None:
        model, test, first = self._fitted_once(), self._test(), self._once()
        for row in range(len(self.test_at)):
            alone = self._ask(model, take(test, np.array([row])))
            self._same(alone, first[row : row + 1], "a slide alone is answered differently than in company")

    def genes(self) -> None:
        columns = np.arange(len(self.data.genes))[::-3]
        asked = replace(self._test(), genes=tuple(self.data.genes[column] for column in columns))
        found = self._ask(self._fitted_once(), asked)
        message = "asked for fewer genes, in another order, it does not answer in test.genes' order"
        self._same(found, self._once()[:, columns], message)

    def windows(self) -> None:
        model = self._fitted_once()
        answer = self._ask(model, self.section)
        half = np.arange(len(self.section))[::-2]
        found = self._ask(model, take(self.section, half))
        self._same(found, answer[half], "a window's answer depends on the windows beside it")

    def absent(self) -> None:
        """Slides and windows of a single tile, wherever it lies."""
        if self.data.super_tile_reader is None:
            return
        self._ask(self._fitted_once(), of_one_tile(self._test(), 0))
        for place in (0, self.section.places - 1):
            self._ask(self._fitted_once(), of_one_tile(self.section, place))

    def pretraining(self) -> None:
        declared = "normal" in self.card.needs if isinstance(self.card, Card) else False
        hooked = issubclass(self.model_class, PretrainsOnNormal)
        require(hooked or not declared, 'needs=("normal",) but there are no methods pretrain and start_from')
        require(declared or not hooked, 'pretrain and start_from, but the card has no needs=("normal",)')
        if not hooked:
            return
        arrays, again = self._pretrained(), _arrays_of(self._new().pretrain(self.normal))
        require(arrays.keys() == again.keys(), "pretrain returns other names the second time")
        differ = [key for key in arrays if arrays[key].tobytes() != again[key].tobytes()]
        require(not differ, f"pretrain returns another {differ[:1]} the second time")

    def twin(self) -> None:
        if not issubclass(self.model_class, HasUntrainedTwin):
            return
        model = self._fitted_once()
        first, untrained = self._once(), self._ask(model, twin=True)
        gap = _gap(untrained, first)
        require(gap > CLOSE, f"the untrained twin answers like the trained model (within {gap:.3g})")
        second = self._ask(self._second(), twin=True)
        require(untrained.tobytes() == second.tobytes(), f"twins of two fits differ by {_gap(untrained, second):.3g}")
        require(self._ask(model).tobytes() == first.tobytes(), "asking the twin changes the trained model's answer")
        self._ask(model, self.section, twin=True)

    def blind(self) -> None:
        targets = self.data.targets.copy()
        targets[self.test_at] = 99.0
        poisoned = self._ask(self._fitted(replace(self.data, targets=targets)))
        require(poisoned.tobytes() == self._once().tobytes(), "answers moved when test expression was changed: a leak")

    def refit(self) -> None:
        """An instance that learned something else first answers as a new one."""
        model = self._started()
        other = self.data.targets[::-1] + np.float32(3.0)
        model.fit(self._training(replace(self.data, targets=other)))
        model.fit(self._training(self.data))
        self._same(self._ask(model), self._once(), "a second fit on the same instance answers differently")

    def global_state(self) -> None:
        self._second()
        require(self._untouched, "random or numpy.random was drawn from or seeded: use train.settings.seed")

    def absent_places(self) -> str:
        """What a model does with rows that are not there: neither is an error, and they are not the same model."""
        said = "(reported, never required)"
        reads = []

        def tiles_of_zeros(found: SuperTiles) -> SuperTiles:
            reads.append(len(found.present))
            return SuperTiles(found.features, np.ones_like(found.present))

        try:
            first, model = self._once(), self._fitted_once()
            unmasked = _gap(self._ask(model, retold(self._test(), tiles_of_zeros)), first)
            dirty = _gap(self._ask(model, retold(self._test(), _filled)), first)
        except Exception:  # no answer at all, which is the problem of the checks above, or none to nonsense
            return f"absent places: what is done with them is unknown {said}"
        found = "ignored" if unmasked > 0 else "count as tiles of zeros"
        if dirty > CLOSE:
            found = "what lies in them is read"
        return f"absent places: {found if reads else 'no super-tiles are read'} {said}"

    def mean_r(self) -> str:
        """Mean r per gene over test patients, and what the toy's hidden states would reach."""
        said = "(reported, never required)"
        try:
            answer = self._once()
        except Exception:  # it is the problem of the checks above
            return f"mean r on the toy's test patients is unknown, for want of an answer {said}"
        truth, patient = self.truth.targets[self.test_at], self.data.patient[self.test_at]
        best = take(self.truth, self.test_at).oracle()
        r = [
            float(pearson_per_gene(*(mean_by_patient(part, patient)[1] for part in (truth, of))).mean())
            for of in (answer, best)
        ]
        return f"mean r on the toy's test patients {r[0]:.2f}, of at most {r[1]:.2f} {said}"

    def _as_declared(self, view: Any) -> Any:
        """Tiles only for a card with an encoder, the truth only for one that needs it, as the pipeline has it."""
        if not isinstance(self.card, Card):
            return view
        if not self.card.encoder:
            view = replace(view, super_tile_reader=None, mean_reader=None, width=0)
        return view if "oracle" in self.card.needs else replace(view, oracle_reader=None)

    def _new(self) -> Any:
        return self.model_class()

    def _started(self) -> Any:
        model = self._new()
        if isinstance(model, PretrainsOnNormal):
            model.start_from({name: array.copy() for name, array in self._pretrained().items()})
        return model

    def _pretrained(self) -> Arrays:
        if self._arrays is None:
            self._arrays = _arrays_of(self._new().pretrain(replace(self.normal, oracle_reader=None)))
        return self._arrays

    def _fitted(self, data: SlideTrainingView) -> Any:
        model = self._started()
        model.fit(self._training(data))
        return model

    def _fitted_once(self) -> Any:
        if not self._models:
            self._models.append(self._fitted(self.data))
        return self._models[0]

    def _second(self) -> Any:
        """A second instance, fitted and asked while the global generators are watched."""
        self._fitted_once()
        if len(self._models) < 2:
            with known_global_state() as untouched:
                self._models.append(self._fitted(self.data))
                self._ask(self._models[1])
                self._untouched = untouched()
        return self._models[1]

    def _once(self) -> FloatArray:
        if self._first is None:
            self._first = self._ask(self._fitted_once())
        return self._first

    def _training(self, data: SlideTrainingView) -> SlideTrainingView:
        training: SlideTrainingView = take(replace(data, oracle_reader=None), self.train_at)
        return training

    def _test(self) -> SlideView:
        test: SlideView = take(inputs_of(self.data), self.test_at)
        return test

    def _ask(self, model: Any, view: SlideView | None = None, *, twin: bool = False) -> FloatArray:
        asked = self._test() if view is None else view
        answer = (model.predict_untrained if twin else model.predict)(asked)
        what = "windows" if asked.windows else "slides"
        return checked(answer, (len(asked), len(asked.genes)), self.name, f"{what} of the contract tests")

    def _same(self, answer: FloatArray, expected: FloatArray, message: str) -> None:
        gap = _gap(answer, expected)
        require(gap < CLOSE, f"{message} (by up to {gap:.3g})")


def _arrays_of(given: object) -> Arrays:
    """What ``pretrain`` returned, as the pipeline keeps it between processes; anything else is the model's error."""
    require(isinstance(given, dict) and bool(given), f"pretrain returned {type(given).__name__}, not arrays by name")
    kept: Arrays = {}
    for name, value in dict(given).items() if isinstance(given, dict) else ():
        array = np.asarray(value)
        require(isinstance(name, str), f"pretrain returned a name that is no text: {name!r}")
        require(np.issubdtype(array.dtype, np.number), f"pretrain's {name!r} holds no numbers")
        kept[name] = array.astype(np.float32)
        require(bool(np.isfinite(kept[name]).all()), f"pretrain's {name!r} holds NaN or infinity")
    return kept


def _filled(found: SuperTiles) -> SuperTiles:
    """Absent places hold nonsense instead of zeros."""
    return SuperTiles(np.where(found.present[..., None], found.features, np.float32(WRONG)), found.present)


def _gap(left: FloatArray, right: FloatArray) -> float:
    return float(np.abs(left - right).max(initial=0)) if left.shape == right.shape else float("inf")
