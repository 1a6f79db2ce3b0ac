"""Proteins within the task: readers and protocols say by their class that they are of intensities and not of counts."""

from __future__ import annotations

from dataclasses import dataclass

from protocols.protocol import Protocol
from protocols.task import Reader


@dataclass(frozen=True)
class ProteinReader(Reader):
    """A reader whose slides have intensities. A cohort of any other reader has counts, unless its entry names a
    ``measure`` of intensities (a third party's reader may give either)."""


@dataclass(frozen=True)
class ProteinProtocol(Protocol):
    """A protocol that is asked of cohorts of intensities. Any other protocol of the task is asked of counts."""
