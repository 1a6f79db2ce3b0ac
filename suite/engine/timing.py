"""Time and memory of a cell, beside the results and never in them: they differ between two equal runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from protocols.files import write_text_whole
from suite.places import timing_file

if TYPE_CHECKING:
    from suite.engine.fitting import FitAnswer
    from suite.engine.predict import Cell


def write_timing(cell: Cell, answers: Sequence[FitAnswer]) -> None:
    """Of a cell that was fitted whole by this run: the time of one that was resumed says nothing."""
    if not all(answer.now for answer in answers):
        return
    seconds = sum(answer.seconds for answer in answers)
    units = sum(answer.units for answer in answers)
    told: dict[str, float | int | str] = {
        "seconds": round(seconds, 2),
        "peak_memory_mib": max(answer.peak_memory_mib for answer in answers),
        "device": answers[0].device_name or "cpu",
        "units_per_second": round(units / seconds, 1) if seconds else 0.0,
    }
    gpu = max(answer.peak_gpu_memory_mib for answer in answers)
    if gpu:
        told["peak_gpu_memory_mib"] = gpu
    path = timing_file(cell.protocol.name, cell.board.name, cell.entry.name)
    write_text_whole(path, json.dumps(told, sort_keys=True) + "\n")
