"""Stage ``audit``: prove the split, show the report, and stop the run at a leak."""

from __future__ import annotations

import json

from rich.console import Console
from rich.table import Table

from protocols import load_protocol
from protocols.audit import Finding, audit, audit_report
from protocols.cohorts.store import CohortStore
from protocols.errors import UserError
from protocols.files import write_text_whole
from protocols.splitting import read_split
from suite.config import Config
from suite.places import AUDITS, COHORT, SPLITS


def run(config: Config, protocol_name: str) -> None:
    """Write ``runs/audits/<protocol>.json``; a failed check raises after the report is written and shown."""
    protocol, store = load_protocol(protocol_name), CohortStore(COHORT)
    split, record = read_split(SPLITS / protocol.name)
    findings = audit(protocol, store, split, config.split_settings())
    report = audit_report(protocol, store, split, findings) | {"split": record["hash"]}
    write_text_whole(AUDITS / f"{protocol.name}.json", json.dumps(report, indent=1, sort_keys=True) + "\n")
    show(protocol.name, findings, [f"{item.what}: {item.reason}" for item in split.excluded])
    failed = [finding for finding in findings if finding.verdict == "fail"]
    if failed:
        raise UserError(
            f"{failed[0].check}: {failed[0].detail}",
            where=f"audit of {protocol.name}",
            expected="a split without leaks",
            remedy=f"mend the split; the whole report is {AUDITS / protocol.name}.json",
        )


def show(title: str, findings: list[Finding], excluded: list[str]) -> None:
    """The audit as a person reads it."""
    colour = {"pass": "green", "fail": "bold red", "unverifiable": "yellow"}
    table = Table(title=f"leak audit: {title}", title_justify="left")
    for column in ("check", "verdict", "detail"):
        table.add_column(column)
    for finding in findings:
        table.add_row(finding.check, f"[{colour[finding.verdict]}]{finding.verdict}[/]", finding.detail)
    console = Console()
    console.print(table)
    for line in excluded:
        console.print(f"  left out: {line}", highlight=False)
