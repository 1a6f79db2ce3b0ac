"""Stage ``bulk_audit``: read the sections, and prove that no fold saw a patient or a slide that it is asked about."""

from __future__ import annotations

import json

from protocols import load_bulk_protocol
from protocols.audit import Finding
from protocols.bulk.audit import NORMAL, audit_bulk
from protocols.bulk.splitting import read_bulk_split
from protocols.bulk.store import BulkStore
from protocols.errors import UserError
from protocols.files import write_text_whole
from protocols.spatial.store import SectionsStore
from suite.bulk.sections import read_sections
from suite.config import Config
from suite.places import AUDITS, BULK, SECTIONS, SPLITS
from suite.stages.audit import show

SPATIAL = "sections"


def run(config: Config) -> None:
    """Write ``runs/sections`` and ``runs/audits/tcga_expression/<cohort>.json``; a leak stops the run."""
    SECTIONS.mkdir(parents=True, exist_ok=True)
    sections = read_sections(config) if config.bulk.sections else None
    for name in config.bulk.discovery:
        _audit(config, name, sections)


def _audit(config: Config, name: str, sections: SectionsStore | None) -> None:
    store, protocol = BulkStore(BULK / name), load_bulk_protocol("tcga_expression")
    folds, record = read_bulk_split(SPLITS / protocol.name / name)
    others = {other: BulkStore(BULK / other) for other in config.bulk.external_of(name)}
    external = {other: list(found.patients) for other, found in others.items()}
    hashes = {other: _hashes(found) for other, found in others.items()}
    if sections is not None and config.bulk.sections and config.bulk.sections.of == name:
        external[SPATIAL] = [slide.patient for slide in sections.slides]
        hashes[SPATIAL] = _hashes(sections)
    normal = BulkStore(BULK / config.bulk.normal) if config.bulk.normal else None
    if normal is not None:
        hashes[NORMAL] = _hashes(normal)
    findings = audit_bulk(
        store.patients,
        store.slides,
        folds,
        external=external,
        normal=normal.patients if normal else (),
        slide_hashes=store.slide_hashes,
        other_hashes=hashes,
    )
    report = {
        "protocol": protocol.name,
        "version": protocol.version,
        "cohort": store.hash,
        "split": record["hash"],
        "findings": [vars(finding) for finding in findings],
        "folds": record["folds"],
        "excluded": [vars(item) for item in store.excluded],
    }
    path = AUDITS / protocol.name / f"{name}.json"
    write_text_whole(path, json.dumps(report, indent=1, sort_keys=True) + "\n")
    show(f"{protocol.name}, {name}", findings, [f"{item.what}: {item.reason}" for item in store.excluded])
    _stop_at_leaks(findings, name, path)


def _hashes(store: BulkStore | SectionsStore) -> dict[str, str]:
    return {slide.slide: digest for slide, digest in zip(store.slides, store.slide_hashes, strict=True)}


def _stop_at_leaks(findings: list[Finding], name: str, path: object) -> None:
    failed = [finding for finding in findings if finding.verdict == "fail"]
    if failed:
        raise UserError(
            f"{failed[0].check}: {failed[0].detail}",
            where=f"audit of tcga_expression, {name}",
            expected="cohorts and folds without leaks",
            remedy=f"mend the cohorts' tables; the whole report is {path}",
        )
