"""The questions: cohorts, splits, audits, metrics, and one file a question. Knows no torch and no model."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from protocols.errors import look_up

if TYPE_CHECKING:
    from protocols.bulk.protocol import BulkProtocol
    from protocols.contract import Task
    from protocols.ihc.protocol import ImageProtocol
    from protocols.protocol import Protocol
    from protocols.survival.protocol import SurvivalProtocol

EXPRESSION = ("intra_patient", "inter_patient", "cross_cancer")
SURVIVAL = ("tcga_survival",)
BULK = ("tcga_expression", "gbm_spatial")
IMAGE = ("ihc4bc",)
PROTOCOLS: dict[str, Task] = {
    **dict.fromkeys(EXPRESSION, "expression"),
    **dict.fromkeys(SURVIVAL, "survival"),
    **dict.fromkeys(BULK, "bulk"),
    **dict.fromkeys(IMAGE, "image"),
}
"""Name (= module in this package) to the task that its models must answer."""


def task_of(name: str) -> Task:
    """The task of a protocol; an unknown name fails with the nearest one."""
    return look_up(name, PROTOCOLS, kind="protocol", where="protocols")


def load_protocol(name: str) -> Protocol:
    """The expression protocol of that name; an unknown one fails with the nearest name."""
    look_up(name, dict.fromkeys(EXPRESSION), kind="expression protocol", where="protocols")
    found: Protocol = import_module(f"protocols.{name}").PROTOCOL
    return found


def load_survival_protocol(name: str) -> SurvivalProtocol:
    """The survival protocol of that name; an unknown one fails with the nearest name."""
    look_up(name, dict.fromkeys(SURVIVAL), kind="survival protocol", where="protocols")
    found: SurvivalProtocol = import_module(f"protocols.{name}").PROTOCOL
    return found


def load_bulk_protocol(name: str) -> BulkProtocol:
    """The protocol of bulk expression of that name; an unknown one fails with the nearest name."""
    look_up(name, dict.fromkeys(BULK), kind="protocol of bulk expression", where="protocols")
    found: BulkProtocol = import_module(f"protocols.{name}").PROTOCOL
    return found


def load_image_protocol(name: str) -> ImageProtocol:
    """The protocol of virtual staining of that name; an unknown one fails with the nearest name."""
    look_up(name, dict.fromkeys(IMAGE), kind="protocol of virtual staining", where="protocols")
    found: ImageProtocol = import_module(f"protocols.{name}").PROTOCOL
    return found
