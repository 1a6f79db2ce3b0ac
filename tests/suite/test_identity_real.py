"""The audit of identity on real public cohorts: no alarm, and what is planted into them is found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from protocols.findings import Audit, Finding, read_audit
from protocols.identity.findings import BYTES, LOOK, ONE_ID, OTHER_PEOPLE, PIXELS, VALUES
from protocols.identity.sites import SITES
from suite.engine.ask import audit_board, split_board
from suite.engine.read import run_read
from suite.engine.run import Run
from suite.places import audit_folder
from tests.cohorts import real_data
from tests.suite.engine_run import ROOT, default_params, params, the_run, write_params

pytestmark = pytest.mark.realdata


def audited(run: Run) -> dict[str, dict[str, Finding]]:
    """Findings of every board, by cohort and check."""
    run_read(run)
    found: dict[str, Audit] = {}
    for protocol, board in run.fit_boards:
        split_board(run, protocol, board)
        audit_board(run, protocol, board)
        found[f"{protocol.name}/{board.name}"] = read_audit(audit_folder(protocol.name, board.cohort), failing=True)[0]
    return {name: {one.check: one for one in audit.findings} for name, audit in found.items()}


def test_serial_sections_of_her2st(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = {
        "reader": "spot_table", "root": str(real_data("her2st")),
        "manifest": str(ROOT / "docs/examples/her2st_slides.csv"),
    }  # fmt: skip
    tasks = {"expression": default_params()["tasks"]["expression"] | {"crop": {"um": 112, "pixels": 64}}}
    told = params(
        protocols=["intra_patient", "inter_patient"], cohorts={"expression": {"her2st": entry}}, tasks=tasks, models=[]
    )
    write_params(tmp_path, told)
    monkeypatch.chdir(tmp_path)
    boards = audited(the_run())
    assert set(boards) == {"intra_patient/her2st", "inter_patient/her2st"}
    for found in boards.values():
        assert {check: found[check].verdict for check in (ONE_ID, BYTES, PIXELS, VALUES, LOOK)} == {
            ONE_ID: "pass", BYTES: "pass", PIXELS: "pass", VALUES: "pass", LOOK: "pass",
        }  # fmt: skip
        assert found[LOOK].detail == "6 images"


def porpoise(**more: dict[str, Any]) -> dict[str, Any]:
    root = real_data("porpoise")
    cohorts = {
        name: {"reader": "mcat", "root": str(root), "table": f"tcga_{name}_all_clean.csv.zip",
               "splits": f"splits/tcga_{name}"}
        for name in ("luad", "lusc")
    }  # fmt: skip
    tasks = {"survival": default_params()["tasks"]["survival"] | {"average": [*cohorts, *more]}}
    return params(protocols=["tcga_survival"], cohorts={"survival": cohorts | more}, tasks=tasks, models=[])


def test_tables_of_tcga(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No alarm between LUAD and LUSC; then fifty patients of LUAD with other ids, other columns and rounded numbers are
    a third cohort of the average."""
    write_params(tmp_path, porpoise())
    monkeypatch.chdir(tmp_path)
    boards = audited(the_run())
    for name in ("luad", "lusc"):
        found = boards[f"tcga_survival/{name}"]
        assert found[VALUES].verdict in ("pass", "unverifiable"), found[VALUES]
        assert {found[check].verdict for check in (ONE_ID, OTHER_PEOPLE, BYTES, PIXELS, LOOK)} == {"pass"}
        assert found[SITES].verdict == "note"
    table = pd.read_csv(real_data("porpoise") / "tcga_luad_all_clean.csv.zip", index_col=0).iloc[100:150]
    genes = sorted((one for one in table.columns if one.endswith("_rnaseq")), reverse=True)
    kept = [
        "case_id",
        "slide_id",
        "site",
        "is_female",
        "oncotree_code",
        "age",
        "survival_months",
        "censorship",
        "train",
    ]
    table = table[[*(one for one in kept if one in table.columns), *genes]].round(3)
    table["case_id"] = [f"TCGA-ZZ-{number:04d}" for number in range(50)]
    table.to_csv(tmp_path / "new.csv", index=True)
    write_params(tmp_path, porpoise(new={"reader": "mcat", "root": str(tmp_path), "table": "new.csv"}))
    doubled = audited(the_run())["tcga_survival/new"][VALUES]
    assert (doubled.verdict, doubled.detail.rpartition(", ")[2]) == ("fail", "50 in all")
