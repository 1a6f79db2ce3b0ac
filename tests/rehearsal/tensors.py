"""Tensors that say they are on a GPU. Their values lie on the CPU, in memory of their own, as a copy's would."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map

GPU, CPU = torch.device("cuda", 0), torch.device("cpu")


class OnGpu(Tensor):
    """The type is the claim; what is done with such a tensor is judged by :mod:`tests.rehearsal.calls`."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        from tests.rehearsal.calls import judged

        return judged(func, args, kwargs or {})


def sent(x: Tensor) -> Tensor:
    """The tensor as one on the GPU; the same values in the same memory."""
    return x if isinstance(x, OnGpu) else x.as_subclass(OnGpu)


def fetched(x: Tensor) -> Tensor:
    """The tensor as an ordinary one."""
    return x.as_subclass(Tensor) if isinstance(x, OnGpu) else x


def each_sent(found: Any) -> Any:
    return tree_map(lambda x: sent(x) if isinstance(x, Tensor) else x, found)


def each_fetched(found: Any) -> Any:
    return tree_map(lambda x: fetched(x) if isinstance(x, Tensor) else x, found)


def tensors_in(*trees: Any) -> list[Tensor]:
    """In order; lists, tuples and dicts are looked into."""
    return [leaf for leaf in tree_flatten(trees)[0] if isinstance(leaf, Tensor)]


def names_gpu(device: Any) -> bool:
    """Whether something that may stand for a device stands for the GPU."""
    if isinstance(device, str):
        return device.split(":")[0] == "cuda"
    return isinstance(device, torch.device) and device.type == "cuda"
