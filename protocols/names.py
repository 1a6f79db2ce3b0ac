"""Names that come from outside (models, cohorts, boards, markers, sections) and become a folder or a file here."""

from __future__ import annotations

import re
from collections.abc import Iterable

from protocols.errors import UserError

LONGEST = 80
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*(?: [A-Za-z0-9_.+-]+)*")
_WINDOWS = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
"""Names of devices: Windows opens the device, whatever folder they stand in."""


def safe_name(name: object, *, kind: str, where: object) -> str:
    """The name, if it can be one folder's name on every system: no separator, no leading dot, nothing reserved.

    Raises :class:`UserError` that names what is wrong; nothing is replaced, because two names would then meet.
    """
    text = name if isinstance(name, str) else str(name)
    problem = _problem(text)
    if problem:
        shown = text if len(text) <= LONGEST else f"{text[:20]}…"
        raise UserError(
            f"{kind} {shown!r} {problem}",
            where=where,
            expected=f"at most {LONGEST} letters, digits, spaces and . _ + -, not beginning with a dot",
            remedy="rename it",
        )
    return text


def safe_names(names: Iterable[object], *, kind: str, where: object) -> list[str]:
    """Every name checked, and no two that differ by case alone: some file systems hold them for one."""
    seen: dict[str, str] = {}
    for name in names:
        text = safe_name(name, kind=kind, where=where)
        other = seen.setdefault(text.lower(), text)
        if other != text:
            raise UserError(
                f"{kind} {text!r} and {other!r} differ by case alone",
                where=where,
                expected="names that every file system tells apart",
                remedy="rename one of them",
            )
    return list(dict.fromkeys(seen.values()))


def _problem(text: str) -> str:
    if not text.strip():
        return "is empty"
    if len(text) > LONGEST:
        return f"has {len(text)} characters"
    if _WINDOWS.fullmatch(text):
        return "is reserved by Windows"
    if text.endswith("."):
        return "ends in a dot"
    return "" if _PLAIN.fullmatch(text) else "is no plain name"
