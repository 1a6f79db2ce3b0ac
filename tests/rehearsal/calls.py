"""Judges every torch call: refused as a GPU would, or counted and computed on the CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from tests.rehearsal import rules
from tests.rehearsal.ledger import LEDGER, Refused, line
from tests.rehearsal.tensors import CPU, GPU, OnGpu, each_sent, fetched, mapped, names_gpu, sent, tensors_in

Arguments = tuple[Any, ...]
Options = dict[str, Any]


class Rehearsal(TorchFunctionMode):
    """Sees calls that no tensor on the GPU takes part in as well: what is made there, and what is moved there."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return judged(func, args, kwargs or {})


def judged(func: Any, args: Arguments, kwargs: Options) -> Any:
    name = getattr(func, "__name__", str(func))
    every = tensors_in(args, kwargs)
    on_gpu = [x for x in every if isinstance(x, OnGpu)]
    wanted = _wanted(name, args, kwargs)
    if not on_gpu and not names_gpu(wanted):
        return plainly(func, args, kwargs)
    if name in _OWN:
        return _OWN[name](func, args, kwargs)
    LEDGER.seen += 1
    on_cpu = [x for x in every if not isinstance(x, OnGpu)]
    if rules.mixed(name, on_gpu, on_cpu, args[0] if args else None):
        raise Refused(f"{name} of tensors on cuda:0 and cpu")
    generator = kwargs.get("generator")
    if generator is not None and generator.device.type == "cpu":
        raise Refused(f"{name} on cuda:0 with a generator on the cpu")
    _counted(name, args, kwargs, on_gpu)
    found = plainly(func, *mapped(_here, (args, kwargs)))
    if on_gpu and wanted is not None and not names_gpu(wanted):
        LEDGER.to_cpu[line()] += 1
        return fetched(found).clone()
    if not on_gpu and name in ("to", "cuda"):
        LEDGER.to_gpu[line()] += 1
        return sent(found.clone())
    if name == "copy_" and not isinstance(args[0], OnGpu):
        LEDGER.to_cpu[line()] += 1
        return args[0]
    return each_sent(found)


def plainly(func: Any, args: Arguments, kwargs: Options) -> Any:
    with torch._C.DisableTorchFunctionSubclass():
        return func(*args, **kwargs)


def _here(x: Any) -> Any:
    """Devices as they really are; tensors as they come, so that what is done in place is done to them."""
    return CPU if names_gpu(x) else x


def _wanted(name: str, args: Arguments, kwargs: Options) -> Any:
    """The device that a call names or moves to; None where it names none."""
    if name == "cpu":
        return CPU
    if name == "cuda":
        return GPU
    if "device" in kwargs:
        return kwargs["device"]
    if name == "to":
        for one in args[1:]:
            if isinstance(one, str | torch.device):
                return one
            if isinstance(one, Tensor):
                return GPU if isinstance(one, OnGpu) else CPU
    return None


def _counted(name: str, args: Arguments, kwargs: Options, on_gpu: list[Tensor]) -> None:
    if name in rules.WAITS:
        LEDGER.waits[line()] += 1
    if name in rules.PRODUCTS and on_gpu:
        of = "bfloat16" if torch.is_autocast_enabled("cpu") else str(on_gpu[0].dtype).removeprefix("torch.")
        LEDGER.products[of] += 1
    kernel = rules.kernel_without_version(name, args, kwargs, on_gpu) if on_gpu else ""
    if kernel:
        LEDGER.kernels[kernel] += 1
        rules.alerted(kernel)


def _property(func: Any, args: Arguments, kwargs: Options) -> Any:
    owner = getattr(func, "__self__", None)
    if owner is Tensor.device:
        return GPU
    if owner is Tensor.is_cuda:
        return True
    if owner is Tensor.is_cpu:
        return False
    return each_sent(plainly(func, args, kwargs))


def _copied(_func: Any, args: Arguments, _kwargs: Options) -> Any:
    """``copy.deepcopy``: a parameter stays one."""
    own, memo = args
    made = sent(fetched(own.detach()).clone()).requires_grad_(own.requires_grad)
    if getattr(own, "_is_param", False):
        made._is_param = True  # type: ignore[attr-defined]
    memo[id(own)] = made
    return made


def _array(func: Any, _args: Arguments, _kwargs: Options) -> Any:
    raise Refused(f"{func.__name__} of a tensor on cuda:0")


def _in_place(func: Any, args: Arguments, kwargs: Options) -> Any:
    """Calls that act on the very tensors that they are given, and answer with none of their own."""
    return plainly(func, args, kwargs)


_OWN = {
    "__get__": _property,
    "__deepcopy__": _copied,
    "numpy": _array,
    "__array__": _array,
    **dict.fromkeys(
        ["__set__", "__delete__", "backward", "requires_grad_", "retain_grad", "register_hook", "as_subclass"],
        _in_place,
    ),
}
