"""Every model on a pretend GPU: no operand on the wrong device, and nothing promised that a GPU does not hold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from baselines.registry import built_in
from suite.gpu_agreement import BFLOAT16, EXACT, FLOAT32, TOLERANCE
from tests.rehearsal.ledger import ROOT
from tests.rehearsal.planted import FAULTS, Fault

pytestmark = pytest.mark.slow
REFLECT, GRID = "reflection_pad2d_backward_cuda", "grid_sampler_2d_backward_cuda"
WITHOUT_TORCH = {"expression": "train_mean", "survival": "kaplan_meier", "bulk": "bulk_train_mean"}


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """What the process found that rehearses everything."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.rehearsal.process"]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    told: dict[str, Any] = json.loads(ended.stdout)
    return told


def test_every_model_of_every_task_is_rehearsed(found: dict[str, Any]) -> None:
    assert {name for names in found["groups"].values() for name in names} == set(built_in())
    assert set(found["models"]) == set(found["groups"])


def test_no_model_and_no_encoder_has_an_operand_on_the_wrong_device(found: dict[str, Any]) -> None:
    for name, told in [*found["models"].items(), ("encoders", found["encoders"])]:
        assert not told["refused"], f"{name}: {told['refused']}; {told['lines']}"
        assert not told["error"], f"{name}: {told['error']}"
        assert "weights" in told["unable"] or not told["unable"], f"{name}: what it lacks is no file of weights"


def test_networks_really_ran_on_the_pretend_device(found: dict[str, Any]) -> None:
    """Encoders and networks did; a control that needs no torch did not."""
    assert found["encoders"]["calls"] > 0
    for name in ("st_net", "past", "uni_finetuned", "hex", "snn", "mcat_chief", "he2rna", "sequoia_vis", "reggan"):
        told = _of(found, name)
        assert told["copies to the GPU"], name
        assert told["copies to the CPU"], name
        assert sum(told["products"].values()), name
    for name in WITHOUT_TORCH.values():
        assert not found["models"][name]["calls"]


def test_precision_is_what_the_documents_say(found: dict[str, Any]) -> None:
    """bfloat16 by autocast in encoders, fine-tuning, PAST and virtual staining; float32 in survival, bulk and HEX."""
    assert set(found["encoders"]["products"]) == {"bfloat16"}
    for name in ("st_net", "uni_finetuned"):
        assert set(_of(found, name)["products"]) == {"bfloat16"}
    for name in ("past", "ihc_unet", "pix2pix", "improved_diffusion"):
        assert "bfloat16" in _of(found, name)["products"]
    for name in ("hex", "snn", "mcat_chief", "he2rna", "sequoia_vis"):
        assert set(_of(found, name)["products"]) == {"float32"}


def test_the_record_names_every_kernel_without_a_deterministic_version(found: dict[str, Any]) -> None:
    for name, told in [*found["models"].items(), ("encoders", found["encoders"])]:
        assert told["recorded"] == told["not deterministic"], name
    assert _of(found, "reggan")["recorded"] == [GRID, REFLECT]
    assert _of(found, "pix2pix")["recorded"] == [REFLECT]
    assert _of(found, "past")["recorded"] == []


def test_with_deterministic_true_such_a_kernel_ends_the_run_in_one_line(found: dict[str, Any]) -> None:
    line = found["strict"]["error"].splitlines()[0]
    assert f"{REFLECT} has no deterministic version" in line
    assert "set deterministic: false" in line


def test_both_devices_answer_alike_within_the_stated_tolerance(found: dict[str, Any]) -> None:
    """By kind: no network, float32, bfloat16, whose rounding the pretend GPU really has."""
    for name, told in found["agreement"].items():
        assert told["holds"], f"{name}: {told}"
    kinds = {name: told["kind"] for name, told in found["agreement"].items()}
    assert kinds["train_mean"] == EXACT
    assert {kinds[name] for name in ("hex", "snn", "he2rna")} == {FLOAT32}
    assert {kinds[name] for name in ("st_net", "past", "pix2pix", "improved_diffusion")} == {BFLOAT16}
    assert found["agreement"]["past"]["difference"] > TOLERANCE[FLOAT32], "no bfloat16 was compared"


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_planted_fault_is_caught_at_its_line(fault: Fault, found: dict[str, Any]) -> None:
    told = found["planted"][fault.name]
    assert told["refused"]
    assert fault.line() in told["lines"]


def _of(found: dict[str, Any], name: str) -> dict[str, Any]:
    (first,) = [first for first, names in found["groups"].items() if name in names]
    told: dict[str, Any] = found["models"][first]
    return told
