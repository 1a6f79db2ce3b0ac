"""Fits one job of one cell: what a worker process does, and all that it imports is in the cell's key."""

from __future__ import annotations

import json
import shutil
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from baselines.training.kernels import kernels_heard
from protocols.contract import ScheduleRecord, WeightsRecord
from protocols.errors import UserError
from protocols.own_lines import own_line
from protocols.sealed import read_seal
from protocols.task import Features, Fit, Fitted, Question
from suite.engine.embedding import features_of
from suite.engine.measured import Device
from suite.engine.named_weights import handed, refuse_unreported
from suite.engine.questions import question_of, run_of
from suite.engine.run import Run
from suite.engine.store import made
from suite.engine.undeclared import Read, home_of, reading, refuse_undeclared

FIT, PRETRAINED, FITTED_FILE = "fit", "pretraining", "fitted.json"
KERNELS = "not deterministic"
"""Of a job on a GPU: kernels that it used and that promise no equal answer twice."""


@dataclass(frozen=True)
class FitItem:
    """One job of one cell (or, with ``job`` empty, its pre-training on ``cohort``): what a process is given.

    ``features``: (cohort, crop sets' folders, derived folder). ``of``: hashes of the data that the answers depend on.
    """

    config: str
    root: Path
    protocol: str
    board: str
    model: str
    seed: int
    job: str
    folder: Path
    of: tuple[tuple[str, str], ...]
    features: tuple[tuple[str, tuple[tuple[str, Path], ...], Path | None], ...] = ()
    pretrained: Path | None = None
    cohort: str = ""
    answers: Path | None = None
    """The cell that the job is a part of; where another process finished that, there is nothing left to do."""

    def __str__(self) -> str:
        return f"{self.protocol}, {self.board}: {self.model}, {f'job {self.job}' if self.job else 'pre-training'}"


@dataclass(frozen=True)
class FitAnswer:
    """How long a job took, what it needed, and whether it was done now."""

    seconds: float
    peak_memory_mib: int
    peak_gpu_memory_mib: int
    device_name: str
    units: int
    now: bool


def fit_job(item: FitItem) -> FitAnswer:
    """Fit, if the job's folder is not there yet; the answers and what the model says of itself are sealed."""
    started = time.monotonic()
    run = run_of(item.config, item.root)
    home = _home(run, item)
    device = Device.begun(run.config.settings())
    with reading(home) as read:
        now, units, fit = _fitted(run, item, home, read)
    if now:
        shutil.rmtree(fit.workspace, ignore_errors=True)
    used, seconds = device.used(), time.monotonic() - started
    return FitAnswer(seconds, used.peak_memory_mib, used.peak_gpu_memory_mib, used.device_name, units, now)


def _fitted(run: Run, item: FitItem, home: Path | None, read: Read) -> tuple[bool, int, Fit]:
    """Whether the job was done now, on how many units, and what it was given."""
    fit, question = fit_of(run, item)
    task = run.tasks[question.protocol.task]
    units = 0

    def make(folder: Path) -> None:
        nonlocal units
        fit.workspace.mkdir(parents=True, exist_ok=True)
        limits, named = threadpool_limits(fit.settings.threads), told_of(item, fit, outside=_is_outside(run, item))
        with limits, named, kernels_heard() as kernels:
            if item.job:
                fitted: Fitted = task.fit(fit, item.job, folder)
            else:
                fitted = _pretrained(task, fit, question, item, folder)
        if item.job:
            refuse_unreported(handed(fit.card, fit.settings), fitted.weights, where=item)
        refuse_undeclared(fit.card, home, read)
        units = fitted.units
        told: dict[str, Any] = asdict(fitted) | ({KERNELS: sorted(kernels)} if kernels else {})
        (folder / FITTED_FILE).write_text(json.dumps(told, sort_keys=True) + "\n", encoding="utf-8")

    return made(item.folder, FIT if item.job else PRETRAINED, dict(item.of), make, unless=item.answers), units, fit


@contextmanager
def told_of(item: FitItem, fit: Fit, *, outside: bool) -> Iterator[None]:
    """What a model raises is told with its name: of somebody else's model as one line at its author's own line, behind
    the trace; of ours as the defect that it is."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if not outside:
            error.add_note(f"raised while fitting {item}")
            raise
        traceback.print_exception(error)
        line = own_line(error, fit.model_class)
        raise UserError(
            f"{type(error).__name__}: {error}", where=f"{item}{f' ({line})' if line else ''}",
            expected=f"model {item.model} to answer", remedy="mend it; what was finished is kept",
        ) from None  # fmt: skip


def _is_outside(run: Run, item: FitItem) -> bool:
    from baselines.registry import is_outside

    return is_outside(item.model, run.config.adapters)


def _home(run: Run, item: FitItem) -> Path | None:
    """The folder of somebody else's model, in which it reads nothing that its card does not declare."""
    from baselines.registry import start_of

    return home_of(start_of(item.model, run.config.adapters, run.root)) if _is_outside(run, item) else None


def fit_of(run: Run, item: FitItem) -> tuple[Fit, Question]:
    """Everything that a job is given. The truth is in it only if the card needs it."""
    from baselines.registry import load_model_class

    model_class = load_model_class(item.model, run.config.adapters, run.root)
    card = model_class.card
    protocol = run.fitting[item.protocol]
    board = {one.name: one for one in run.boards_of(protocol)}[item.board]
    question = question_of(run, protocol, board, truth="oracle" in card.needs)
    features: Mapping[str, Features] = {
        cohort: features_of(dict(sets), derived) for cohort, sets, derived in item.features
    }
    settings = run.config.settings_of(card, seed=item.seed)
    workspace = item.folder.with_name(f"{item.folder.name}.workspace")
    fit = Fit(question, card, model_class, settings, features, workspace, item.pretrained)
    return fit, question


def _pretrained(task: Any, fit: Fit, question: Question, item: FitItem, folder: Path) -> Fitted:
    fitted: Fitted = task.pretrain(fit, question.opened(item.cohort), folder)
    return fitted


def read_fitted(folder: Path, kind: str = FIT) -> Fitted:
    """What a finished job said of itself."""
    read_seal(folder, kind)
    told = json.loads((folder / FITTED_FILE).read_text(encoding="utf-8"))
    return Fitted(
        tuple(WeightsRecord(**one) for one in told["weights"]),
        int(told["units"]),
        tuple(ScheduleRecord(**one) for one in told["schedule"]),
    )


def kernels_of(folder: Path, kind: str = FIT) -> tuple[str, ...]:
    """Kernels without a deterministic version that a finished job used; none on a CPU."""
    read_seal(folder, kind)
    return tuple(json.loads((folder / FITTED_FILE).read_text(encoding="utf-8")).get(KERNELS, ()))
