"""State dicts of SEQUOIA's release (``vit.py``, ``tformer_lin.py``) as networks of this project, name by name.

The ViS keeps every head as a module of its own (``mixers.0.f``: local, ``s``: summary, ``c``: join); here the heads lie
side by side in one layer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from baselines.encoders.layout import refuse_misfit
from baselines.networks.sequoia_networks import Mixer, SequoiaNetwork, SequoiaSizes
from protocols.errors import UserError

State = Mapping[str, Tensor]

_RENAMED = (
    (r"^pos_emb1D$", "trunk.place"),
    (r"^transformer\.layers\.(\d+)\.0\.norm\.", r"trunk.blocks.\1.mix.norm."),
    (r"^transformer\.layers\.(\d+)\.0\.to_(qkv|out)\.", r"trunk.blocks.\1.mix.\2."),
    (r"^transformer\.layers\.(\d+)\.0\.projection\.", r"trunk.blocks.\1.mix.out."),
    (r"^transformer\.layers\.(\d+)\.1\.net\.(\d+)\.", r"trunk.blocks.\1.feedforward.\2."),
    (r"^linear_head\.0\.", "norm."),
    (r"^linear_head\.1\.", "output."),
)
_HEAD = re.compile(r"transformer\.layers\.(\d+)\.0\.mixers\.(\d+)\.(f|s|c|local_norm|summary_norm)\.(weight|bias)")
_SIDE_BY_SIDE = {"f": "local", "s": "summary"}
_STACKED = {
    ("c", "weight"): "join_weight",
    ("c", "bias"): "join_bias",
    ("local_norm", "weight"): "local_norm.gain",
    ("local_norm", "bias"): "local_norm.offset",
    ("summary_norm", "weight"): "summary_norm.gain",
    ("summary_norm", "bias"): "summary_norm.offset",
}


def renamed(state: State) -> dict[str, Tensor]:
    """The entries under this project's names; what is not known keeps its own."""
    found: dict[str, Tensor] = {}
    heads: dict[tuple[str, str, str], dict[int, Tensor]] = {}
    for key, value in state.items():
        head = _HEAD.fullmatch(key)
        if head:
            heads.setdefault((head[1], head[3], head[4]), {})[int(head[2])] = value
            continue
        new = next((re.sub(old, to, key) for old, to in _RENAMED if re.match(old, key)), key)
        found[new] = value
    for (block, part, kind), by_head in heads.items():
        name, value = _of_heads(part, kind, [by_head[number] for number in sorted(by_head)])
        found[f"trunk.blocks.{block}.mix.{name}"] = value
    return found


def _of_heads(part: str, kind: str, values: list[Tensor]) -> tuple[str, Tensor]:
    """One kind of weight of all heads, joined as :class:`SummaryMixing` keeps it."""
    shapes = sorted({tuple(value.shape) for value in values})
    if len(shapes) > 1 or not values[0].ndim:
        raise UserError(
            f"heads of different shapes, {part}.{kind} {shapes}", where="a SEQUOIA checkpoint", expected="one shape",
            remedy="fetch it again",
        )  # fmt: skip
    if part in _SIDE_BY_SIDE:
        return f"{_SIDE_BY_SIDE[part]}.{kind}", torch.cat(values)
    stacked = torch.stack(values)
    return _STACKED[part, kind], stacked.transpose(1, 2) if (part, kind) == ("c", "weight") else stacked


def network_of(state: State, mixer: Mixer, sizes: SequoiaSizes, *, where: object) -> SequoiaNetwork:
    """The released network of these weights; places, features and genes are read off them.

    It takes features as they are, and absent places as zeros, as the release does. Any entry that is missing, left
    over or of another shape is one line.
    """
    given = renamed(state)
    place, head = given.get("trunk.place"), given.get("output.bias")
    if place is None or head is None or place.ndim != 2:
        raise UserError(
            f"no SEQUOIA ({', '.join(sorted(state)[:3])}, …)", where=where, expected="pos_emb1D and linear_head.1",
            remedy="name a state dict of the release",
        )  # fmt: skip
    places, width = place.shape
    network = SequoiaNetwork(mixer, sizes, places, width, len(head), masked=False)
    own = {name: part for name, part in network.state_dict().items() if not name.startswith("trunk.scale.")}
    refuse_misfit(
        own,
        given,
        where=where,
        expected=f"SEQUOIA's {mixer} with {sizes.depth} blocks of {sizes.heads} heads",
        keys="name the whole checkpoint",
        shape="name weights of the published sizes",
    )
    network.load_state_dict(given, strict=False)
    return network
