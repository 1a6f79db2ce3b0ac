"""Stage ``ihc``: read one cohort of paired patches, make folds by patient, and prove that no pixel is on both sides."""

from __future__ import annotations

import json

import typer

from protocols import load_image_protocol
from protocols.errors import UserError
from protocols.files import write_text_whole
from protocols.ihc.audit import audit_ihc, ihc_audit_report
from protocols.ihc.splitting import patient_folds, write_ihc_split
from suite.config import Config
from suite.ihc.cohorts import read_ihc_cohort
from suite.places import AUDITS, SPLITS
from suite.stages.audit import show


def run(config: Config, name: str) -> None:
    """Write ``runs/ihc/<name>``, its split and its audit; a failed check raises after the report is shown."""
    protocol = load_image_protocol("ihc4bc")
    store = read_ihc_cohort(config, name)
    typer.echo(f"{name}: {len(store)} pairs of {len(store.patients)} patients, {', '.join(store.markers)}")
    split = patient_folds(store, config.seed, config.ihc.folds)
    digest = write_ihc_split(
        SPLITS / protocol.name / name,
        split,
        protocol=protocol.name,
        version=protocol.version,
        cohort=store.hash,
        seed=config.seed,
        patients=store.patients,
    )
    findings = audit_ihc(store, split.folds, perceptual=store.phantom)
    report = ihc_audit_report(store, split, findings, protocol=protocol.name, version=protocol.version)
    path = AUDITS / protocol.name / f"{name}.json"
    write_text_whole(path, json.dumps(report | {"split": digest}, indent=1, sort_keys=True) + "\n")
    show(f"{protocol.name}, {name}", findings, [f"{item.what}: {item.reason}" for item in split.excluded])
    failed = [finding for finding in findings if finding.verdict == "fail"]
    if failed:
        raise UserError(
            f"{failed[0].check}: {failed[0].detail}",
            where=f"audit of {protocol.name}, {name}",
            expected="folds without leaks",
            remedy=f"mend the cohort's tree; the whole report is {path}",
        )
