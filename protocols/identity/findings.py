"""What identity and content say of a board: one judgement for every task. See docs/audit.md.

The same thing under two people is a failure wherever it lies: one of the labels is wrong. Under one person it is none
where that person is on one side; where a protocol splits within a person it is one if a fold has the two in two roles.
Where a person is unknown it is a failure if a fold has the two in two roles, and unverifiable if not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np

from protocols.contract import RowArray
from protocols.findings import Finding, Verdict, worst
from protocols.identity.evidence import Known
from protocols.identity.matches import Held, Match, Place, look_alikes, same_bytes, same_pixels, same_values
from protocols.identity.persons import barcode_of, labels_by_person
from protocols.splits import Split

ONE_ID, OTHER_PEOPLE = "one id a person", "no person in two cohorts"
BYTES, PIXELS = "no scan of two people, by bytes", "no scan of two people, by pixels"
VALUES, LOOK = "no table of two people", "no look-alike image of two people"
Pairs = Collection[tuple[str, str]]


@dataclass(frozen=True, eq=False)
class Looked:
    """All that is looked at for a board.

    ``held``: the cohort with the folds first, then the others. ``apart``: pairs of cohorts of which one is learnt from
    and the other asked about, so nobody and nothing may be in both. ``independent``: pairs whose scores are averaged.
    ``within``: the protocol splits within a person.
    """

    held: tuple[Held, ...]
    split: Split
    apart: Pairs = ()
    independent: Pairs = ()
    within: bool = False

    def item(self, place: Place) -> str:
        one = self.held[place.cohort]
        of = one.items[place.item]
        where = "" if place.cohort == 0 else f" of cohort {one.name}"
        return f"{of.name} of {'an unknown patient' if self.person(place) is None else of.person}{where}"

    def person(self, place: Place) -> str | None:
        return self.held[place.cohort].people[place.item]

    def cohorts(self, match: Match) -> frozenset[str]:
        return frozenset((self.held[match.one.cohort].name, self.held[match.other.cohort].name))

    @cached_property
    def compared(self) -> set[frozenset[str]]:
        return {frozenset(pair) for pair in (*self.apart, *self.independent)}

    @cached_property
    def groups(self) -> dict[str, dict[str, RowArray]]:
        """Rows by role of every group of folds: its models may pre-train on all that any of its folds trains on."""
        return {
            group: {role: _union(fold.roles().get(role) for fold in folds) for role in ("train", "validation", "test")}
            for group, folds in self.split.groups().items()
        }

    def apart_in(self, match: Match) -> str:
        """The group of folds that has one of the two in one role and the other in another; empty: none."""
        if match.one.cohort or match.other.cohort:
            return ""
        rows = [self.held[0].items[place.item].rows for place in (match.one, match.other)]
        for group, roles in self.groups.items():
            inside = [{role for role, taken in roles.items() if _touches(taken, one)} for one in rows]
            if inside[0] and inside[1] and len(inside[0] | inside[1]) > 1:
                return group
        return ""


def identity_findings(looked: Looked) -> list[Finding]:
    """Every check of people and contents, in the order in which they are shown."""
    return [
        _one_id(looked),
        *([_other_people(looked)] if looked.compared else []),
        _contents(looked, BYTES, same_bytes, lambda of: _number(of, "file", lambda i: bool(i.bytes)), _nothing),
        _contents(looked, PIXELS, same_pixels, lambda of: _number(of, "picture", lambda i: bool(i.pixels)), _unseen),
        _contents(looked, VALUES, same_values, lambda of: _number(of, "table", lambda i: i.has_table), _untold),
        _contents(
            looked, LOOK, lambda held: _looked_alike(looked, held),
            lambda of: _number(of, "image", lambda i: i.look and i.seen == "seen"), _unrecognised,
        ),
    ]  # fmt: skip


def _one_id(looked: Looked) -> Finding:
    number = 0
    for one in looked.held:
        people = labels_by_person(
            (str(i.person) for i, who in zip(one.items, one.people, strict=True) if who), one.rule
        )
        number += len(people)
        for person, labels in people.items():
            if len(labels) > 1:
                twice = (
                    f"{labels[0]!r} and {labels[1]!r} of {one.name} are one person, {person}, by the rule {one.rule}"
                )
                more = sum(len(other) > 1 for other in people.values())
                remedy = "write one id a person, or set persons: exact for that cohort if they are different people"
                return Finding(ONE_ID, "fail", f"{twice}, {more} in all; {remedy}")
    rules = ", ".join(f"{one.name}: {one.rule}" for one in looked.held)
    return Finding(ONE_ID, "pass", f"{number} people, by the rules {rules}")


def _other_people(looked: Looked) -> Finding:
    """Of averaged cohorts an id that is no barcode is nobody's elsewhere: each may number its patients from 1."""
    notes = []
    for one, other in combinations(looked.held, 2):
        pair = frozenset((one.name, other.name))
        if pair not in looked.compared:
            continue
        shared = sorted({str(who) for who in one.people if who} & {str(who) for who in other.people if who})
        learnt = any(pair == frozenset(names) for names in looked.apart)
        sure = [who for who in shared if learnt or barcode_of(who)]
        if sure:
            found = f"patient {sure[0]} is in {one.name} and in {other.name}, {len(sure)} in all"
            return Finding(
                OTHER_PEOPLE, "fail", f"{found}; leave them out of one, or give different people ids of their own"
            )
        if shared:
            notes.append(
                f"{len(shared)} ids are in {one.name} and {other.name}, first {shared[0]}: taken for different people"
            )
    unknown = [
        f"{one.items[place].name} of {one.name}"
        for one in looked.held if any(one.name in pair for pair in looked.compared)
        for place, who in enumerate(one.people) if who is None
    ]  # fmt: skip
    if unknown:
        return Finding(OTHER_PEOPLE, "unverifiable", f"patient unknown for {len(unknown)} items, first {unknown[0]}")
    names = "; ".join(sorted(" and ".join(sorted(pair)) for pair in looked.compared))
    return Finding(OTHER_PEOPLE, "note" if notes else "pass", "; ".join(notes) or names)


