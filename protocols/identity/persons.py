"""Who a label names: one rule a cohort, by which ``TCGA-A1-A0SB-01A`` and ``tcga_a1_a0sb`` are one person.

Rules: ``auto`` (barcodes of known projects down to the patient; of all else case, blanks, separators and zero padding
say nothing), ``exact`` (a label is a person), or a regular expression whose one group is the person.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping

from protocols.errors import UserError
from protocols.settings import AUTO, EXACT

_BARCODES = (
    r"TCGA-[A-Z0-9]{2}-[A-Z0-9]{4}",
    r"GTEX-[A-Z0-9]{4,6}",
    r"C3[LN]-[0-9]{5}",  # CPTAC 3
    r"TARGET-[0-9]{2}-[A-Z0-9]{6}",
    r"HCM-[A-Z]{4}-[0-9]{4}-[A-Z][0-9]{2}",
    r"MMRF-[0-9]{4}",
    r"X?[0-9]{2}(?:BR|CO|LU|OV)[0-9]{3}",  # CPTAC 2
)
"""What a patient is called by projects whose samples, slides and aliquots go on after it; separators are unified."""
BARCODE = re.compile(rf"(?<![A-Z0-9])(?:{'|'.join(_BARCODES)})(?![A-Z0-9])")
_SEPARATORS = re.compile(r"[\s_.\-\u2010-\u2015]+")
_PIECES = re.compile(r"[^\W\d_]+|\d+|[^\w\s]")
_SITE = re.compile(r"TCGA-([A-Z0-9]{2})-")


def person_of(label: str, rule: str) -> str:
    """The person behind a label. Raises :class:`UserError` where a regular expression says nothing of it."""
    if rule == EXACT:
        return label
    if rule == AUTO:
        return barcode_of(label) or _plain(label)
    found = re.search(rule, label)
    if found is None or not found[1]:
        raise UserError(
            f"{label!r} has no part that matches {rule!r}", where="persons", expected="a person in every label",
            remedy="mend the expression, or set persons: auto or exact",
        )  # fmt: skip
    return found[1]


def barcode_of(label: str) -> str | None:
    """The patient's part of a barcode of a known project, which names the same person in every cohort; else None."""
    found = BARCODE.search(_SEPARATORS.sub("-", label.strip()).upper())
    return found[0].removeprefix("X") if found else None


def source_site(label: str) -> str | None:
    """The tissue source site of a TCGA barcode (characters 6 and 7), or None."""
    found = _SITE.match(barcode_of(label) or "")
    return found[1] if found else None


def _plain(label: str) -> str:
    """``P-01``, ``p 1`` and ``P1`` alike: letters and numbers one after the other, without case and leading zeros."""
    pieces = _PIECES.findall(_SEPARATORS.sub(" ", unicodedata.normalize("NFKC", label)).casefold())
    return "-".join((piece.lstrip("0") or "0") if piece.isdigit() else piece for piece in pieces)


def labels_by_person(labels: Iterable[str], rule: str) -> Mapping[str, list[str]]:
    """Each person's labels, sorted, by the person in order."""
    found: dict[str, set[str]] = {}
    for label in labels:
        found.setdefault(person_of(label, rule), set()).add(label)
    return {person: sorted(found[person]) for person in sorted(found)}
