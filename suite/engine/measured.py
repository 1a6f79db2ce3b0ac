"""What a piece of work needed, counted from its own beginning: memory, and of an embedding its speed.

Beside the results and never in them: two equal runs differ in it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from protocols.contract import Settings
from protocols.files import write_text_whole
from suite.places import embedding_timing_file
from suite.workers import forget_peak_memory, peak_memory_mib


@dataclass(frozen=True)
class Used:
    """What a piece of work needed: largest resident memory, largest memory on the GPU (0 on a CPU), the GPU's name."""

    peak_memory_mib: int
    peak_gpu_memory_mib: int
    device_name: str


@dataclass(frozen=True)
class Device:
    """Where a piece of work runs. Peaks are counted from :meth:`begun`, whatever the process did before."""

    cuda: bool

    @classmethod
    def begun(cls, settings: Settings) -> Device:
        forget_peak_memory()
        here = cls(settings.device == "cuda")
        if here.cuda:
            import torch

            if torch.cuda.is_available():  # where not, whoever needs the device says so
                torch.cuda.reset_peak_memory_stats()
        return here

    def used(self) -> Used:
        if not self.cuda:
            return Used(peak_memory_mib(), 0, "")
        import torch

        gpu = round(torch.cuda.max_memory_allocated() / 2**20)
        return Used(peak_memory_mib(), gpu, str(torch.cuda.get_device_name()))


def write_embedding_timing(
    place: tuple[str, str, str], crops: int, seconds: float, used: Used, companions: Sequence[str]
) -> None:
    """One encoder's pass over a set of crops: its own time; memory is that of all encoders of the pass."""
    told: dict[str, object] = {
        "crops": crops,
        "seconds": round(seconds, 3),
        "images_per_second": round(crops / seconds, 1) if seconds else 0.0,
        "peak_memory_mib": used.peak_memory_mib,
        "device": used.device_name or "cpu",
        "in memory together": list(companions),
    }
    if used.peak_gpu_memory_mib:
        told["peak_gpu_memory_mib"] = used.peak_gpu_memory_mib
    write_text_whole(embedding_timing_file(*place), json.dumps(told, sort_keys=True) + "\n")
