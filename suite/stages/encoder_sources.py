"""The files that decide what an encoder computes; they enter the key of every stored embedding."""

from __future__ import annotations

from pathlib import Path

_NAMES = (
    "past_model/timm_import.py",
    *(
        f"baselines/{name}.py"
        for name in (
            "encoders/embedding", "encoders/inputs", "encoders/loading", "encoders/modules",
            "encoders/rows_photographs", "encoders/rows_tissue", "encoders/spec", "encoders/table", "torch_run",
            "weights/checkpoints", "weights/files", "weights/keys", "weights/strict",
        )
    ),
)


def repository() -> Path:
    return Path(__file__).resolve().parents[2]


def encoder_sources() -> tuple[list[Path], Path]:
    """The files, and the folder that their names are taken relative to."""
    return [repository() / name for name in _NAMES], repository()
