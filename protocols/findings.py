"""What an audit says: findings with a verdict, in one form for every task, sealed beside the split it is about."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from protocols.errors import UserError
from protocols.sealed import Seal, read_seal
from protocols.splits import Exclusion

Verdict = Literal["pass", "note", "fail", "unverifiable"]
"""A note is something to know that stops and doubts nothing."""
SEVERITY: tuple[Verdict, ...] = ("pass", "note", "unverifiable", "fail")
AUDIT_FILE = "audit.json"
KIND = "audit"


@dataclass(frozen=True)
class Finding:
    """One check of one split. ``detail`` names the first offender, or says what was looked at."""

    check: str
    verdict: Verdict
    detail: str


@dataclass(frozen=True)
class RoleFacts:
    """How many units a role of a fold holds, of which patients, and what else is counted (events, markers)."""

    role: str
    units: int
    patients: tuple[str, ...]
    counts: dict[str, int]


@dataclass(frozen=True)
class FoldFacts:
    fold: str
    roles: tuple[RoleFacts, ...]


@dataclass(frozen=True)
class Audit:
    """Every check of one protocol on one cohort. One failed check fails it; an unverifiable one
    keeps it from passing; a note is told and stops nothing."""

    protocol: str
    version: str
    cohort: str
    findings: tuple[Finding, ...]
    folds: tuple[FoldFacts, ...]
    excluded: tuple[Exclusion, ...]

    @property
    def verdict(self) -> Verdict:
        return worst(finding.verdict for finding in self.findings)

    @property
    def failed(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.verdict == "fail")


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The gravest of some verdicts: pass, note, unverifiable, fail; "pass" of none."""
    return max(verdicts, key=SEVERITY.index, default="pass")


def write_audit_file(folder: Path, audit: Audit) -> None:
    told = asdict(audit) | {"verdict": audit.verdict}
    (folder / AUDIT_FILE).write_text(json.dumps(told, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def read_audit(path: Path, *, of: Mapping[str, str] | None = None, failing: bool = False) -> tuple[Audit, Seal]:
    """The audit and its seal, verified; one that fails is refused (unless ``failing`` is asked for):
    nothing may be fitted behind it."""
    seal = read_seal(path, KIND, of=of)
    told = json.loads((path / AUDIT_FILE).read_text(encoding="utf-8"))
    audit = Audit(
        protocol=told["protocol"],
        version=told["version"],
        cohort=told["cohort"],
        findings=tuple(Finding(**one) for one in told["findings"]),
        folds=tuple(
            FoldFacts(
                fold["fold"], tuple(RoleFacts(**role | {"patients": tuple(role["patients"])}) for role in fold["roles"])
            )
            for fold in told["folds"]
        ),
        excluded=tuple(Exclusion(**one) for one in told["excluded"]),
    )
    if audit.failed and not failing:
        raise UserError(
            f"{audit.failed[0].check}: {audit.failed[0].detail}",
            where=f"audit of {audit.protocol}, {audit.cohort}",
            expected="a split without leaks",
            remedy=f"mend the cohort; the whole report is {path / AUDIT_FILE}",
        )
    return audit, seal
