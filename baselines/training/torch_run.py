"""The one place where a run's settings meet torch: device, threads, determinism."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from baselines.training.determinism import precise, promised
from protocols.contract import Settings
from protocols.errors import UserError


@contextmanager
def torch_run(settings: Settings, threads: int | None = None) -> Iterator[torch.device]:
    """Yield the device, with the run's threads, and what it promises of kernels and precision
    (:mod:`baselines.training.determinism`); torch's global state comes back after.

    ``threads`` overrides the settings' (small matrices lose time to a second thread).
    Random draws inside the block come from generators that are passed, or from the global one, which is forked and
    seeded with ``settings.seed`` (dropout takes no generator).
    """
    device = _device(settings)
    before = torch.get_num_threads()
    torch.set_num_threads(threads or settings.threads)
    devices = [device] if device.type == "cuda" else []
    try:
        with (
            torch.random.fork_rng(devices=devices),
            torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False),
            promised(device, strict=settings.deterministic),
            precise(device),
        ):
            torch.manual_seed(settings.seed)
            yield device
    finally:
        torch.set_num_threads(before)


def _device(settings: Settings) -> torch.device:
    if settings.device not in ("cpu", "cuda"):
        raise UserError(
            f"unknown device {settings.device!r}", where="settings.device", expected="cpu or cuda", remedy="choose one"
        )
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "no CUDA device is usable", where="settings.device", expected="a CUDA build of torch and a GPU",
            remedy="install one, or set device: cpu",
        )  # fmt: skip
    return torch.device("cuda", torch.cuda.current_device()) if settings.device == "cuda" else torch.device("cpu")
