"""What torch documents of CUDA: which calls wait for the GPU, multiply, draw, or have no deterministic kernel."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

WAITS = frozenset(
    {"item", "tolist", "__bool__", "__float__", "__int__", "__index__", "__contains__", "nonzero", "masked_select"}
    | {"unique", "equal", "allclose"}
)
"""The host waits for what the GPU computes."""
PRODUCTS = frozenset(
    {"linear", "matmul", "__matmul__", "__rmatmul__", "mm", "bmm", "addmm", "baddbmm", "einsum", "conv2d"}
    | {"conv_transpose2d", "scaled_dot_product_attention", "multi_head_attention_forward"}
)
MAY_MIX = frozenset(
    {"copy_", "set_", "to", "type_as", "__set__", "__get__", "is_same_size", "_has_compatible_shallow_copy_type"}
    | {"_make_subclass"}
)
"""Calls that take tensors of two devices."""
INDEXED = frozenset({"__getitem__", "__setitem__", "index_put", "index_put_"})
"""A tensor on the GPU takes indices from the CPU, which are then copied."""
WITHOUT_VERSION = {
    "grid_sample": "grid_sampler_2d_backward_cuda",
    "adaptive_max_pool2d": "adaptive_max_pool2d_backward_cuda",
    "ctc_loss": "ctc_loss_backward_gpu",
    "histc": "_histc_cuda",
    "kthvalue": "kthvalue CUDA",
    "cumsum": "cumsum_cuda_kernel",
    "put_": "put_",
}
"""Calls whose kernel, or gradient's, has no deterministic version, as torch.use_deterministic_algorithms lists them."""
GRADIENT_ONLY = frozenset({"grid_sample", "adaptive_max_pool2d", "ctc_loss"})


def mixed(name: str, on_gpu: list[Tensor], on_cpu: list[Tensor], first: Any) -> bool:
    """Whether a call has operands on two devices; a number as a tensor without axes may come from the CPU."""
    if not on_gpu or name in MAY_MIX or (name in INDEXED and first is on_gpu[0]):
        return False
    return any(x.dim() for x in on_cpu)


def kernel_without_version(name: str, args: tuple[Any, ...], kwargs: dict[str, Any], on_gpu: list[Tensor]) -> str:
    """The kernel that torch would warn of, or an empty text."""
    learns = torch.is_grad_enabled() and any(x.requires_grad for x in on_gpu)
    if name == "pad":
        mode = kwargs.get("mode", args[2] if len(args) > 2 else "constant")
        return "reflection_pad2d_backward_cuda" if mode == "reflect" and learns else ""
    if name == "interpolate":
        mode = kwargs.get("mode", args[3] if len(args) > 3 else "nearest")
        smooth = mode in ("bicubic", "trilinear", "linear") or (mode == "bilinear" and kwargs.get("antialias"))
        return f"upsample_{mode}2d_backward_out_cuda" if smooth and learns else ""
    if name in GRADIENT_ONLY and not learns:
        return ""
    if name == "cumsum" and not on_gpu[0].is_floating_point():
        return ""
    return WITHOUT_VERSION.get(name, "")


def alerted(kernel: str) -> None:
    """What torch does at such a kernel, in its words, as the run's switch has set it."""
    if not torch.are_deterministic_algorithms_enabled():
        return
    text = f"{kernel} does not have a deterministic implementation, but you set 'torch.use_deterministic_algorithms"
    if torch.is_deterministic_algorithms_warn_only_enabled():
        warnings.warn(f"{text}(True, warn_only=True)'.", stacklevel=2)
    else:
        raise RuntimeError(f"{text}(True)'.")
