"""What a rehearsal counts, and the line of our code that is to blame."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from suite.engine.closure import FLOORS

ROOT = Path(__file__).resolve().parents[2]
OURS = tuple(f"{ROOT / floor}/" for floor in FLOORS)


class Refused(RuntimeError):
    """What a GPU would not do. ``lines``: of our code, innermost first."""

    def __init__(self, what: str) -> None:
        self.what, self.lines = what, lines()
        super().__init__(f"{what}, at {self.lines[0] if self.lines else 'no line of ours'}")


@dataclass
class Ledger:
    """Counts by line of our code (copies, synchronisations) or by kernel; ``seen`` tells that anything ran at all."""

    seen: int = 0
    to_gpu: Counter[str] = field(default_factory=Counter)
    to_cpu: Counter[str] = field(default_factory=Counter)
    waits: Counter[str] = field(default_factory=Counter)
    products: Counter[str] = field(default_factory=Counter)
    kernels: Counter[str] = field(default_factory=Counter)

    def told(self) -> dict[str, object]:
        """Plain values; of each kind the lines that count most."""
        return {
            "calls": self.seen,
            "copies to the GPU": self.to_gpu.total(),
            "copies to the CPU": self.to_cpu.total(),
            "synchronisations": dict(self.waits.most_common(3)),
            "products": dict(self.products),
            "not deterministic": sorted(self.kernels),
        }


LEDGER = Ledger()


def lines() -> list[str]:
    """The lines of ours that are being executed, innermost first, as ``folder/file.py:12``."""
    found, frame = [], sys._getframe(1)
    at: FrameType | None = frame
    while at is not None:
        name = at.f_code.co_filename
        if name.startswith(OURS):
            found.append(f"{Path(name).relative_to(ROOT)}:{at.f_lineno}")
        at = at.f_back
    return found


def line() -> str:
    return next(iter(lines()), "elsewhere")
