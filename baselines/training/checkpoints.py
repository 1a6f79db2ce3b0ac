"""Where a long fit stands: kept whole in a job's workspace, so that a killed one goes on to the same bytes.

The engine gives each job a workspace that survives a kill and is named by all that the job depends on (data, code,
weights, settings). Within it a stage has a file of its own, named by what tells the stages of a job apart: a group's
pre-training, each fold's fit. So a file that is found is this stage's, and whatever is not is never looked at.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from protocols.errors import UserError
from protocols.files import written_whole


def stage_file(workspace: Path | None, stage: str, *parts: object) -> Path | None:
    """The checkpoint of one stage; None without a workspace. ``parts``: arrays by their bytes, all else by its repr."""
    if workspace is None:
        return None
    digest = hashlib.sha256()
    for part in parts:
        digest.update(_told(part))
        digest.update(b"\0")
    return workspace / f"{stage}-{digest.hexdigest()[:16]}.pt"


def keep(path: Path | None, state: dict[str, Any]) -> None:
    """Write tensors, numbers and strings, whole or not at all."""
    if path is not None:
        with written_whole(path) as part:
            torch.save(state, part)


def found(path: Path | None, device: torch.device | str = "cpu", identity: str | None = None) -> dict[str, Any] | None:
    """What was kept, or None. ``identity``: what its entry of that name must say; another training's is not taken.

    Raises :class:`UserError` on a file that cannot be read.
    """
    if path is None or not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        known = None if identity is None else state["identity"]
    except Exception as error:  # zip, pickle, key and type errors: all say that this is no checkpoint of ours
        raise unreadable(path, error) from error
    return state if known == identity else None


@contextmanager
def readable(path: Path | None, *errors: type[Exception]) -> Iterator[None]:
    """What somebody else's reader says of a checkpoint becomes one line that names the file."""
    try:
        yield
    except errors as error:
        raise unreadable(path, error) from error


def unreadable(path: Path | None, error: Exception) -> UserError:
    return UserError(
        f"cannot be read ({type(error).__name__})", where=path, expected="a checkpoint of this training",
        remedy="delete the file; training then starts anew",
    )  # fmt: skip


def random_state(device: torch.device) -> dict[str, torch.Tensor | None]:
    """The global generators, which dropout draws from."""
    return {
        "global": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
    }


def restore_random_state(state: dict[str, Any], device: torch.device) -> None:
    torch.set_rng_state(state["global"].cpu())
    if state["cuda"] is not None:
        torch.cuda.set_rng_state(state["cuda"].cpu(), device)


def _told(part: object) -> bytes:
    if isinstance(part, np.ndarray):
        return f"{part.dtype}{part.shape}".encode() + np.ascontiguousarray(part).tobytes()
    return repr(part).encode()
