"""Two faults of a kind that only a GPU shows, planted in our code as it is: they must be caught at their line."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

from tests.rehearsal import models
from tests.rehearsal.ledger import ROOT


@dataclass(frozen=True)
class Fault:
    """``wrong`` takes the place of ``right`` in a module; ``model`` runs into it."""

    name: str
    module: str
    right: str
    wrong: str
    model: str

    @property
    def path(self) -> Path:
        return ROOT / f"{self.module.replace('.', '/')}.py"

    def line(self) -> str:
        """Where it stands: ``folder/file.py:12``."""
        (at,) = [k for k, text in enumerate(self.path.read_text().splitlines(), 1) if self.right in text]
        return f"{self.path.relative_to(ROOT)}:{at}"


FAULTS = (
    Fault(
        "a missing .cpu()",
        "baselines.training.finetuning",
        "mean(dim=0).cpu().numpy()",
        "mean(dim=0).numpy()",
        "st_net",
    ),
    Fault("crops that were not moved", "past_model.pretraining", "model(crops.to(device)", "model(crops", "past"),
)


def rehearse(fault: Fault) -> None:
    """Run the model with the fault in place, then as it was."""
    module = import_module(fault.module)
    source = fault.path.read_text(encoding="utf-8")
    _run(module, source.replace(fault.right, fault.wrong), fault.path)
    try:
        models.rehearse(fault.model)
    finally:
        _run(module, source, fault.path)


def _run(module: ModuleType, source: str, path: Path) -> None:
    """Another text as the module that everybody has imported; its lines keep their numbers."""
    sys.modules[module.__name__] = module
    exec(compile(source, str(path), "exec"), vars(module))
