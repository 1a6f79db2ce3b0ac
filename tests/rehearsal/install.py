"""Makes torch of this process believe that there is a GPU; for good, so only in a process that does nothing else."""

from __future__ import annotations

from typing import Any

import torch

from tests.rehearsal.calls import Rehearsal
from tests.rehearsal.tensors import each_fetched, each_sent, names_gpu

NAME = "a rehearsed GPU"
STATE = torch.zeros(16, dtype=torch.uint8)
ANSWERS: dict[str, Any] = {
    "is_available": True,
    "is_initialized": False,
    "current_device": 0,
    "device_count": 1,
    "is_bf16_supported": True,
    "is_current_stream_capturing": False,
    "get_device_name": NAME,
    "max_memory_allocated": 0,
    "reset_peak_memory_stats": None,
    "synchronize": None,
    "manual_seed": None,
    "manual_seed_all": None,
    "set_rng_state": None,
}
"""What is asked of the driver, and what it would say."""


def install() -> None:
    for name, answer in ANSWERS.items():
        setattr(torch.cuda, name, _always(answer))
    torch.cuda.get_rng_state = lambda *_, **__: STATE.clone()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    torch.optim.Optimizer._accelerator_graph_capture_health_check = lambda self: None  # type: ignore[attr-defined]
    torch.autocast = _Autocast  # type: ignore[misc]
    _save, _load = torch.save, torch.load

    def save(told: Any, *place: Any, **how: Any) -> None:
        _save(each_fetched(told), *place, **how)

    def load(place: Any, map_location: Any = None, **how: Any) -> Any:
        found = _load(place, map_location="cpu", **how)
        return each_sent(found) if names_gpu(map_location) else found

    torch.save, torch.load = save, load
    Rehearsal().__enter__()


def _always(answer: Any) -> Any:
    return lambda *_, **__: answer


class _Autocast(torch.autocast):
    """bfloat16 on the CPU where the code says: on CUDA. Which calls it takes differs a little between the two."""

    def __init__(
        self, device_type: str, dtype: Any = None, enabled: bool = True, cache_enabled: bool | None = None
    ) -> None:
        here = "cpu" if device_type == "cuda" else device_type
        super().__init__(here, dtype=dtype or torch.bfloat16, enabled=enabled, cache_enabled=cache_enabled)
