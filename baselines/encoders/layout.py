"""A checkpoint's entries against a network's: any missing, unexpected or misshapen one is named, once for all kinds."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from past_model.state_file import listed
from protocols.errors import UserError, did_you_mean


def refuse_misfit(
    own: Mapping[str, Tensor], given: Mapping[str, Tensor], *, where: object, expected: str, keys: str, shape: str
) -> None:
    """``given`` has the names and shapes of ``own`` and no others, or a :class:`UserError`.

    ``expected``: what the file should be; ``keys``, ``shape``: what to do about other names, or other sizes.
    """
    missing, unexpected = sorted(own.keys() - given.keys()), sorted(given.keys() - own.keys())
    if missing or unexpected:
        raise UserError(
            f"keys differ: missing {listed(missing)}; unexpected {listed(unexpected)}", where=where, expected=expected,
            remedy=did_you_mean(unexpected[0], missing) if missing and unexpected else keys,
        )  # fmt: skip
    for key, value in given.items():
        if value.shape != own[key].shape:
            raise UserError(
                f"{key} has shape {tuple(value.shape)}", where=where, expected=f"{tuple(own[key].shape)}", remedy=shape
            )
