"""What the contract tests say beside a rank: of a model that passes, fails, could not be tested, or is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from protocols.errors import UserError
from protocols.sealed import sealed_folder
from reports.contract import Contracts, contract_notices, read_contracts

ALONE = "a unit's answer does not depend on its companions"


def check(name: str, problem: str = "", *, unable: bool = False) -> dict[str, Any]:
    return {"check": name, "problem": problem, "said": "", "unable": unable}


@pytest.fixture
def read(tmp_path: Path) -> Contracts:
    told = {
        "sound": [check("the card"), check(ALONE)],
        "leaking": [check("the card"), check("weights", "no such file", unable=True), check(ALONE, "by up to 0.3")],
        "weightless": [check("the card"), check("fit and predict", "no such file", unable=True)],
    }
    for name, checks in told.items():
        with sealed_folder(tmp_path / name, "contract", {}) as folder:
            (folder / "contract.json").write_text(json.dumps({"model": name, "checks": checks}), encoding="utf-8")
    return read_contracts(tmp_path, [*told, "never"])


def test_what_is_said_of_each(read: Contracts) -> None:
    assert {name: read.of(name).text for name in ("sound", "leaking", "weightless", "never", "handed in")} == {
        "sound": "passed",
        "leaking": f"failed: {ALONE}: by up to 0.3",
        "weightless": "untested: fit and predict: no such file",
        "never": "the stage `check` has not been run: untested",
        "handed in": "predictions only: untested",
    }
    assert [name for name in ("sound", "leaking", "weightless", "never", "handed in") if read.of(name).mark] == [
        "leaking"
    ]


def test_a_model_is_left_out_only_by_the_setting_and_only_if_it_fails(read: Contracts) -> None:
    told = Contracts(read.by_model, leave_out=True)
    assert [name for name in (*told.by_model, "handed in") if told.leaves_out(name)] == ["leaking"]
    assert not any(read.leaves_out(name) for name in read.by_model)


def test_the_legend_names_model_check_and_problem(read: Contracts) -> None:
    titles = {name: name.title() for name in (*read.by_model, "handed in")}
    assert [(one.level, one.text) for one in contract_notices(titles, read)] == [
        ("warning", f"† fails a contract test: Leaking: {ALONE}: by up to 0.3"),
        ("note", "Not tested against the contract: Weightless: fit and predict: no such file"),
        ("note", "Not tested against the contract: Never: the stage `check` has not been run"),
    ]


def test_an_altered_result_is_refused(read: Contracts, tmp_path: Path) -> None:
    (tmp_path / "leaking" / "contract.json").write_text('{"model": "leaking", "checks": []}', encoding="utf-8")
    with pytest.raises(UserError, match="contract"):
        read_contracts(tmp_path, read.by_model)
