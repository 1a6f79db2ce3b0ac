"""What a run promises of its kernels on a GPU, and the precision of its sums.

On a CPU nothing is set and nothing need be: with pinned threads the same command gives the same bytes. On CUDA torch is
told to use its deterministic kernels. Some operations have none (the gradient of ``grid_sample``, of padding by
reflection); there is no third way:

- ``deterministic: true``: such an operation ends the run, by its name;
- ``deterministic: false``: it runs, and its name goes into the record.

Precision, the same for every model: TF32 is off, in convolutions and in products, and bfloat16 products are summed in
float32. A network that runs in bfloat16 says so itself (autocast on CUDA); all else is float32.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from baselines.training.kernels import unpromised
from protocols.errors import UserError

CUBLAS = "CUBLAS_WORKSPACE_CONFIG"
REPRODUCIBLE = (":4096:8", ":16:8")
"""The two values with which NVIDIA promises that cuBLAS repeats itself."""
_NO_VERSION = re.compile(r"^(\S+) does not have a deterministic implementation")
_NO_CUBLAS = "it uses CuBLAS"


@contextmanager
def promised(device: torch.device, *, strict: bool) -> Iterator[None]:
    """Deterministic kernels where there are some; without one, an error (``strict``) or a name that is told.

    Does nothing on a CPU. Raises :class:`UserError` where cuBLAS cannot be held to it, or a kernel has no version.
    """
    if device.type != "cuda":
        yield
        return
    _hold_cublas(strict)
    was = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=not strict)
    try:
        with _told():
            yield
    except RuntimeError as error:
        kernel = _kernel_of(str(error))
        if kernel is None:
            raise
        raise UserError(
            f"{kernel} has no deterministic version", where="device: cuda", expected="one, with deterministic: true",
            remedy="set deterministic: false; the record then names it",
        ) from error  # fmt: skip
    finally:
        torch.use_deterministic_algorithms(was[0], warn_only=was[1])


@contextmanager
def precise(device: torch.device) -> Iterator[None]:
    """The stated precision of products; cuDNN's part is set with its other flags. Nothing to set on a CPU."""
    if device.type != "cuda":
        yield
        return
    matmul = torch.backends.cuda.matmul
    was = torch.get_float32_matmul_precision(), matmul.allow_bf16_reduced_precision_reduction
    torch.set_float32_matmul_precision("highest")
    matmul.allow_bf16_reduced_precision_reduction = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(was[0])
        matmul.allow_bf16_reduced_precision_reduction = was[1]


def _hold_cublas(strict: bool) -> None:
    """cuBLAS reads the variable when CUDA begins; it is set for the process, unless it says something else."""
    value = os.environ.get(CUBLAS)
    if value in REPRODUCIBLE:
        return
    if value is None and not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        os.environ[CUBLAS] = REPRODUCIBLE[0]
        return
    if strict:
        raise UserError(
            f"{CUBLAS} is {value!r}" if value else f"{CUBLAS} was not set when CUDA began", where="environment",
            expected=" or ".join(REPRODUCIBLE), remedy="set it before the run, or deterministic: false",
        )  # fmt: skip
    unpromised("cuBLAS")


def _kernel_of(text: str) -> str | None:
    """The kernel that torch names in a warning or an error, if it speaks of one without a deterministic version."""
    found = _NO_VERSION.match(text)
    if found:
        return found.group(1)
    return "cuBLAS" if _NO_CUBLAS in text else None


@contextmanager
def _told() -> Iterator[None]:
    """Pass torch's warnings of such kernels on as names; all other warnings go where they went.

    Each is heard, whatever the filters say, and none is kept: a training warns at every step.
    """
    with warnings.catch_warnings():
        shown = warnings.showwarning

        def show(message: Warning | str, *where: Any, **more: Any) -> None:
            kernel = _kernel_of(str(message))
            if kernel is None:
                shown(message, *where, **more)
            else:
                unpromised(kernel)

        for text in (r"\S+ does not have a deterministic implementation", f".*{_NO_CUBLAS}"):
            warnings.filterwarnings("always", message=text)
        warnings.showwarning = show
        yield
