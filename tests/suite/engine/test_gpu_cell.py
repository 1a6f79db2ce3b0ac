"""A cell of the GPU suite, measured on this CPU: what stands in its row, and that peaks and embeddings are measured."""

from __future__ import annotations

import json
from pathlib import Path

from baselines.training.kernels import as_note, kernels_heard, unpromised
from protocols.contract import Settings
from suite.engine import keys
from suite.engine.measured import Device
from suite.gpu_agreement import EXACT
from suite.gpu_cell import measure
from suite.workers import forget_peak_memory, peak_memory_mib
from tests.suite.engine.small_run import SmallRun


def test_a_cell_is_scored_timed_and_compared(small: SmallRun) -> None:
    rows = measure(small.config("expression"), small.folder, "intra_patient", "own_expression", device="cpu")
    assert rows
    for row in rows:
        assert (row.status, row.model, row.agreement["holds"]) == ("scored", "own_expression", True)
        assert row.agreement["kind"] == EXACT  # a ridge on an embedding has no layer of its own
        assert row.fit["device"] == "cpu"
        assert row.fit["peak_memory_mib"] > 0
        assert row.embedding
        for embedded in row.embedding.values():  # of every cohort of the task
            assert embedded["crops"] > 0
            assert embedded["images_per_second"] > 0
            assert embedded["device"] == "cpu"
            assert "peak_gpu_memory_mib" not in embedded


def test_peak_memory_is_of_what_follows() -> None:
    held = bytearray(300 << 20)
    with_it = peak_memory_mib()
    del held
    forget_peak_memory()
    assert peak_memory_mib() < with_it - 200
    device = Device.begun(Settings())
    assert device.used().peak_gpu_memory_mib == 0


def test_the_switch_moves_keys_on_a_gpu_and_none_on_a_cpu(tmp_path: Path, small: SmallRun) -> None:
    def told(device: str, deterministic: bool) -> str:
        config = small.config(device=device, deterministic=deterministic)
        return json.dumps(keys.settings_key(config.settings(), tmp_path))

    assert told("cpu", True) == told("cpu", False)
    assert told("cuda", True) != told("cuda", False)
    assert small.config(device="cpu", deterministic=True).settings() == small.config(device="cpu").settings()


def test_kernels_are_heard_by_whoever_listens_and_told_as_a_note() -> None:
    unpromised("nobody listens")
    with kernels_heard() as outer:
        unpromised("a")
        with kernels_heard() as inner:
            unpromised("b")
        unpromised("c")
    assert (outer, inner) == ({"a", "b", "c"}, {"b"})
    assert as_note(("a", "b")) == "not deterministic on this GPU: a, b; a second run may differ"
