"""Strict loading: a checkpoint fits its network entry for entry, or the run stops and names the difference."""

from __future__ import annotations

import re
from typing import Protocol

import torch
from torch import nn

from baselines.weights.keys import KEY_MAPS, State
from protocols.errors import UserError, did_you_mean, look_up

_SHOWN = 5


class Layout(Protocol):
    """What is known of a checkpoint: how its entries are called here, which are left aside, which it rightly lacks."""

    @property
    def name(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def key_map(self) -> str: ...

    @property
    def unused_keys(self) -> tuple[str, ...]: ...

    @property
    def zero_keys(self) -> tuple[str, ...]: ...


def load_strictly(network: nn.Module, state: State, layout: Layout, *, where: object) -> None:
    """Copy a checkpoint into ``network``; any missing, unexpected or misshapen entry that the table does not explain
    is a :class:`UserError` that names it."""
    renamed = look_up(layout.key_map, KEY_MAPS, kind="key map", where=f"encoder {layout.name}")(state)
    own = network.state_dict()
    for key in layout.zero_keys:
        if key not in renamed and key in own:
            renamed[key] = torch.zeros_like(own[key])
    kept = {key: value for key, value in renamed.items() if key in own or not _explained(key, layout)}
    missing, unexpected = sorted(own.keys() - kept.keys()), sorted(kept.keys() - own.keys())
    # A batch norm's counter of batches is absent from files older than torch 0.4.1 and unused in eval mode.
    missing = [key for key in missing if not key.endswith("num_batches_tracked")]
    if missing or unexpected:
        hint = did_you_mean(unexpected[0], missing) if missing and unexpected else "use the published checkpoint"
        raise UserError(
            f"keys differ: missing {_listed(missing)}; unexpected {_listed(unexpected)}",
            where=where,
            expected=f"the layout of {layout.title}",
            remedy=hint,
        )
    for key, value in kept.items():
        if value.shape != own[key].shape:
            raise UserError(
                f"{key} has shape {tuple(value.shape)}",
                where=where,
                expected=f"{tuple(own[key].shape)}",
                remedy="published weights fit profile: full (mini scales the architecture down)",
            )
    network.load_state_dict(kept, strict=False)


def _explained(key: str, layout: Layout) -> bool:
    return any(re.search(pattern, key) for pattern in layout.unused_keys)


def _listed(keys: list[str]) -> str:
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return (", ".join(keys[:_SHOWN]) + more) or "none"
