"""What a frozen encoder sees of a crop: all of it, or its middle at the resolution that it was pre-trained at."""

from __future__ import annotations

from dataclasses import dataclass

from baselines.encoders.spec import EncoderSize, EncoderSpec
from protocols.errors import UserError

SLACK = 0.01
"""A crop's side and pixels are whole numbers: what is off by less than this share is taken as equal."""


@dataclass(frozen=True)
class Seen:
    """``view``: the central share of the crop's side; ``um``, ``mpp``: that side, and the micrometres a pixel of the
    encoder's input (None: the crop's own side is not stated)."""

    view: float
    um: float | None
    mpp: float | None


def whole(size: EncoderSize, um: float | None, *, view: float) -> Seen:
    """One field of view for every encoder: ``view`` of the crop, resized to the encoder's input."""
    side = None if um is None else um * view
    return Seen(view, side, None if side is None else side / size.pixels)


def native(spec: EncoderSpec, size: EncoderSize, um: float, crop_pixels: int) -> Seen:
    """The middle of a crop of ``um`` in ``crop_pixels`` that fills the input at the pre-training resolution.

    A crop that is narrower than that, or coarser, cannot show it: a :class:`UserError`. ``spec.mpp`` must be known.
    """
    if spec.mpp is None:
        raise ValueError(f"the resolution of {spec.name} is mixed or unstated")
    side = size.pixels * spec.mpp
    where, otherwise = f"encoder {spec.name}, field: native", "or choose field: whole"
    if side > um * (1 + SLACK):
        raise UserError(
            f"it was pre-trained on {size.pixels} pixels of {spec.mpp:g} µm, {side:g} µm in all", where=where,
            expected=f"that much within the crop, which is {um:g} µm wide", remedy=f"set um to {side:g}, {otherwise}",
        )  # fmt: skip
    if um / crop_pixels > spec.mpp * (1 + SLACK):
        raise UserError(
            f"it was pre-trained at {spec.mpp:g} µm a pixel", where=where,
            expected=f"crops as fine as that; theirs are {um / crop_pixels:.3g} ({um:g} µm in {crop_pixels} pixels)",
            remedy=f"set pixels to {round(um / spec.mpp)}, {otherwise}",
        )  # fmt: skip
    return Seen(min(1.0, side / um), min(side, um), spec.mpp)
