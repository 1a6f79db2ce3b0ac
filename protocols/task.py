"""What a task is: a family of questions that share what is asked and how it is answered.

A :class:`Task` bundles small functions, each from a file that has the same name in every task's folder. The engine
(``suite/engine``) calls them and never asks which task it has; a third party's package brings a task of its own by
the entry point ``slide2omics.tasks``. All of a task's functions live below the models: they import no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from protocols.contract import Card, RowArray, Settings, WeightsRecord
from protocols.errors import UserError
from protocols.findings import Finding, FoldFacts
from protocols.protocol import Board, Protocol
from protocols.records import Interval, ScoreRecord
from protocols.splits import Exclusion, Split

if TYPE_CHECKING:
    import pandas as pd

    from protocols.images.source import CropSource


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
    ``whole_view``: crops are tiles, not cells, and are seen whole by every encoder."""

    key: str
    source: CropSource
    rows: RowArray
    whole_view: bool = True


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
    """What a job says of itself: the weights that its model started from, and the units it answered (for speed)."""

    weights: tuple[WeightsRecord, ...]
    units: int


@dataclass(frozen=True, eq=False)
class Scored:
    """What scoring says of a cell; numbers are JSON-safe (None, never NaN).

    Intervals come from ``per_patient`` or from ``replicates`` (the headline in each patient resample, the same for
    every model of a board). ``details``: what the task's own figures and notices read. ``files`` writes what stands
    beside the record (name -> bytes writer), tables as Parquet.
    """

    headline: Interval
    summary: Mapping[str, float | None]
    counts: Mapping[str, int] = field(default_factory=dict)
    per_patient: Mapping[str, float] = field(default_factory=dict)
    per_gene: list[dict[str, Any]] = field(default_factory=list)
    replicates: list[float] = field(default_factory=list)
    details: Mapping[str, Any] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    files: Mapping[str, Callable[[Path], None]] = field(default_factory=dict)


@dataclass(frozen=True)
class Reader:
    """A format that a task's cohorts may come in. ``read`` is the task's own signature; ``options`` the keys of a
    cohort's entry that this reader takes (any other that is set is refused)."""

    name: str
    task: str
    read: Callable[..., Any]
    options: tuple[str, ...] = ()
    required: tuple[str, ...] = ()


Check = Callable[[], None]


@dataclass(frozen=True)
class Task:
    """See each function's file in ``protocols/<task>/``.

    - ``cohort``, ``settings``: pydantic models of a cohort's entry and of the task's section in the run's file.
    - ``needs``: what a card may need of a cohort.
    - ``data_files(request)``: every file or folder that reading and models touch, and no other: what a manifest names.
    - ``read(request, folder)``: write the store into an empty folder. ``open_store(request, folder)``: the store.
    - ``boards(protocol, cohorts)``: which boards a protocol has on the run's cohorts of the task.
    - ``companions(protocol, name, cohorts)``: other cohorts that the fits of a cohort are asked about or learn from.
    - ``audit(question)``: findings and what each fold holds; ``excluded(question)`` who was left out.
    - ``crops(opened)``: what encoders embed; ``serves(opened, encoder)``: whether that encoder can be asked of it.
    - ``derive(opened, encoder, embeddings, folder)``: what is made of the embeddings once for all models, if anything.
    - ``lacks(question, card)``: why a model cannot be asked, or an empty text.
    - ``jobs(question, model_class)``: names of the parts that are fitted by themselves (a fold, or a group of folds
      that shares its pre-training), heaviest first; ``fit(fit, job, folder)`` fits one and writes its answers.
    - ``join(question, jobs, folder)``: from the jobs' folders to the cell's files.
    - ``pretrains_on(card, question)``: the cohort that a model learns from once before any fold, or an empty text;
      ``pretrain(fit, opened, folder)``.
    - ``score(question, answers)``, ``score_control(question, name)``, ``average(parts)``, ``describe(question)``.
    - ``lay_out(question, table or folder, folder, where)``: a stranger's answers as the task's own files.
    - ``units(question)``: who is trained on and who is asked about, as tables; ``targets(question)``: what is asked.
    - ``checks(model_class, name, settings)``: the contract tests, on made-up data.
    - ``template``: the file that a newcomer's model starts from.
    """

    name: str
    title: str
    cohort: type[Any]
    settings: type[Any]
    needs: tuple[str, ...]
    data_files: Callable[[CohortRequest], list[Path]]
    read: Callable[[CohortRequest, Path], None]
    open_store: Callable[[CohortRequest, Path], Any]
    audit: Callable[[Question], tuple[list[Finding], list[FoldFacts]]]
    jobs: Callable[[Question, type[Any]], list[str]]
    fit: Callable[[Fit, str, Path], Fitted]
    score: Callable[[Question, Path], Scored]
    describe: Callable[[Question], dict[str, Any]]
    lay_out: Callable[[Question, Any, Path, str], None]
    units: Callable[[Question], Iterator[pd.DataFrame]]
    checks: Callable[[type[Any], str, Settings], list[tuple[str, Check]]]
    boards: Callable[[Protocol, Mapping[str, CohortRequest]], list[Board]] | None = None
    companions: Callable[[Protocol, str, Mapping[str, CohortRequest]], list[str]] | None = None
    excluded: Callable[[Question], list[Exclusion]] | None = None
    crops: Callable[[Opened], list[CropSet]] | None = None
    serves: Callable[[Opened, str], bool] | None = None
    derive: Callable[[Opened, str, Mapping[str, Path], Path], None] | None = None
    lacks: Callable[[Question, Card], str] | None = None
    join: Callable[[Question, Mapping[str, Path], Path], None] | None = None
    pretrains_on: Callable[[Question, type[Any]], str] | None = None
    pretrain: Callable[[Fit, Opened, Path], None] | None = None
    score_control: Callable[[Question, str], Scored] | None = None
    average: Callable[[Mapping[str, tuple[ScoreRecord, Path]]], Scored] | None = None
    targets: Callable[[Question], pd.DataFrame | None] | None = None
    columns: tuple[str, ...] = ()
    """Key columns of a stranger's table; the first is the board's, if a table may hold several. Empty: a folder."""
    template: str = ""

    @property
    def by_folder(self) -> bool:
        return not self.columns


def refuse_unknown_cohort(name: str, known: Mapping[str, Any], *, where: object) -> None:
    from protocols.errors import look_up

    look_up(name, known, kind="cohort", where=where)


def lacks_truth(question: Question, card: Card, truth: object) -> str:
    """The reason of every task for a reference that is told the truth."""
    return "needs a known truth, and a real cohort has none" if "oracle" in card.needs and truth is None else ""


def checked_settings(values: object) -> None:
    if not isinstance(values, Mapping):
        raise UserError(
            "not a mapping", where="the run's file", expected="keys and values", remedy="see docs/params.md"
        )
