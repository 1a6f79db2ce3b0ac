"""What an encoder is, as data: everything needed to build, feed and load it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from past_model.resizing import Filter, Framing
from protocols.errors import look_up

Triple = tuple[float, float, float]
HubRepoType = Literal["model", "dataset"]
HUB_REPO_TYPES: tuple[HubRepoType, ...] = get_args(HubRepoType)

IMAGENET: tuple[Triple, Triple] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP: tuple[Triple, Triple] = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
INCEPTION: tuple[Triple, Triple] = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@dataclass(frozen=True)
class EncoderSize:
    """``pixels``: side of the square input; ``dim``: length of the embedding; ``kwargs``: what the builder gets.

    ``view`` is the central share of the crop's side that the encoder sees. A published encoder sees the whole crop. A
    random one hardly does more than average over what it sees, so the mini sizes look at the central half, where the
    cell itself is, and are not drowned by its neighbours.
    """

    pixels: int
    dim: int
    kwargs: Mapping[str, Any]
    view: float = 1.0


@dataclass(frozen=True)
class EncoderSpec:
    """One published encoder.

    ``architecture`` names a builder in ``modules.BUILDERS``, ``key_map`` a renaming in ``checkpoint_keys.KEY_MAPS``.
    ``unused_keys`` are regular expressions of checkpoint entries that the encoder rightly leaves aside, ``zero_keys``
    parameters that the checkpoint rightly lacks (they become 0); every other difference is an error. ``mpp`` is the
    pre-training resolution in micrometres per pixel (None: mixed or unstated). ``filter`` and ``framing``: how
    the encoder's own code resizes images to ``pixels``, and what it does with those that are not square.
    ``hub_repo_type``: what kind of repository ``hub_id`` names; the hub keeps them apart.
    """

    name: str
    title: str
    architecture: str
    timm_name: str
    full: EncoderSize
    mini: EncoderSize
    normalisation: tuple[Triple, Triple]
    parameters: int
    licence: str
    paper: str
    training_overlap: str
    hub_id: str | None = None
    hub_file: str | None = None
    hub_repo_type: HubRepoType = "model"
    mpp: float | None = None
    key_map: str = "plain"
    unused_keys: tuple[str, ...] = ()
    zero_keys: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())
    filter: Filter = "bicubic"
    framing: Framing = "squeeze"
    build: str = ""
    """``file.py:function`` of an encoder that the run's file brings; empty for rows of the table."""

    def size(self, profile: str) -> EncoderSize:
        return look_up(profile, {"mini": self.mini, "full": self.full}, kind="profile", where=f"encoder {self.name}")
