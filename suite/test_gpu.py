"""Full sizes on a GPU (``pytest suite -m gpu``): a phantom of working size, every listed model, CUDA.

The run lies under ``runs/gpu``, or where ``SLIDE2OMICS_GPU_RUN`` says; it goes on where an earlier one stopped.
``SLIDE2OMICS_GPU_MODELS`` and ``SLIDE2OMICS_GPU_PROTOCOLS`` (comma-separated) narrow it. Real cohorts at full size
need no test: set ``profile: full`` and the cohort in ``params.yaml`` and call ``dvc repro``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from protocols.records import ScoreRecord
from suite.config import Config, read_config
from suite.places import SCORES, TIMINGS

ROOT = Path(__file__).resolve().parents[1]
pytestmark = [pytest.mark.gpu, pytest.mark.timeout(0)]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())
MODELS = os.environ.get("SLIDE2OMICS_GPU_MODELS", ",".join(PARAMS["models"])).split(",")
PROTOCOLS = os.environ.get("SLIDE2OMICS_GPU_PROTOCOLS", ",".join(PARAMS["protocols"])).split(",")


@pytest.fixture(scope="module")
def run_folder() -> Iterator[Path]:
    """A working folder with a larger phantom and ``profile: full``, prepared up to the embeddings."""
    from protocols.phantom.generate import generate
    from protocols.phantom.settings import FULL
    from suite.stages import audit, cohort, inputs, split

    folder = Path(os.environ.get("SLIDE2OMICS_GPU_RUN", ROOT / "runs" / "gpu"))
    folder.mkdir(parents=True, exist_ok=True)
    phantom = folder / "phantom"
    if not (phantom / "phantom.json").exists():
        generate(
            phantom, replace(FULL, cancers=("breast", "lung", "colon"), patients_per_cancer=2), seed=0, progress=print
        )
    values = PARAMS | {"profile": "full", "device": "cuda", "models": MODELS, "protocols": PROTOCOLS}
    values["cohort"] = {
        "name": "phantom (full size)",
        "reader": "xenium",
        "root": str(phantom),
        "manifest": str(phantom / "slides.csv"),
        "truth": str(phantom / "truth"),
    }
    values["crop"] = {"um": 56, "pixels": 224}
    (folder / "params.yaml").write_text(yaml.safe_dump(values))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        config = read_config()
        cohort.run(config)
        for protocol in config.protocols:
            split.run(config, protocol)
            audit.run(config, protocol)
        inputs.run(config)
        yield folder


@pytest.fixture
def config(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.chdir(run_folder)
    return read_config()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_full_size_cell(config: Config, protocol: str, model: str) -> None:
    """Fits, predicts and scores at published sizes; prints time, throughput and memory."""
    from suite.stages import predict, score

    predict.run(config, protocol, model)
    score.run(config, protocol, model)
    record = ScoreRecord.read(SCORES / protocol / model)
    timing = json.loads((TIMINGS / protocol / f"{model}.json").read_text())
    print(f"\n{protocol} {model}: r {record.headline.mean:.3f} {timing}")
    assert record.status == "scored"
    assert record.profile == "full"
