"""Stage ``patients``: read one cohort of patients, tile its slides, make its folds, and prove them."""

from __future__ import annotations

import json

from protocols import load_survival_protocol
from protocols.errors import UserError
from protocols.files import write_text_whole
from protocols.survival.audit import audit_survival, survival_audit_report
from protocols.survival.splitting import make_split, write_survival_split
from suite.config import Config
from suite.places import AUDITS, SPLITS
from suite.stages.audit import show
from suite.survival.cohorts import read_cohort


def run(config: Config, protocol_name: str, name: str) -> None:
    """Write ``runs/patients/<name>``, its split and its audit; a failed check raises after the report is shown."""
    protocol = load_survival_protocol(protocol_name)
    store = read_cohort(config, name)
    split = make_split(store, folds=protocol.folds, seed=config.seed)
    digest = write_survival_split(SPLITS / protocol.name / name, protocol, split, store, seed=config.seed)
    findings = audit_survival(store, split)
    report = survival_audit_report(protocol, store, split, findings) | {"split": digest}
    path = AUDITS / protocol.name / f"{name}.json"
    write_text_whole(path, json.dumps(report, indent=1, sort_keys=True) + "\n")
    left_out = [f"{item.what}: {item.reason}" for item in (*store.excluded, *split.excluded)]
    show(f"{protocol.name}, {name}", findings, left_out)
    failed = [finding for finding in findings if finding.verdict == "fail"]
    if failed:
        raise UserError(
            f"{failed[0].check}: {failed[0].detail}",
            where=f"audit of {protocol.name}, {name}",
            expected="a cohort and folds without leaks",
            remedy=f"mend the cohort's tables; the whole report is {path}",
        )
