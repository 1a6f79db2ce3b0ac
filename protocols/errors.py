"""Errors that a user can cause: one line each, saying what, where, what was expected and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar

T = TypeVar("T")


class UserError(Exception):
    """Something outside the program is wrong: a file, a parameter, a name, a model's answer.

    The command line prints its message as one line and exits with status 2; anything else that is
    raised is a defect of slide2omics and keeps its traceback.
    """

    def __init__(self, what: str, *, where: object, expected: str, remedy: str) -> None:
        self.what, self.where, self.expected, self.remedy = what, str(where), expected, remedy
        super().__init__(_one_line(f"{where}: {what}; expected {expected}; {remedy}"))

    def __reduce__(self) -> tuple[Callable[..., UserError], tuple[type[UserError], str, str, str, str]]:
        """It travels between processes whole."""
        return _made, (type(self), self.what, self.where, self.expected, self.remedy)


class NotThere(UserError):
    """A file that a model needs, weights above all, is not there."""


def _one_line(text: str) -> str:
    """Names that are quoted may hold line breaks and worse; they are shown, not obeyed."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def _made(kind: type[UserError], what: str, where: str, expected: str, remedy: str) -> UserError:
    return kind(what, where=where, expected=expected, remedy=remedy)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A remedy for an unknown name: the nearest known one, or the list of all."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names) or 'none'}"


def look_up(name: str, table: Mapping[str, T], *, kind: str, where: object) -> T:
    """``table[name]``, or a :class:`UserError` that suggests the nearest name."""
    if name in table:
        return table[name]
    raise UserError(
        f"unknown {kind} {name!r}", where=where, expected=f"a known {kind}", remedy=did_you_mean(name, table)
    )


def refuse_unknown_keys(given: Iterable[str], known: Iterable[str], *, where: object) -> None:
    """Raise on the first key that nothing reads (a misspelt setting must never be ignored)."""
    known = sorted(known)
    for key in given:
        if key not in known:
            raise UserError(
                f"unknown key {key!r}", where=where, expected="only known keys", remedy=did_you_mean(key, known)
            )