def _contents(
    looked: Looked,
    check: str,
    find: Callable[[Sequence[Held]], list[Match]],
    told: Callable[[list[Known]], str],
    gap: Callable[[Looked], Iterator[str]],
) -> Finding:
    judged: list[tuple[Verdict, str]] = []
    twins = 0
    for match in find(looked.held):
        verdict, text = _judge(looked, match)
        twins += verdict == "pass" and bool(text)
        judged.append((verdict, text))
    verdict = worst(one for one, _ in judged)
    if verdict != "pass":
        text = next(text for one, text in judged if one == verdict)
        return Finding(check, verdict, f"{text}, {sum(one == verdict for one, _ in judged)} in all")
    missing = Counter(gap(looked))
    if missing:
        return Finding(check, "unverifiable", ", ".join(f"{number} {why}" for why, number in missing.items()))
    items = [item for one in looked.held for item in one.items]
    return Finding(check, "pass", told(items) + (f"; {twins} pairs of one person are the same" if twins else ""))


def _number(items: list[Known], what: str, counts: Callable[[Known], bool]) -> str:
    number = sum(map(counts, items))
    return f"{number} {what}s" if number else f"no {what}"


def _judge(looked: Looked, match: Match) -> tuple[Verdict, str]:
    """The verdict on one match, and its words; a pass without words is no concern of this board."""
    text = f"{looked.item(match.one)} {match.how} {looked.item(match.other)}"
    if match.one.cohort != match.other.cohort:
        return ("fail", text) if looked.cohorts(match) in looked.compared else ("pass", "")
    one, other = looked.person(match.one), looked.person(match.other)
    if one is not None and other is not None and one != other:
        return "fail", text
    if one == other is not None and not looked.within:
        return "pass", text
    group = looked.apart_in(match)
    if group:
        return "fail", f"{text}, and folds {group} have them in two roles"
    return ("pass" if one == other is not None else "unverifiable"), text


def _looked_alike(looked: Looked, held: Sequence[Held]) -> list[Match]:
    """Cohorts that are held apart are looked at together, and those of an average, which are the same for all of its
    boards, together once for all of them."""
    averaged = {name for pair in looked.independent for name in pair}
    own = {
        held[0].name,
        *(one.name for one in held if one.name not in averaged),
        *(n for pair in looked.apart for n in pair),
    }
    groups = [group for group in (own, averaged) if group and not (group is own and own <= averaged)]
    place = {one.name: number for number, one in enumerate(held)}
    found = [match for group in groups for match in look_alikes(held, {place[name] for name in group}, looked.within)]
    return list(dict.fromkeys(found))


def _nothing(_looked: Looked) -> Iterator[str]:
    yield from ()


def _unseen(looked: Looked) -> Iterator[str]:
    """Why files were not compared by their pixels."""
    for one in looked.held:
        for item in one.items:
            if item.seen in ("unreadable", "too small", "over the maximum"):
                yield f"images {item.seen} in {one.name}"
            elif item.bytes and not item.seen:
                yield f"files that are no image in {one.name}"


def _unrecognised(looked: Looked) -> Iterator[str]:
    yield from _unseen(looked)
    for one in looked.held:
        for item, image in zip(one.items, one.kept.prints, strict=True):
            if item.seen == "seen" and item.look and not image.recognisable:
                yield f"images with too little to be recognised by in {one.name}"


def _untold(looked: Looked) -> Iterator[str]:
    for one in looked.held:
        for item, tokens in zip(one.items, one.kept.tables, strict=True):
            if item.has_table and not len(tokens):
                yield f"tables with too little to be recognised by in {one.name}"


def _touches(rows: RowArray, span: tuple[int, int]) -> bool:
    first, last = np.searchsorted(rows, span)
    return bool(last > first)


def _union(parts: Iterator[RowArray | None]) -> RowArray:
    found = [part for part in parts if part is not None]
    return np.unique(np.concatenate(found)) if found else np.zeros(0, dtype=np.int64)
