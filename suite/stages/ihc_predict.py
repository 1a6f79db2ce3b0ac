"""Stage ``predict`` of ``ihc4bc``: one model, every fold of every marker of every cohort.

The folder ``runs/predictions/ihc4bc/<model>`` holds ``manifest.json`` and ``<cohort>_<marker>/NNNN.npy``, uint8 RGB
``(tiles, p, p, 3)`` in the order of the fold's test tiles. Finished folds lie under ``runs/cache``; a model may keep
checkpoints there and goes on from them.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from baselines.registry import load_model_class
from protocols import load_image_protocol
from protocols.contract import Card, HasWeights
from protocols.errors import UserError
from protocols.files import sha256_of, write_text_whole, written_whole
from protocols.ihc.splitting import read_ihc_split
from protocols.ihc.views import PatchView, patch_view, training_view
from suite.config import Config
from suite.ihc.cohorts import Board, aligned_hash, boards, ihc_config, stored
from suite.ihc.embeddings import embedding_reader
from suite.places import PREDICTIONS, SPLITS, UNFINISHED
from suite.progress import steps
from suite.stages.inputs import read_inputs, weight_parts
from suite.stages.predict import LIBRARIES, MANIFEST_FILE, peak_memory_mib, write_timing
from suite.workers import in_parallel

TILES_AT_ONCE = 16


def run(config: Config, model_name: str) -> None:
    """Write ``runs/predictions/ihc4bc/<model>``; a cohort that the model cannot use is recorded as skipped."""
    started, protocol, inputs = time.monotonic(), load_image_protocol("ihc4bc"), read_inputs(model_name)
    card = load_model_class(model_name, config.adapters, Path.cwd()).card
    settings = config.settings(*weight_parts(model_name, card))
    manifest: dict[str, Any] = {
        "protocol": protocol.name,
        "protocol_version": protocol.version,
        "model": model_name,
        "card": inputs["card"],
        "profile": settings.profile,
        "seed": settings.seed,
        "device": settings.device,
        "threads": settings.threads,
        "libraries": {name: metadata.version(name) for name in LIBRARIES},
        "boards": {},
    }
    tasks: list[BoardTask] = []
    for board in boards(config):
        split, record = read_ihc_split(SPLITS / protocol.name / board.cohort)
        own = {name: value for name, value in inputs.items() if name != "patches"}
        entry: dict[str, Any] = {
            "cohort": stored(config, board.cohort).hash,
            "split": record["hash"],
            "skipped": why_skipped(config, board, card),
            "inputs": _digest({**own, "patches": inputs["patches"].get(board.name)}),
        }
        manifest["boards"][board.name] = entry
        if not entry["skipped"] and "oracle" in card.needs:
            entry["aligned"] = aligned_hash(config, board.cohort)
        if not entry["skipped"]:
            key = _digest({**manifest, "boards": None, **entry})[:16]
            entry["folder"] = str(UNFINISHED / f"{protocol.name}-{board.name}-{model_name}-{key}")
            tasks += [BoardTask(config, model_name, board, k, entry["folder"]) for k in range(len(split.folds))]
    peak, n_tiles, kept = 0, 0, 0
    with steps(len(tasks), f"{protocol.name}: {model_name}, {len(tasks)} folds") as report:
        for done, (_, (memory, tested, made)) in enumerate(in_parallel(run_fold, tasks, config.workers)):
            peak, n_tiles, kept = max(peak, memory), n_tiles + tested, kept + (not made)
            report(done + 1)
    finish(PREDICTIONS / protocol.name / model_name, manifest)
    if not kept:  # the time of a run that had only a part to do says nothing
        write_timing(protocol.name, model_name, settings, time.monotonic() - started, n_tiles, peak)


def why_skipped(config: Config, board: Board, card: Card) -> str | None:
    """The reason a model cannot be asked about a board, or None."""
    if "oracle" in card.needs and ihc_config(config, board.cohort).aligned is None:
        return "needs a registered truth, and a real cohort has none"
    if board.marker not in stored(config, board.cohort).markers:
        return f"the cohort has no patch of {board.marker}"
    return None


@dataclass(frozen=True)
class BoardTask:
    """One fold of one board: what a process is given."""

    config: Config
    model: str
    board: Board
    number: int
    folder: str


def run_fold(task: BoardTask) -> tuple[int, int, bool]:
    """Answer a fold that is not answered yet; returns peak memory in MiB, tiles tested, whether it was made now."""
    config, folder, board = task.config, Path(task.folder), task.board
    answer, note = folder / fold_file(task.number), folder / f"weights-{task.number:04d}.json"
    split, _ = read_ihc_split(SPLITS / "ihc4bc" / board.cohort)
    fold, store, entry = split.folds[task.number], stored(config, board.cohort), ihc_config(config, board.cohort)
    if answer.exists() and note.exists():
        return peak_memory_mib(), len(store.tiles(store.rows_of(board.marker, fold.test))), False
    inputs = read_inputs(task.model)
    model_class = load_model_class(task.model, config.adapters, Path.cwd())
    settings, given = config.settings(*weight_parts(task.model, model_class.card)), inputs["patches"].get(board.name)
    oracle = entry.aligned if "oracle" in model_class.card.needs else None

    def embedded(rows: Any) -> Any:
        return embedding_reader(config, board, Path(given["file"]), rows) if given else None

    workspace = folder / f"workspace-{task.number:04d}"
    workspace.mkdir(parents=True, exist_ok=True)
    with threadpool_limits(settings.threads):
        model: Any = model_class()
        model.fit(
            training_view(
                store,
                board.marker,
                fold.train,
                fold.validation,
                settings,
                workspace=workspace,
                embedding_reader=embedded(np.union1d(fold.train, fold.validation)),
            )
        )
        test = patch_view(
            store, board.marker, fold.test, settings, embedding_reader=embedded(fold.test), oracle_root=oracle
        )
        _write_answer(answer, model, test, f"model {task.model}, {board.name} fold {fold.name}")
    records = [given["weights"]] if given else []
    records += [asdict(record) for record in (model.weights() if isinstance(model, HasWeights) else ())]
    write_text_whole(note, json.dumps(records))
    shutil.rmtree(workspace)
    return peak_memory_mib(), len(test), True


def _write_answer(path: Path, model: Any, test: PatchView, where: str) -> None:
    """Images a few at a time into one array; a malformed answer is the model's error."""
    shape = (len(test), test.pixels, test.pixels, 3)
    with written_whole(path) as part:
        array = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=shape)
        for start in range(0, len(test), TILES_AT_ONCE):
            rows = np.arange(start, min(start + TILES_AT_ONCE, len(test)), dtype=np.int64)
            images = np.asarray(model.predict(test, rows))
            if images.shape != (len(rows), *shape[1:]) or images.dtype != np.uint8:
                raise UserError(
                    f"predict returned {images.dtype} {images.shape}", where=where,
                    expected=f"uint8 {(len(rows), *shape[1:])}", remedy="return one RGB image a row",
                )  # fmt: skip
            array[rows] = images
        array.flush()


def finish(out: Path, manifest: dict[str, Any]) -> None:
    """Copy finished folds to their place, the manifest last: without it the folder is not a result."""
    shutil.rmtree(out, ignore_errors=True)
    for name, entry in manifest["boards"].items():
        if entry["skipped"]:
            entry |= {"weights": [], "folds": []}
            continue
        source = Path(entry.pop("folder"))
        (out / name).mkdir(parents=True)
        entry["weights"] = json.loads((source / "weights-0000.json").read_text())
        entry["folds"] = []
        for file in sorted(source.glob("[0-9][0-9][0-9][0-9].npy")):
            shutil.copyfile(file, out / name / file.name)
            entry["folds"].append({"file": file.name, "sha256": sha256_of(out / name / file.name)})
    out.mkdir(parents=True, exist_ok=True)
    write_text_whole(out / MANIFEST_FILE, json.dumps(manifest, indent=1, sort_keys=True) + "\n")


def fold_file(number: int) -> str:
    return f"{number:04d}.npy"


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
