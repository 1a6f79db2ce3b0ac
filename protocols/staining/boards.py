"""Which boards the task has: each marker of each cohort is asked by itself."""

from __future__ import annotations

from collections.abc import Mapping

from protocols.protocol import Board, Protocol
from protocols.staining.cohort import marker_of
from protocols.staining.settings import PairsEntry
from protocols.task import CohortRequest


def boards(protocol: Protocol, cohorts: Mapping[str, CohortRequest]) -> list[Board]:
    """Every marker of every cohort is a board of its own."""
    return [
        Board(protocol.name, f"{name}_{marker}", name, name, marker)
        for name, request in cohorts.items()
        for marker in markers_of(name, request.entry)
    ]


def markers_of(name: str, entry: PairsEntry) -> list[str]:
    """The markers of an entry by their names here; each may be written in any way ("Her2")."""
    return list(dict.fromkeys(marker_of(one, f"cohorts.staining.{name}.markers") for one in entry.markers))
