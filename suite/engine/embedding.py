"""Embeds a cohort's crops with every encoder that a listed model reads, in one pass over its images."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from baselines.training.kernels import kernels_heard
from protocols.contract import Settings, WeightsRecord
from protocols.progress import steps
from protocols.sealed import is_sealed, read_seal, sealed_folder
from protocols.task import Features, Opened, Task
from suite.engine.locks import locked
from suite.engine.measured import Device, write_embedding_timing
from suite.engine.questions import opened, run_of
from suite.engine.store import made

ARRAY_FILE, WEIGHTS_FILE = "embedding.npy", "weights.json"
EMBEDDING, DERIVED = "embedding", "features"
KERNELS_FILE = "kernels.json"
"""Of an embedding made on a GPU: kernels that promise no equal answer twice; not there if there are none."""


@dataclass(frozen=True)
class EmbedItem:
    """One cohort and one training seed: what a process is given. ``folders``: (crop set, encoder) to the kept folder;
    ``derived``: encoder to the kept folder of what the task derives, if it derives anything."""

    config: str
    root: Path
    task: str
    cohort: str
    seed: int
    folders: tuple[tuple[str, str, Path], ...]
    derived: tuple[tuple[str, Path], ...]
    of: str

    def __str__(self) -> str:
        return f"embedding of {self.task}/{self.cohort}"


def embed_cohort(item: EmbedItem) -> int:
    """Make what is not there yet; returns how many embeddings were made."""
    run = run_of(item.config, item.root)
    task = run.task(item.task)
    cohort = opened(task, run.requests(item.task)[item.cohort])
    number = 0
    sets = {one.key: one for one in task.crops(cohort)} if task.crops else {}
    for key in dict.fromkeys(key for key, _, _ in item.folders):
        wanted = [(encoder, folder) for of, encoder, folder in item.folders if of == key and not is_sealed(folder)]
        if wanted:
            number += _embed(item, sets[key], wanted)
    for encoder, folder in item.derived:
        arrays = {key: path / ARRAY_FILE for key, of, path in item.folders if of == encoder}
        seals = {key: read_seal(path.parent, EMBEDDING).hash for key, path in arrays.items()}

        def make(part: Path, encoder: str = encoder, arrays: dict[str, Path] = arrays) -> None:
            _derive(task, cohort, encoder, arrays, part)

        made(folder, DERIVED, {"cohort": item.of, **seals}, make)
    return number


def _embed(item: EmbedItem, crops: object, wanted: list[tuple[str, Path]]) -> int:
    from contextlib import ExitStack

    from baselines.encoders.embedding import embed_many
    from protocols.task import CropSet

    run = run_of(item.config, item.root)
    if not isinstance(crops, CropSet):
        raise TypeError("a task's crops are CropSets")
    with ExitStack() as stack:
        # In one order for all: two processes cannot wait in a ring.
        for _, folder in sorted(wanted, key=lambda one: str(one[1])):
            stack.enter_context(locked(folder))
        left = [(encoder, folder) for encoder, folder in wanted if not is_sealed(folder)]
        if not left:
            return 0
        of = {"cohort": item.of}
        parts = {encoder: stack.enter_context(sealed_folder(folder, EMBEDDING, of)) for encoder, folder in left}
        names = [encoder for encoder, _ in left]
        label = f"{item.task}/{item.cohort}: embedding {len(crops.rows)} crops with {', '.join(names)}"
        seconds = dict.fromkeys(names, 0.0)

        def clock(encoder: str, passed: float) -> None:
            seconds[encoder] += passed

        device = Device.begun(run.config.settings(names[0]))
        with steps(len(crops.rows), label) as report, kernels_heard() as kernels:
            records = embed_many(
                names,
                crops.source,
                crops.rows,
                {encoder: run.config.settings(encoder, seed=item.seed) for encoder in names},
                {encoder: parts[encoder] / ARRAY_FILE for encoder in names},
                lambda done, _total: report(done),
                whole_view=crops.whole_view,
                um=crops.um,
                field=crops.field,
                clock=clock,
            )
        used = device.used()
        for encoder in names:
            _refuse_other_weights(encoder, run.config.settings(encoder), records[encoder])
            text = json.dumps(asdict(records[encoder]), sort_keys=True) + "\n"
            (parts[encoder] / WEIGHTS_FILE).write_text(text, encoding="utf-8")
            if kernels:
                (parts[encoder] / KERNELS_FILE).write_text(json.dumps(sorted(kernels)) + "\n", encoding="utf-8")
            place = (item.task, item.cohort, f"{encoder}-{crops.key}")
            write_embedding_timing(place, len(crops.rows), seconds[encoder], used, names)
    return len(left)


def _refuse_other_weights(encoder: str, settings: Settings, record: WeightsRecord) -> None:
    from baselines.encoders.entries import weights_of
    from suite.engine.named_weights import refuse_unreported

    entry = weights_of(encoder, settings)
    if entry is not None:
        refuse_unreported({encoder: entry}, [record], where=f"the embedding by {encoder}")


def _derive(task: Task, cohort: Opened, encoder: str, arrays: dict[str, Path], folder: Path) -> None:
    if task.derive is None:
        raise RuntimeError(f"task {task.name} derives nothing")
    task.derive(cohort, encoder, arrays, folder)


def kernels_of_embedding(folder: Path) -> tuple[str, ...]:
    """Kernels without a deterministic version that an embedding was made with; none on a CPU."""
    read_seal(folder, EMBEDDING)
    path = folder / KERNELS_FILE
    return tuple(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else ()


def features_of(folders: dict[str, Path], derived: Path | None) -> Features:
    """What a fit is given of one cohort; every file verified."""
    weights = None
    for folder in folders.values():
        read_seal(folder, EMBEDDING)
        weights = WeightsRecord(**json.loads((folder / WEIGHTS_FILE).read_text(encoding="utf-8")))
    if derived is not None:
        read_seal(derived, DERIVED)
    return Features({key: folder / ARRAY_FILE for key, folder in folders.items()}, derived, weights)
