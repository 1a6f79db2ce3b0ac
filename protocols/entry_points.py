"""What installed packages bring, by group and name: tasks, protocols, readers, encoders, models."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from protocols.errors import UserError


@cache
def _installed(group: str) -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=group))


def installed(
    group: str, own: Mapping[str, str], kind: str, *, settled: Collection[str] = (), or_else: str = ""
) -> dict[str, EntryPoint]:
    """What installed packages bring in a group, by name; ``own``: names that are taken, and who has them.

    ``settled``: names of which somebody has said whose is meant; ``or_else``: how that can be said.
    """
    found: dict[str, EntryPoint] = {}
    for point in _installed(group):
        other = found.get(point.name)
        if point.name not in settled and (point.name in own or other is not None):
            holder = own[point.name] if other is None else f"{other.value} ({package_of(other)})"
            raise UserError(
                f"{kind} {point.name!r} is brought by {holder} and by {point.value} ({package_of(point)})",
                where=f"entry points {group}",
                expected="one of each name",
                remedy=remedy_for(point) + or_else,
            )
        found[point.name] = point
    return found


def package_of(point: EntryPoint) -> str:
    """The distribution that brings an entry point."""
    return point.dist.name if point.dist is not None else point.module


def remedy_for(point: EntryPoint) -> str:
    """What can be done about a name that is taken: what is built in cannot be uninstalled."""
    return f"uninstall {package_of(point)}, or give its entry point another name"
