"""The questions: cohorts, splits, audits, metrics, and one file a question. Knows no torch and no model."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from protocols.errors import look_up

if TYPE_CHECKING:
    from protocols.protocol import Protocol

PROTOCOLS = {name: f"protocols.{name}" for name in ("intra_patient", "inter_patient", "cross_cancer")}


def load_protocol(name: str) -> Protocol:
    """The protocol of that name; an unknown one fails with the nearest name."""
    module = import_module(look_up(name, PROTOCOLS, kind="protocol", where="protocols"))
    found: Protocol = module.PROTOCOL
    return found
