"""The suite's own files that decide what a model answers; they enter every model's record, and so its predictions.

They stand here and not in ``dvc.yaml``, where each would be repeated in each of some hundred stages: DVC parses and
writes the whole of ``dvc.lock`` at every stage, so its length is felt.
"""

from __future__ import annotations

from protocols.contract import Task
from protocols.files import sha256_of_files
from suite.stages.encoder_sources import repository

FITTED_BY: dict[Task, tuple[str, ...]] = {
    "expression": ("protocols/contract.py", "protocols/views.py", "suite/data.py", "suite/stages/predict.py"),
    "survival": (
        "protocols/survival_contract.py",
        "protocols/survival/views.py",
        "suite/survival/views.py",
        "suite/stages/survival_predict.py",
    ),
    "bulk": (
        "protocols/bulk/views.py",
        "protocols/bulk_contract.py",
        "protocols/spatial/windows.py",
        "suite/bulk/fold.py",
        "suite/bulk/views.py",
        "suite/stages/bulk_predict.py",
    ),
    "image": (
        "protocols/ihc/store.py",
        "protocols/ihc/tiles.py",
        "protocols/ihc/views.py",
        "protocols/image_contract.py",
        "suite/stages/ihc_predict.py",
    ),
}


def fingerprint(task: Task) -> str:
    """One SHA-256 of the files that hand a task's models their data and keep their answers."""
    return sha256_of_files([repository() / name for name in FITTED_BY[task]], repository())
