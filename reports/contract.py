"""The contract tests beside a rank: a mark on a row that fails one, and the words that go with it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from protocols.contract_checks import CONTRACT_FILE, KIND
from protocols.sealed import is_sealed, read_seal
from reports.notices import Notice

MARK = "†"
Status = Literal["passed", "failed", "untested"]


@dataclass(frozen=True)
class Contract:
    """What the contract tests say of one model: ``check`` and ``problem`` of the first that fails, or why there is no
    result."""

    status: Status
    check: str = ""
    problem: str = ""

    @property
    def mark(self) -> str:
        return MARK if self.status == "failed" else ""

    @property
    def text(self) -> str:
        """One line for the row's details and for tables of data."""
        if self.status == "untested" and not self.check:
            return f"{self.problem}: untested"
        return ": ".join(part for part in (self.status, self.check, self.problem) if part)


PREDICTIONS_ONLY = Contract("untested", "", "predictions only")
"""Of submissions, and of the controls that scoring makes: there is no model to test."""


@dataclass(frozen=True)
class Contracts:
    """The results by model, and whether one that fails keeps its rank (else it is left out of the ranking)."""

    by_model: Mapping[str, Contract] = field(default_factory=dict)
    leave_out: bool = False

    def of(self, model: str) -> Contract:
        return self.by_model.get(model, PREDICTIONS_ONLY)

    def leaves_out(self, model: str) -> bool:
        return self.leave_out and self.of(model).status == "failed"


def read_contracts(folder: Path, models: Iterable[str], *, leave_out: bool = False) -> Contracts:
    """The results of ``models`` in ``folder``; a model without one has not been tested, and is told so."""
    return Contracts({model: _read(folder / model) for model in models}, leave_out)


def _read(folder: Path) -> Contract:
    if not is_sealed(folder):
        return Contract("untested", "", "the stage `check` has not been run")
    read_seal(folder, KIND)
    found = json.loads((folder / CONTRACT_FILE).read_text(encoding="utf-8"))["checks"]
    failed = [one for one in found if one["problem"]]
    broken = [one for one in failed if not one["unable"]]
    if not failed:
        return Contract("passed")
    first = (broken or failed)[0]
    return Contract("failed" if broken else "untested", first["check"], first["problem"])


def why_left_out(contract: Contract) -> str:
    return f"left out of the ranking: fails a contract test: {contract.check}"


def contract_notices(titles: Mapping[str, str], contracts: Contracts) -> list[Notice]:
    """The legend of the mark, a line for each model of a board (``titles`` by name), and who could not be tested."""
    notices = []
    for model, title in titles.items():
        found = contracts.of(model)
        told = ": ".join(part for part in (found.check, found.problem) if part)
        if found.status == "failed":
            notices.append(Notice("warning", f"{MARK} fails a contract test: {title}: {told}"))
        elif found.status == "untested" and found is not PREDICTIONS_ONLY:
            notices.append(Notice("note", f"Not tested against the contract: {title}: {told}"))
    return notices
