"""Encoders by name: rows of the table, an installed package's, and those that the run's file brings as data.

``encoders: {my_vit: {timm: vit_small_patch16_224, pixels: 224, mpp: 0.5, weights: {path: …, sha256: …}}}`` is at once
usable by every model that names ``my_vit``; it has its own size in every profile. ``build: file.py:function`` in place
of ``timm`` gives a network ``(k, 3, pixels, pixels) -> (k, d)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from baselines.encoders.spec import IMAGENET, EncoderSize, EncoderSpec, Triple
from baselines.encoders.table import ENCODERS
from protocols.contract import Settings
from protocols.entry_points import installed, package_of
from protocols.errors import UserError, did_you_mean

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
    given = entry_of(name, settings.encoders if settings else {})
    if given is not None:
        return encoder_from_entry(name, given)
    if name in ENCODERS:
        return ENCODERS[name]
    raise UserError(
        f"unknown encoder {name!r}",
        where="encoders",
        expected="a known encoder",
        remedy=did_you_mean(name, (*ENCODERS, *_points(), *(settings.encoders if settings else ()))),
    )


def entry_of(name: str, entries: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """An encoder that is data: of the run's file or of an installed package; None: it is no such encoder.

    Only the package that brings the name that is asked for is imported.
    """
    return entries[name] if name in entries else _brought(name) if name in _points() else None


def weights_of(name: str, settings: Settings) -> Mapping[str, str] | None:
    """Where the encoder's weights are: ``weights`` of the run's file, or of its own entry; None: a random start."""
    if name in settings.weights:
        return settings.weights[name]
    found: Mapping[str, str] | None = (entry_of(name, settings.encoders) or {}).get("weights")
    return found


def known_encoders(entries: Mapping[str, Any]) -> list[str]:
    """Every name that a card may give, each checked."""
    for name, values in entries.items():
        if name in _points():
            raise UserError(
                f"{name!r} is an encoder of the package {package_of(_points()[name])}",
                where="encoders",
                expected="a name of its own",
                remedy="rename it",
            )
        encoder_from_entry(name, values)
    return [*ENCODERS, *_points(), *entries]


@cache
def _points() -> dict[str, EntryPoint]:
    """Encoders of installed packages: an entry point's value leads to a mapping like one of the run's file."""
    return installed(ENTRY_POINT_GROUP, dict.fromkeys(ENCODERS, "the table of encoders"), "encoder")


@cache
def _brought(name: str) -> dict[str, Any]:
    point = _points()[name]
    try:
        return dict(point.load())
    except Exception as error:
        raise UserError(
            f"{type(error).__name__}: {error}", where=point.value, expected=f"the entry of encoder {name}",
            remedy=f"mend the package {package_of(point)}, or uninstall it",
        ) from error  # fmt: skip
