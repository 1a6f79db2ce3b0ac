"""What a task is: a family of questions that share what is asked and how it is answered.

A :class:`Task` bundles small functions, each from a file that has the same name in every task's folder. The engine
(``suite/engine``) calls them and never asks which task it has; a third party's package brings a task of its own by
the entry point ``slide2omics.tasks``. All of a task's functions live below the models: they import no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from protocols.contract import Card, HasSchedule, HasWeights, RowArray, ScheduleRecord, Settings, WeightsRecord
from protocols.declared import Answered
from protocols.errors import UserError
from protocols.images.source import FieldOfView
from protocols.metrics.patient_values import PatientValues
from protocols.protocol import Board, Protocol
from protocols.records import Interval
from protocols.settings import CohortEntry, TaskSettings
from protocols.splits import Split

if TYPE_CHECKING:
    import pandas as pd

    from protocols.images.source import CropSource


@dataclass(frozen=True)
class Part:
    """A function of a task by ``module:function``. It is imported when first called, so that a stage imports (and its
    results depend on) only what it uses: an edited metric scores again and trains nothing."""

    target: str

    @property
    def module(self) -> str:
        return self.target.partition(":")[0]

    def load(self) -> Callable[..., Any]:
        module, _, name = self.target.partition(":")
        found: Callable[..., Any] = getattr(import_module(module), name)
        return found

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self.load()(*arguments, **options)


@dataclass(frozen=True)
class CohortRequest:
    """One cohort of the run's file: ``entry`` is an instance of the task's ``cohort`` model, ``settings`` of its
    ``settings`` model (with the cohort's own changes). ``workers``: threads or processes that reading may use."""

    task: str
    name: str
    entry: Any
    settings: Any
    seed: int
    workers: int = 1


@dataclass(frozen=True)
class Opened:
    """A stored cohort, verified: its request, its store (the task's own class) and the hash of all that it holds."""

    request: CohortRequest
    store: Any
    hash: str
    folder: Path

    @property
    def name(self) -> str:
        return self.request.name

    @property
    def entry(self) -> Any:
        return self.request.entry

    @property
    def settings(self) -> Any:
        return self.request.settings


@dataclass(frozen=True)
class Question:
    """A board's protocol with all the data that it touches. ``cohort`` is what models learn on and are split by;
    ``companions``: other cohorts that its models are asked about or learn from, by name. ``seed``: of split and
    resamples (a run's first)."""

    protocol: Protocol
    board: Board
    cohort: Opened
    companions: Mapping[str, Opened]
    split: Split
    seed: int

    def opened(self, name: str) -> Opened:
        return self.cohort if name == self.cohort.name else self.companions[name]

    @property
    def where(self) -> str:
        return f"{self.protocol.name}, {self.board.name}"


@dataclass(frozen=True)
class CropSet:
    """Crops of a cohort to be embedded, all rows of ``source``. ``key`` names the set within the cohort;
    ``whole_view``: crops are tiles, not cells, and no profile shows encoders less of them. ``um``: a crop's side (None:
    not stated); ``field``: what an encoder sees of it.
    """

    key: str
    source: CropSource
    rows: RowArray
    whole_view: bool = True
    um: float | None = None
    field: FieldOfView = "whole"


@dataclass(frozen=True)
class Features:
    """What an encoder made of a cohort: the embedding of each crop set by key (``.npy``, rows as in the set), the
    folder of what the task derived from them (None: nothing), and the encoder's weights."""

    embeddings: Mapping[str, Path]
    derived: Path | None
    weights: WeightsRecord | None


@dataclass(frozen=True)
class Fit:
    """What a model's fit is given beside the question. ``features``: by cohort name, empty for a card without encoder.
    ``pretrained``: the folder that ``Task.pretrain`` filled; ``workspace``: survives a kill, for this job alone."""

    question: Question
    card: Card
    model_class: type[Any]
    settings: Settings
    features: Mapping[str, Features]
    workspace: Path
    pretrained: Path | None = None


@dataclass(frozen=True)
class Fitted:
    """What a job says of itself: the weights that its model started from, the units it answered (for speed), and how
    long each part of it was trained."""

    weights: tuple[WeightsRecord, ...]
    units: int
    schedule: tuple[ScheduleRecord, ...] = ()

    @classmethod
    def of(cls, model: object, units: int) -> Fitted:
        """What a fitted model says of itself by the hooks that it has."""
        weights = tuple(model.weights()) if isinstance(model, HasWeights) else ()
        schedule = tuple(model.schedule()) if isinstance(model, HasSchedule) else ()
        for one in schedule:
            if not isinstance(one, ScheduleRecord):
                raise UserError(
                    f"schedule() returned {type(one).__name__}", where=type(model).__name__,
                    expected="ScheduleRecord (protocols.contract), one a training", remedy="return a tuple of them",
                )  # fmt: skip
        return cls(weights, units, schedule)


@dataclass(frozen=True, eq=False)
class Scored:
    """What scoring says of a cell; numbers are JSON-safe (None, never NaN).

    Ranks come from ``per_patient`` where the headline is their mean, and from ``values`` where it is not
    (pseudo-values, whose weighted sum it is). ``details``: what the task's own figures and notices read. ``files``
    writes what stands beside the record (name -> bytes writer), tables as Parquet.
    """

    headline: Interval
    summary: Mapping[str, float | None]
    counts: Mapping[str, int] = field(default_factory=dict)
    per_patient: Mapping[str, float] = field(default_factory=dict)
    per_gene: list[dict[str, Any]] = field(default_factory=list)
    values: PatientValues | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    files: Mapping[str, Callable[[Path], None]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """What was noticed of a model's answers (:mod:`protocols.sentinels`); its board says it."""
    answered: Answered | None = None
    """Of a submission that declared units missing (:mod:`protocols.declared`)."""


@dataclass(frozen=True)
class Reader:
    """A format that a task's cohorts may come in.

    ``read`` has the task's own signature; ``required`` and ``options`` are the keys of a cohort's entry that this
    reader takes (one that only another reader takes is refused). ``columns``, ``optional_columns`` and
    ``option_columns``: of readers with a manifest, its columns of files (needed, or not) and of one slide's settings.
    """

    name: str
    task: str
    read: Part
    required: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    optional_columns: tuple[str, ...] = ()
    option_columns: tuple[str, ...] = ()
    data_files: Part | None = None
    """``(root, **options) -> list[Path]``: what the reader reads beyond what the keys say; ``options``
    are what ``read`` is given."""


Check = Callable[[], str | None]
"""One contract test: raises where it fails; a text is said beside it."""
SCORE_ONLY: dict[str, Any] = {"score_only": True}
"""``Field(json_schema_extra=SCORE_ONLY)`` of settings and entries that scoring alone reads."""


@dataclass(frozen=True)
class Task:
    """Every :class:`Part` is a function of ``protocols/<task>/``; ``None`` where a task has no use for it.

    - ``cohort``, ``settings``: pydantic models of a cohort's entry and of the task's section in the run's file. A field
      marked :data:`SCORE_ONLY` is None until scoring, so nothing before can depend on it.
    - ``data_files(request) -> list[Path]``: every file or folder that reading and models touch, and no other.
    - ``read(request, folder)``; ``open_store(request, folder) -> store``.
    - ``boards(protocol, cohorts) -> list[Board]``: default: one a cohort. ``cohorts``: name to request.
    - ``companions(protocol, name, cohorts) -> list[str]``: cohorts that a cohort's fits are asked about or learn from.
    - ``evidence(opened) -> Evidence``: what a cohort holds of whom, for the audit of identity that every task shares;
      ``apart(question) -> list[(name, name)]``: cohorts of which one is learnt from and the other asked about. Default:
      the cohort and each companion.
    - ``audit(question) -> (findings, fold facts)``: what is the task's own; ``excluded(question) -> list[Exclusion]``
      beyond the split's own.
    - ``crops(opened) -> list[CropSet]``; ``serves(opened, encoder) -> bool``;
      ``derive(opened, encoder, embeddings, folder)``: what is made of embeddings once for all models.
    - ``lacks(question, card) -> str``: why a model cannot be asked, or an empty text.
    - ``jobs(question) -> list[str]``: parts that are fitted by themselves, heaviest first;
      ``fit(fit, job, folder) -> Fitted``; ``join(question, {job: folder}, folder)``: default: all files are taken.
    - ``pretrains_on(question, card) -> str``: the cohort learned from once before any fold, or an empty text;
      ``pretrain(fit, opened, folder) -> Fitted``.
    - ``score(question, answers) -> Scored``; ``score_control(question, name) -> Scored``;
      ``average({board: (record, folder)}) -> Scored``; ``describe(question) -> dict``.
    - ``lay_out(question, table or folder, folder, where)``: a stranger's answers as the task's own files;
      ``boards_in(table or folder, boards, cohorts, where) -> {board name: its part}``: default: one board, all rows; or
      rows by the column ``cohort``.
    - ``units(question) -> Iterator[DataFrame]``; ``targets(question) -> DataFrame | None``.
    - ``checks(model_class, name, settings) -> list[(name, callable)]``; ``template() -> str``; ``notices(records)``.
    - ``learning(model_class, settings, plant) -> Learned``: what a model makes of a signal planted in made-up units
      (:mod:`protocols.learning`).
    """

    name: str
    title: str
    cohort: type[CohortEntry]
    settings: type[TaskSettings]
    needs: tuple[str, ...]
    data_files: Part
    read: Part
    open_store: Part
    audit: Part
    jobs: Part
    fit: Part
    score: Part
    describe: Part
    lay_out: Part
    units: Part
    checks: Part
    template: Part
    boards: Part | None = None
    companions: Part | None = None
    evidence: Part | None = None
    apart: Part | None = None
    excluded: Part | None = None
    crops: Part | None = None
    serves: Part | None = None
    derive: Part | None = None
    lacks: Part | None = None
    join: Part | None = None
    pretrains_on: Part | None = None
    pretrain: Part | None = None
    score_control: Part | None = None
    average: Part | None = None
    targets: Part | None = None
    learning: Part | None = None
    notices: Part | None = None
    boards_in: Part | None = None
    columns: tuple[str, ...] = ()
    """Columns that a stranger's table must have, whatever its protocol; they hold names."""
    names: tuple[str, ...] = ()
    """Further columns of such a table that hold names: they are read as text, whatever they look like."""
    by_folder: bool = False
    """Answers are handed in as a folder and not as a table."""


def lacks_truth(card: Card, truth: object) -> str:
    """The reason of every task for a reference that is told the truth."""
    return "needs a known truth, and a real cohort has none" if "oracle" in card.needs and truth is None else ""
