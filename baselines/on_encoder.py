"""A known model on another frozen encoder, in one line of the run's file: ``mcat_uni @ my_vit``."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from protocols.contract import Card
from protocols.errors import UserError

_LINE = re.compile(r"\s*(?P<model>\w+)\s*@\s*(?P<encoder>\w+)\s*")


def is_encoder_line(target: str) -> bool:
    """A model's name before the ``@``; a scikit-learn line has a colon there."""
    before, at, _ = target.partition("@")
    return bool(at) and ":" not in before


def parse_encoder_line(target: str, *, where: object) -> tuple[str, str]:
    """The model's name and the encoder's."""
    match = _LINE.fullmatch(target)
    if match is None:
        raise UserError(
            f"cannot read {target!r}",
            where=where,
            expected="model @ encoder, or package.module:Regressor @ encoder",
            remedy='for example "mcat_uni @ my_vit"',
        )
    return match["model"], match["encoder"]


def on_encoder(base: type[Any], encoder: str, name: str) -> type[Any]:
    """The same model under another name, reading another encoder's embedding.

    What is published, licensed or known to overlap with ``base``'s encoder says nothing of this one.
    """
    card: Card = base.card
    if card.encoder is None:
        raise UserError(
            f"{card.name} reads no frozen encoder", where=f"model {name}", expected="a model whose card has an encoder",
            remedy="name another model before the @",
        )  # fmt: skip
    own = replace(
        card, name=name, title=f"{card.name} on {encoder}", encoder=encoder, licence="", training_overlap="unknown",
        published=(),
    )  # fmt: skip
    return type(f"{base.__name__}_{encoder}", (base,), {"card": own, "__module__": base.__module__})
