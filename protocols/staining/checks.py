"""The contract tests of virtual-staining models: the same for built-in ones and for a newcomer."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from protocols.contract import Card, CropArray, RowArray, Settings
from protocols.contract_checks import check_card, known_global_state, require
from protocols.staining.contract import StainingModel
from protocols.staining.toy import inputs_of, mean_image, reader_of, take, toy_patches
from protocols.staining.views import PatchTrainingView, PatchView
from protocols.task import Check

CLOSE = 1
"""Grey levels: rounding may move a pixel by one where patches are computed in other batches, and by no more."""
SAID = "(reported, never required)"


class Killed(BaseException):
    """Stands for a process that ends in the middle of training; no model may catch it."""


def checks(model_class: type[StainingModel], name: str, settings: Settings) -> list[tuple[str, Check]]:
    """Every contract test on made-up patches.

    The last says the PSNR on the toy's test patches beside that of the H&E itself and of the mean training image, and
    never fails: a model that learns nothing lies below them.
    """
    run = _Run(model_class, settings)
    return [
        ("the card is complete and carries the model's name", lambda: check_card(model_class, name, "staining")),
        ("fit and predict answer with 8-bit RGB images of the right shape", run.answers),
        ("the same seed gives the same bytes twice", run.deterministic),
        ("the order of test patches does not matter", run.order),
        ("a patch's answer does not depend on its companions", run.alone),
        ("IHC of patches outside the training rows changes nothing", run.blind),
        ("fitting again starts afresh", run.refit),
        ("a training that was killed and resumes ends with the same bytes", run.resume),
        ("global random state is left as found", run.global_state),
        ("PSNR on made-up patches is told", run.psnr),
    ]


class _Run:
    """A toy cohort, cut by patient: four patients to train on, two to answer for.

    As in the pipeline, a model gets what its card names, a new instance for every fold, and a folder of its own.
    """

    def __init__(self, model_class: type[StainingModel], settings: Settings) -> None:
        self.model_class, self.folder = model_class, Path(tempfile.mkdtemp(prefix="workspaces-"))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)  # with the last check that holds it
        self.card = getattr(model_class, "card", None)
        self.truth = toy_patches(settings=settings)
        self.data = self._as_declared(self.truth)
        tested = np.isin(self.data.patient, np.unique(self.data.patient)[2::3])
        self.train_at = np.flatnonzero(~tested).astype(np.int64)
        self.test_at = np.flatnonzero(tested).astype(np.int64)
        self._untouched, self._reads = True, 0
        self._model: Any = None
        self._first: CropArray | None = None
        self._again: CropArray | None = None

    def answers(self) -> None:
        self._once()

    def deterministic(self) -> None:
        """The second fit has a workspace and the first has none: a place for checkpoints changes no answer."""
        first, second = self._once(), self._second()
        require(first.tobytes() == second.tobytes(), f"two runs differ by up to {_gap(first, second)} grey levels")
        again = self._ask(self._fitted_once())
        require(first.tobytes() == again.tobytes(), f"asking twice differs by up to {_gap(first, again)} grey levels")

    def order(self) -> None:
        model, first, back = self._fitted_once(), self._once(), self._rows()[::-1]
        self._same(self._ask(model, rows=back)[::-1], first, "answers move when rows are asked for in another order")
        turned = self._ask(model, take(self._test(), back))[::-1]
        self._same(turned, first, "answers move when the test patches come in another order")

    def alone(self) -> None:
        model, first = self._fitted_once(), self._once()
        for row in self._rows():
            found = self._ask(model, rows=row[None])
            self._same(found, first[row][None], "a patch asked for alone is answered differently than in company")
        test, last = self._test(), self._rows()[-1:]
        found = self._ask(model, take(test, last))
        self._same(found, first[last], "a patch alone in a test set is answered differently than in company")
        he = test.he(self._rows())
        he[:-1] //= 2
        found = self._ask(model, replace(test, he_reader=reader_of(he)))[last]
        self._same(found, first[last], "a patch is answered differently where its companions are darker")

    def blind(self) -> None:
        ihc = self.data.ihc(np.arange(len(self.data), dtype=np.int64))
        ihc[self.test_at] = 255 - ihc[self.test_at]
        poisoned = self._ask(self._fitted(replace(self.data, ihc_reader=reader_of(ihc))))
        require(poisoned.tobytes() == self._once().tobytes(), "answers moved when IHC of test patches did: a leak")

    def refit(self) -> None:
        """An instance that learned something else first answers as a new one."""
        model = self._new()
        ihc = self.data.ihc
        model.fit(self._training(replace(self.data, ihc_reader=lambda rows: 255 - ihc(rows))))
        model.fit(self._training(self.data))
        self._same(self._ask(model), self._once(), "a second fit on the same instance answers differently")

    def resume(self) -> None:
        """Killed after half of its reads, and when all was done; skipped where nothing is left to go on from."""
        finished = self.folder / "second"
        self._second()
        for what, place in (("a finished one", finished), ("half of one", self._killed())):
            if any(place.iterdir()):
                found = self._ask(self._fitted(self.data, place))
                gap = _gap(found, self._once())
                require(
                    found.tobytes() == self._once().tobytes(),
                    f"going on from {what} in the workspace differs by up to {gap} grey levels",
                )

    def global_state(self) -> None:
        self._second()
        require(self._untouched, "random or numpy.random was drawn from or seeded: use train.settings.seed")

    def psnr(self) -> str:
        """PSNR, mean over test patches: the model's, the H&E's and the mean training image's."""
        from protocols.metrics.image_similarity import psnr

        truth, he = self.truth.ihc(self.test_at), self.truth.he(self.test_at)
        mean = np.rint(mean_image(self.truth, self.train_at)).astype(np.uint8)
        identity, middle = (psnr(one, truth).mean() for one in (he, np.broadcast_to(mean, truth.shape)))
        beside = f"the H&E itself {identity:.1f}, the mean training image {middle:.1f} {SAID}"
        try:
            answer = self._once()
        except Exception:  # it is the problem of the checks above
            return f"PSNR on the toy's test patches is unknown, for want of an answer; {beside}"
        if np.array_equal(answer, truth):
            return f"PSNR on the toy's test patches is without bound (no pixel is wrong); {beside}"
        return f"PSNR on the toy's test patches {psnr(answer, truth).mean():.1f} dB; {beside}"

    def _killed(self) -> Path:
        """The workspace that a training leaves which is killed at half of the reads of a whole one."""
        place = self.folder / "killed"
        place.mkdir(exist_ok=True)
        with suppress(Killed):
            self._fitted(_Counted(self.data, self._reads // 2).view, place)
        return place

    def _as_declared(self, view: PatchTrainingView) -> PatchTrainingView:
        """An embedding only for a card with an encoder, the truth only for one that needs it."""
        if not isinstance(self.card, Card):
            return view
        view = view if self.card.encoder else replace(view, embedding_reader=None)
        return view if "oracle" in self.card.needs else replace(view, oracle_reader=None)

    def _new(self) -> Any:
        return self.model_class()

    def _training(self, data: PatchTrainingView, workspace: Path | None = None) -> PatchTrainingView:
        training: PatchTrainingView = take(replace(data, oracle_reader=None, workspace=workspace), self.train_at)
        return training

    def _fitted(self, data: PatchTrainingView, workspace: Path | None = None) -> Any:
        model = self._new()
        model.fit(self._training(data, workspace))
        return model

    def _fitted_once(self) -> Any:
        if self._model is None:
            self._model = self._fitted(self.data)
        return self._model

    def _second(self) -> CropArray:
        """What a second instance answers, fitted in a workspace and watched: its reads and the global generators."""
        self._once()
        if self._again is None:
            place = self.folder / "second"
            place.mkdir(exist_ok=True)
            counted = _Counted(self.data, None)
            with known_global_state() as untouched:
                self._again = self._ask(self._fitted(counted.view, place))
                self._untouched = untouched()
            self._reads = counted.reads
        return self._again

    def _once(self) -> CropArray:
        if self._first is None:
            self._first = self._ask(self._fitted_once())
        return self._first

    def _test(self) -> PatchView:
        test: PatchView = take(inputs_of(self.data), self.test_at)
        return test

    def _rows(self) -> RowArray:
        return np.arange(len(self.test_at), dtype=np.int64)

    def _ask(self, model: Any, view: PatchView | None = None, rows: RowArray | None = None) -> CropArray:
        asked = self._test() if view is None else view
        rows = np.arange(len(asked), dtype=np.int64) if rows is None else rows
        answer, shape = model.predict(asked, rows), (len(rows), asked.pixels, asked.pixels, 3)
        kind = f"{getattr(answer, 'dtype', type(answer).__name__)} {getattr(answer, 'shape', '')}".strip()
        sound = isinstance(answer, np.ndarray) and answer.shape == shape and answer.dtype == np.uint8
        require(sound, f"predict returned {kind}, expected uint8 {shape}")
        return np.array(answer)

    def _same(self, answer: CropArray, expected: CropArray, message: str) -> None:
        gap = _gap(answer, expected)
        require(gap <= CLOSE, f"{message} (by up to {gap} grey levels)")


class _Counted:
    """A training view that counts its reads and dies before the one after ``limit``."""

    def __init__(self, data: PatchTrainingView, limit: int | None) -> None:
        self.reads, self._limit = 0, limit
        self.view = replace(data, he_reader=self._watched(data.he), ihc_reader=self._watched(data.ihc))

    def _watched(self, read: Any) -> Any:
        def watched(rows: RowArray) -> CropArray:
            self.reads += 1
            if self._limit is not None and self.reads > self._limit:
                raise Killed
            images: CropArray = read(rows)
            return images

        return watched


def _gap(left: CropArray, right: CropArray) -> int:
    return int(np.abs(left.astype(np.int64) - right).max(initial=0))
