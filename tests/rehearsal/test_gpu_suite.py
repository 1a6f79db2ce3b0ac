"""What the GPU suite would run is a run: its parameters are read as any run's file, its table is made of its cells."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from baselines.registry import load_model_class
from protocols.registry import load_protocol
from suite import test_gpu
from suite.config import Config
from suite.engine.run import Run
from suite.gpu_agreement import TOLERANCE, Agreement
from suite.gpu_cell import Measured, alone
from suite.gpu_table import CELLS, JSON_FILE, TABLE_FILE, write_table

ROW = Measured(
    protocol="inter_patient",
    board="inter_patient",
    model="uni",
    status="scored",
    profile="full",
    headline=0.25,
    seconds=90.0,
    fit={"device": "a card", "seconds": 60.0, "units_per_second": 5.0, "peak_memory_mib": 7, "peak_gpu_memory_mib": 9},
    embedding={"phantom/uni-cells": {"images_per_second": 12.5}},
    agreement={**asdict(Agreement("float32", 2e-3)), "holds": False},
    notes=[],
)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    found: Config = Config.model_validate(test_gpu.full_params(tmp_path_factory.mktemp("gpu")))
    return found


def test_its_parameters_are_a_run_of_every_task_at_published_sizes(config: Config, tmp_path: Path) -> None:
    run = Run(config, tmp_path)
    assert (config.profile, config.device) == ("full", "cuda")
    for task in run.tasks:
        assert run.requests(task), task
    assert {load_protocol(name).task for name in config.protocols} == set(config.cohorts)


def test_every_listed_model_has_a_cell_and_is_known_to_the_rehearsal(config: Config) -> None:
    cells = test_gpu.cells()
    assert {model for _, model in cells} == set(config.models)
    for protocol, model in cells:
        assert load_model_class(model, {}, Path()).card.task == load_protocol(protocol).task


def test_a_cell_is_a_run_that_embeds_for_its_own_model_alone(config: Config, tmp_path: Path) -> None:
    run = Run(alone(config, "inter_patient", "uni"), tmp_path)
    assert list(run.models) == ["uni"]
    assert list(run.protocols) == ["inter_patient"]


def test_the_table_is_made_of_all_cells_that_were_measured(tmp_path: Path) -> None:
    (tmp_path / CELLS).mkdir()
    (tmp_path / CELLS / "inter_patient-uni.json").write_text(json.dumps([asdict(ROW)]))
    assert write_table(tmp_path) == json.loads((tmp_path / JSON_FILE).read_text())
    *_, row, _, foot = (tmp_path / TABLE_FILE).read_text().splitlines()
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[3:] == ["a card", "0.250", "60.0", "5.0", "9", "7", "12.5", "float32", "2.0e-03 (too far)"]
    assert "2 minutes" in foot
    assert "float32 0.0001" in foot


def test_an_agreement_is_judged_by_its_kind() -> None:
    assert Agreement("float32", TOLERANCE["float32"]).holds
    assert not Agreement("float32", TOLERANCE["bfloat16"]).holds
    assert not Agreement("no network", 1e-9).holds
