"""Stage ``bulk_audit``: prove that no fold saw a patient or a slide that its models are asked about.

Of ``tcga_expression``: held-out patients, external cohorts, normal tissue. Of ``gbm_spatial``: the sections, which are
read here. What models are asked beside held-out slides is named by its hash in ``runs/asked/<protocol>``.
"""

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
from suite.bulk.sections import read_sections, sections_config
from suite.config import Config
from suite.places import ASKED, AUDITS, BULK, SECTIONS, SPLITS
from suite.stages.audit import show

SPATIAL = "sections"


def run(config: Config, protocol: str | None = None) -> None:
    """Write ``runs/audits/<protocol>/<cohort>.json`` and ``runs/asked/<protocol>``; a leak stops the run.

    ``protocol`` None: every listed one.
    """
    for name in [protocol] if protocol else config.bulk.protocols:
        if name == "gbm_spatial":
            SECTIONS.mkdir(parents=True, exist_ok=True)
            _audit(config, name, sections_config(config).of, read_sections(config))
            continue
        others = {other: BulkStore(BULK / other).hash for other in config.bulk.cohorts}
        asked = {other: digest for other, digest in others.items() if other not in config.bulk.discovery}
        (ASKED / name).mkdir(parents=True, exist_ok=True)
        write_text_whole(ASKED / name / "cohorts.json", json.dumps(asked, indent=1, sort_keys=True) + "\n")
        for cohort in config.bulk.discovery:
            _audit(config, name, cohort, None)


def _audit(config: Config, protocol_name: str, name: str, sections: SectionsStore | None) -> None:
    store, protocol = BulkStore(BULK / name), load_bulk_protocol(protocol_name)
    folds, record = read_bulk_split(SPLITS / "tcga_expression" / name)
    others: dict[str, BulkStore | SectionsStore] = {o: BulkStore(BULK / o) for o in config.bulk.external_of(name)}
    external = {other: list(found.patients) for other, found in others.items() if isinstance(found, BulkStore)}
    if sections is not None:
        others[SPATIAL] = sections
        external[SPATIAL] = [slide.patient for slide in sections.slides]
    normal = BulkStore(BULK / config.bulk.normal) if config.bulk.normal else None
    hashes = {other: _hashes(found) for other, found in others.items()}
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
            where=f"audit of bulk expression, {name}",
            expected="cohorts and folds without leaks",
            remedy=f"mend the cohorts' tables; the whole report is {path}",
        )
