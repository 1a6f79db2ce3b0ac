"""One cell of the GPU suite, in a process of its own: ``python -m suite.gpu_cell PROTOCOL MODEL OUT`` in its folder.

A fresh process, so that memory peaks, CUDA's start and compiled kernels are this cell's own. Everything is measured by
the engine as in any run: embedding by encoder, fits with peaks counted from their beginning.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from protocols.files import write_text_whole
from protocols.records import ScoreRecord
from protocols.registry import load_protocol
from suite.config import Config, read_config
from suite.engine.inputs import run_inputs
from suite.engine.predict import cells_of, predict_cells
from suite.engine.run import Run
from suite.engine.score import items_of, score_items
from suite.gpu_agreement import agreement
from suite.places import TIMINGS, timing_file


@dataclass(frozen=True)
class Measured:
    """One board's row: what was scored, what it took, and how far the answers on the two devices are apart.

    ``fit`` and ``embedding`` are the engine's own timings (the latter of every set of crops that the encoder saw, made
    by this process or an earlier one). ``seconds`` is the whole process's work, reading of kept results included.
    """

    protocol: str
    board: str
    model: str
    status: str
    profile: str
    headline: float | None
    seconds: float
    fit: dict[str, Any]
    embedding: dict[str, dict[str, Any]]
    agreement: dict[str, Any]
    notes: list[str]


def alone(config: Config, protocol: str, model: str) -> Config:
    """The run of one cell: what it embeds is what its model reads."""
    return config.model_copy(update={"protocols": (protocol,), "models": (model,)})


def measure(config: Config, root: Path, protocol: str, model: str, *, device: str) -> list[Measured]:
    """Embed, fit, predict and score one model on every board of a protocol; cohorts and splits are there already."""
    from baselines.registry import load_model_class

    began = time.monotonic()
    run, asked = Run(alone(config, protocol, model), root), load_protocol(protocol)
    predict_cells(run, cells_of(run, run_inputs(run), only=(model,)))
    items = [item for board in run.boards_of(asked) for item in items_of(run, board, only=(model,))]
    score_items(run, items)
    seconds = time.monotonic() - began
    agrees = agreement(load_model_class(model, config.adapters, root), model, device)
    encoder, task = run.models[model].card.encoder, asked.task
    embedding = _embedding(task, encoder) if encoder else {}
    told = {**asdict(agrees), "holds": agrees.holds}
    rows = []
    for item in items:
        record = ScoreRecord.read(item.folder)
        timing = timing_file(asked.answered_by or protocol, record.board, model)
        rows.append(
            Measured(
                protocol=protocol,
                board=record.board,
                model=model,
                status=record.status,
                profile=record.profile,
                headline=record.headline.mean,
                seconds=round(seconds, 1),
                fit=_read(timing),
                embedding=embedding,
                agreement=told,
                notes=list(record.notes),
            )
        )
    return rows


def _embedding(task: str, encoder: str) -> dict[str, dict[str, Any]]:
    files = sorted((TIMINGS / "embeddings" / task).glob(f"*/{encoder}-*.json"))
    return {f"{file.parent.name}/{file.stem}": _read(file) for file in files}


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def main(protocol: str, model: str, out: str) -> None:
    config = read_config()
    rows = measure(config, Path.cwd(), protocol, model, device="cuda")
    write_text_whole(Path(out), json.dumps([asdict(row) for row in rows], indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
