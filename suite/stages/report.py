"""Stage ``report``: leaderboards of the listed protocols and models, and of predictions handed in."""

from __future__ import annotations

from pathlib import Path

from protocols.errors import UserError
from protocols.records import AVERAGE, RECORD_FILE
from reports.write import ReportPaths, write_reports
from suite.config import Config
from suite.ihc.cohorts import boards
from suite.places import REPORTS, SCORES, SECTIONS, SUBMISSIONS, TIMINGS
from suite.stages.score_protocol import scored_models


def run(config: Config) -> ReportPaths:
    """Write ``runs/reports`` from the score folders of this ``params.yaml``; older cells are left aside."""
    sections = SECTIONS if "gbm_spatial" in config.bulk.protocols else None
    return write_reports(cells(config), REPORTS, seed=config.seed, timings=TIMINGS, sections=sections)


def cells(config: Config) -> list[Path]:
    """The score folders that belong to this run, in the order of ``params.yaml``, then submissions by name."""
    listed = [SCORES / protocol / model for protocol in config.protocols for model in config.models]
    for protocol in config.survival.protocols:
        for model in config.survival.models:
            # The average is there for models that every cohort of survival.average could serve.
            listed += [SCORES / protocol / model / cohort for cohort in config.survival.cohorts]
            average = SCORES / protocol / model / AVERAGE
            listed += [average] if (average / RECORD_FILE).exists() else []
    for protocol in config.bulk.protocols:
        for model in scored_models(config, protocol):
            if protocol == "gbm_spatial":
                listed.append(SCORES / protocol / model)
                continue
            listed += [SCORES / protocol / model / cohort for cohort in config.bulk.discovery]
            average = SCORES / protocol / model / AVERAGE
            listed += [average] if (average / RECORD_FILE).exists() else []
    for protocol in config.ihc.protocols:
        for model in config.ihc.models:
            listed += [SCORES / protocol / model / board.name for board in boards(config)]
    missing = [folder for folder in listed if not (folder / RECORD_FILE).exists()]
    if missing:
        raise UserError(
            f"{len(missing)} cells are not scored",
            where=missing[0],
            expected="every listed cell",
            remedy="run `dvc repro`",
        )
    handed_in = [path.parent for protocol in config.protocols for path in _submitted(protocol, "*")]
    handed_in += [path.parent for protocol in config.survival.protocols for path in _submitted(protocol, "*/*")]
    for protocol in config.bulk.protocols:
        pattern = "*" if protocol == "gbm_spatial" else "*/*"
        handed_in += [path.parent for path in _submitted(protocol, pattern)]
    handed_in += [path.parent for protocol in config.ihc.protocols for path in _submitted(protocol, "*/*")]
    return listed + handed_in


def _submitted(protocol: str, pattern: str) -> list[Path]:
    return sorted((SUBMISSIONS / protocol).glob(f"{pattern}/{RECORD_FILE}"))
