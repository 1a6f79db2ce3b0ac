"""Encoders by name: rows of the table, an installed package's, and those that the run's file brings as data.

``encoders: {my_vit: {timm: vit_small_patch16_224, pixels: 224, mpp: 0.5, weights: {path: …, sha256: …}}}`` is at once
usable by every model that names ``my_vit``; it has its own size in every profile. ``build: file.py:function`` in place
of ``timm`` gives a network ``(k, 3, pixels, pixels) -> (k, d)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from baselines.encoders.spec import IMAGENET, EncoderSize, EncoderSpec, Triple
from baselines.encoders.table import ENCODERS
from protocols.contract import Settings
from protocols.errors import UserError, did_you_mean, remedy_for

ENTRY_POINT_GROUP = "slide2omics.encoders"


class EncoderEntry(BaseModel):
    """One encoder of the run's file. ``unused``: patterns of checkpoint keys that it rightly leaves aside."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    timm: str = ""
    build: str = ""
    dim: int | None = Field(default=None, ge=1)
    pixels: int = Field(default=224, ge=8)
    mpp: float | None = Field(default=None, gt=0)
    filter: str = Field(default="bicubic", pattern="^(bicubic|bilinear)$")
    mean: Triple = IMAGENET[0]
    std: Triple = IMAGENET[1]
    kwargs: dict[str, Any] = Field(default_factory=dict)
    unused: tuple[str, ...] = (r"^(head|fc|classifier)\.",)
    weights: dict[str, str] | None = None

    @model_validator(mode="after")
    def _is_built_one_way(self) -> EncoderEntry:
        if bool(self.timm) == bool(self.build):
            raise ValueError("either timm (a name of timm) or build (file.py:function)")
        return self


def encoder_from_entry(name: str, values: Mapping[str, Any]) -> EncoderSpec:
    """The spec of an entry; a mistake is one line with its key."""
    if name in ENCODERS:
        raise UserError(
            f"{name!r} is an encoder of the table",
            where="encoders",
            expected="a name of its own",
            remedy="rename it",
        )
    try:
        entry = EncoderEntry.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(["encoders", name, *map(str, first["loc"])])
        raise UserError(
            f"{key} is {first.get('input')!r}",
            where="the run's file",
            expected=first["msg"].lower(),
            remedy=f"mend {key}",
        ) from None
    size = EncoderSize(entry.pixels, entry.dim or 0, {"num_classes": 0, **entry.kwargs} if entry.timm else entry.kwargs)
    return EncoderSpec(
        name=name,
        title=f"{name} ({entry.timm or entry.build})",
        architecture="timm" if entry.timm else "build",
        timm_name=entry.timm,
        full=size,
        mini=size,
        normalisation=(entry.mean, entry.std),
        parameters=0,
        licence="",
        paper="",
        training_overlap="unknown",
        mpp=entry.mpp,
        unused_keys=entry.unused,
        filter="bilinear" if entry.filter == "bilinear" else "bicubic",
        build=entry.build,
    )


def encoder_spec(name: str, settings: Settings | None = None) -> EncoderSpec:
    """The encoder of that name; an unknown one fails with the nearest."""
    given = settings.encoders if settings else {}
    if name in given:
        return encoder_from_entry(name, given[name])
    installed = _installed()
    if name in installed:
        return encoder_from_entry(name, installed[name])
    if name in ENCODERS:
        return ENCODERS[name]
    raise UserError(
        f"unknown encoder {name!r}",
        where="encoders",
        expected="a known encoder",
        remedy=did_you_mean(name, (*ENCODERS, *installed, *given)),
    )


def weights_of(name: str, settings: Settings) -> Mapping[str, str] | None:
    """Where the encoder's weights are: ``weights`` of the run's file, or of its own entry; None: a random start."""
    if name in settings.weights:
        return settings.weights[name]
    found: Mapping[str, str] | None = {**_installed(), **settings.encoders}.get(name, {}).get("weights")
    return found


def known_encoders(entries: Mapping[str, Any]) -> list[str]:
    """Every name that a card may give, each checked."""
    for name, values in entries.items():
        if name in _installed():
            raise UserError(
                f"{name!r} is an encoder of an installed package", where="encoders", expected="a name of its own",
                remedy="rename it",
            )  # fmt: skip
        encoder_from_entry(name, values)
    return [*ENCODERS, *_installed(), *entries]


@cache
def _installed() -> dict[str, dict[str, Any]]:
    """Encoders of installed packages: an entry point's value leads to a mapping like one of the run's file."""
    found: dict[str, dict[str, Any]] = {}
    brought_by = dict.fromkeys(ENCODERS, "the table of encoders")
    for point in entry_points(group=ENTRY_POINT_GROUP):
        if point.name in brought_by:
            raise UserError(
                f"encoder {point.name!r} is brought by {brought_by[point.name]} and by {point.value}",
                where=f"entry points {ENTRY_POINT_GROUP}", expected="one of each name", remedy=remedy_for(point),
            )  # fmt: skip
        brought_by[point.name] = point.value
        found[point.name] = dict(point.load())
    return found
