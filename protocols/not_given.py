"""What a view says to a model that asks for something its card does not."""

from __future__ import annotations

from protocols.errors import UserError


def no_encoder(what: str) -> UserError:
    return UserError(
        f"{what}() was called without an encoder",
        where="the model",
        expected="a card that names its encoder",
        remedy='set encoder="…" in the card',
    )


def no_truth() -> UserError:
    return UserError(
        "oracle() was called without a known truth",
        where="the model",
        expected='a card with needs=("oracle",) and a phantom cohort',
        remedy="only reference lines may use it",
    )
