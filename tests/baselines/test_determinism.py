"""What is promised of kernels, on torch's own warnings and errors: ``put_`` has no deterministic version anywhere."""

from __future__ import annotations

import warnings

import pytest
import torch

from baselines.training import determinism
from baselines.training.determinism import CUBLAS, precise, promised
from baselines.training.kernels import kernels_heard
from protocols.errors import UserError

GPU, CPU = torch.device("cuda", 0), torch.device("cpu")


def without_version() -> None:
    torch.zeros(4).put_(torch.tensor([0]), torch.tensor([1.0]))


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CUBLAS, ":4096:8")


def test_a_kernel_without_a_version_is_named_once_however_often_it_runs() -> None:
    with kernels_heard() as heard, promised(GPU, strict=False):
        assert torch.are_deterministic_algorithms_enabled()
        without_version()
        without_version()
    assert heard == {"put_"}
    assert not torch.are_deterministic_algorithms_enabled()


def test_or_ends_the_run_with_its_name() -> None:
    said = r"put_ has no deterministic version.*set deterministic: false"
    with pytest.raises(UserError, match=said), promised(GPU, strict=True):
        without_version()
    assert not torch.are_deterministic_algorithms_enabled()


def test_any_other_warning_and_error_goes_where_it_went() -> None:
    with pytest.warns(UserWarning, match="of somebody else"), promised(GPU, strict=False):
        warnings.warn("of somebody else", stacklevel=1)
    with pytest.raises(RuntimeError, match="of somebody else"), promised(GPU, strict=True):
        raise RuntimeError("of somebody else")


def test_on_a_cpu_nothing_is_set() -> None:
    with promised(CPU, strict=True), precise(CPU):
        assert not torch.are_deterministic_algorithms_enabled()
        without_version()


def test_precision_is_as_stated_and_comes_back() -> None:
    matmul = torch.backends.cuda.matmul
    torch.set_float32_matmul_precision("high")
    try:
        with precise(GPU):
            assert torch.get_float32_matmul_precision() == "highest"
            assert not matmul.allow_bf16_reduced_precision_reduction
        assert torch.get_float32_matmul_precision() == "high"
        assert matmul.allow_bf16_reduced_precision_reduction
    finally:
        torch.set_float32_matmul_precision("highest")


def test_cublas_is_held_or_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CUBLAS)
    with kernels_heard() as heard, promised(GPU, strict=True):
        assert determinism.os.environ[CUBLAS] in determinism.REPRODUCIBLE
    assert not heard
    monkeypatch.setenv(CUBLAS, ":0:0")
    with kernels_heard() as heard, promised(GPU, strict=False):
        pass
    assert heard == {"cuBLAS"}
    with pytest.raises(UserError, match=r"CUBLAS_WORKSPACE_CONFIG is ':0:0'"), promised(GPU, strict=True):
        pass
    monkeypatch.delenv(CUBLAS)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    with pytest.raises(UserError, match="was not set when CUDA began"), promised(GPU, strict=True):
        pass
