"""Whether a label names anybody: one answer for readers, stores and audits."""

from __future__ import annotations

UNKNOWN = frozenset({"", "unknown", "none", "nan", "na", "n/a", "null"})


def known(label: object) -> str | None:
    """The label, or None where it names nobody: an empty cell arrives as None, NaN, blanks or a word for nobody."""
    return label if isinstance(label, str) and label.strip().lower() not in UNKNOWN else None
