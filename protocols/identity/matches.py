"""What is the same in the evidence of one or several cohorts: bytes, pixels, tables and look-alike images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

from protocols.identity.evidence import Kept, Known
from protocols.identity.known import known
from protocols.identity.look_alike import find_look_alikes
from protocols.identity.persons import person_of
from protocols.identity.tables import same_tables


@dataclass(frozen=True, eq=False)
class Held:
    """A cohort as the audit sees it: its evidence, and the rule by which its labels name people.

    ``key``: hash of both, by which look-alikes of the same cohorts are looked for once a process (empty: each time).
    """

    name: str
    kept: Kept
    rule: str
    key: str = ""

    @cached_property
    def people(self) -> tuple[str | None, ...]:
        """The person of each item."""
        return tuple(None if known(one.person) is None else person_of(str(one.person), self.rule) for one in self.items)

    @property
    def items(self) -> tuple[Known, ...]:
        return self.kept.items


@dataclass(frozen=True)
class Place:
    """An item of a cohort, by number."""

    cohort: int
    item: int


@dataclass(frozen=True)
class Match:
    """Two items that are the same; ``how`` reads between the names of both."""

    one: Place
    other: Place
    how: str


_looked: dict[tuple[str, ...], list[tuple[Place, Place, str]]] = {}
"""By the cohorts' keys: what was found by this process."""


def places(held: Sequence[Held]) -> list[Place]:
    return [Place(number, item) for number, one in enumerate(held) for item in range(len(one.items))]


def same_bytes(held: Sequence[Held]) -> list[Match]:
    return _same([(one, held[one.cohort].items[one.item].bytes) for one in places(held)], "has the bytes of")


def same_pixels(held: Sequence[Held]) -> list[Match]:
    return _same([(one, held[one.cohort].items[one.item].pixels) for one in places(held)], "has the pixels of")


def same_values(held: Sequence[Held]) -> list[Match]:
    """Tables of one cohort or another that are the same, or that share a part."""
    here = [one for one in places(held) if held[one.cohort].items[one.item].has_table]
    if not here:
        return []
    found = same_tables([held[one.cohort].kept.tables[one.item] for one in here], held[here[0].cohort].kept.sameness)
    how = "has the values (%d of %d compared) of"
    return [Match(here[pair.second], here[pair.first], how % (pair.shared, pair.comparable)) for pair in found]


def look_alikes(held: Sequence[Held], chosen: Iterable[int], within: bool) -> list[Match]:
    """Images of the ``chosen`` cohorts that show the same under two owners.

    An owner is a person of one cohort; ``within`` a person, and where the person is unknown, it is the image itself.
    """
    order = sorted(chosen, key=lambda number: held[number].name)
    keys = (*(held[number].key for number in order), str(within))
    if keys not in _looked or not all(keys):
        _looked[keys] = _look_alikes([held[number] for number in order], within)
    return [
        Match(Place(order[one.cohort], one.item), Place(order[other.cohort], other.item), how)
        for other, one, how in _looked[keys]
    ]


def _look_alikes(held: Sequence[Held], within: bool) -> list[tuple[Place, Place, str]]:
    here = [one for one in places(held) if held[one.cohort].kept.prints[one.item].recognisable]
    number: dict[object, int] = {}
    owners: list[object] = []
    for one in here:
        who = held[one.cohort].people[one.item]
        owners.append(one if within or who is None else (one.cohort, who))
    numbers = [number.setdefault(owner, len(number)) for owner in owners]
    found = find_look_alikes([held[one.cohort].kept.prints[one.item] for one in here], numbers)
    return [(here[pair.first], here[pair.second], f"looks ({pair.matched} points agree) like") for pair in found]


def _same(digests: Iterable[tuple[Place, str]], how: str) -> list[Match]:
    return [Match(other, one, how) for group in _groups(digests) for one, other in combinations(group, 2)]


def _groups(digests: Iterable[tuple[Place, str]]) -> Iterator[list[Place]]:
    found: dict[str, list[Place]] = {}
    for place, digest in digests:
        if digest:
            found.setdefault(digest, []).append(place)
    yield from (group for group in found.values() if len(group) > 1)
