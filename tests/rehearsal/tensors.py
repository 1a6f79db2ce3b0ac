"""Tensors that say they are on a GPU. Their values lie on the CPU, in memory of their own, as a copy's would."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

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


def mapped(change: Callable[[Any], Any], tree: Any) -> Any:
    """Lists, tuples and dicts with each of their leaves changed; the same object where none is."""
    kind = type(tree)
    if kind is list or kind is tuple:
        found = [mapped(change, one) for one in tree]
        same = all(a is b for a, b in zip(found, tree, strict=True))
        return tree if same else kind(found)
    if isinstance(tree, dict):
        for key in tree:
            tree_of = mapped(change, tree[key])
            if tree_of is not tree[key]:
                return type(tree)((name, mapped(change, one)) for name, one in tree.items())
        return tree
    if isinstance(tree, tuple):  # what torch calls a structure: max, sort
        return kind([mapped(change, one) for one in tree])
    return change(tree)


def each_sent(found: Any) -> Any:
    return mapped(lambda x: sent(x) if isinstance(x, Tensor) else x, found)


def each_fetched(found: Any) -> Any:
    return mapped(lambda x: fetched(x) if isinstance(x, Tensor) else x, found)


def tensors_in(*trees: Any) -> list[Tensor]:
    """In order; lists, tuples and dicts are looked into."""
    found: list[Tensor] = []
    for tree in trees:
        if isinstance(tree, Tensor):
            found.append(tree)
        elif isinstance(tree, list | tuple):
            found += tensors_in(*tree)
        elif isinstance(tree, dict):
            found += tensors_in(*tree.values())
    return found


def names_gpu(device: Any) -> bool:
    """Whether something that may stand for a device stands for the GPU."""
    if isinstance(device, str):
        return device.split(":")[0] == "cuda"
    return isinstance(device, torch.device) and device.type == "cuda"
