"""Full sizes on a GPU (``pytest suite -m gpu``): a phantom of working size, every listed model, CUDA.

The run lies under ``runs/gpu``, or where ``SLIDE2OMICS_GPU_RUN`` says; it goes on where an earlier one stopped.
``SLIDE2OMICS_GPU_MODELS``, ``SLIDE2OMICS_GPU_PROTOCOLS``, ``SLIDE2OMICS_GPU_SURVIVAL``, ``SLIDE2OMICS_GPU_BULK`` and
``SLIDE2OMICS_GPU_IHC`` (comma-separated) narrow it. Real cohorts at full size need no test: set ``profile: full`` and
the cohort in ``params.yaml`` and call ``dvc repro``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from protocols.records import ScoreRecord
from suite.config import Config, read_config
from suite.places import SCORES, TIMINGS

ROOT = Path(__file__).resolve().parents[1]
pytestmark = [pytest.mark.gpu, pytest.mark.timeout(0)]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())
MODELS = os.environ.get("SLIDE2OMICS_GPU_MODELS", ",".join(PARAMS["models"])).split(",")
SURVIVAL_MODELS = os.environ.get("SLIDE2OMICS_GPU_SURVIVAL", ",".join(PARAMS["survival"]["models"])).split(",")
BULK_MODELS = os.environ.get("SLIDE2OMICS_GPU_BULK", ",".join(PARAMS["bulk"]["models"])).split(",")
IHC_MODELS = os.environ.get("SLIDE2OMICS_GPU_IHC", ",".join(PARAMS["ihc"]["models"])).split(",")
PROTOCOLS = os.environ.get("SLIDE2OMICS_GPU_PROTOCOLS", ",".join(PARAMS["protocols"])).split(",")


@pytest.fixture(scope="module")
def run_folder() -> Iterator[Path]:
    """A working folder with a larger phantom and ``profile: full``, prepared up to the embeddings."""
    from protocols.phantom.bulk import generate_bulk
    from protocols.phantom.bulk_settings import FULL_BULK
    from protocols.phantom.generate import generate
    from protocols.phantom.ihc import generate_ihc
    from protocols.phantom.ihc_settings import MINI_IHC
    from protocols.phantom.settings import FULL
    from protocols.phantom.tcga import generate_tcga
    from protocols.phantom.tcga_settings import FULL_TCGA
    from suite.stages import audit, bulk, bulk_audit, cohort, ihc, inputs, split
    from suite.stages import patients as patients_stage

    folder = Path(os.environ.get("SLIDE2OMICS_GPU_RUN", ROOT / "runs" / "gpu"))
    folder.mkdir(parents=True, exist_ok=True)
    phantom = folder / "phantom"
    if not (phantom / "phantom.json").exists():
        generate(
            phantom, replace(FULL, cancers=("breast", "lung", "colon"), patients_per_cancer=2), seed=0, progress=print
        )
    patients = folder / "phantom_tcga"
    if not (patients / "phantom.json").exists():
        generate_tcga(patients, replace(FULL_TCGA, cohorts=(("brca", 120),)), seed=0, progress=print)
    bulk_root = folder / "phantom_bulk"
    if not (bulk_root / "phantom.json").exists():
        settings = replace(
            FULL_BULK, shared=(), external=(), own=(("gbm", 60),), normal=(("brain", 20), ("colon", 20)), sections=2,
            section=replace(FULL_BULK.section, image_px=5120),
        )  # fmt: skip
        generate_bulk(bulk_root, settings, seed=0, progress=print)
    pairs = folder / "phantom_ihc"
    if not (pairs / "phantom.json").exists():
        sized = replace(MINI_IHC, profile="full", markers=(("ER", 20),), patch_px=512, mpp=0.5)
        generate_ihc(pairs, sized, seed=0, progress=print)
    values = PARAMS | {"profile": "full", "device": "cuda", "models": MODELS, "protocols": PROTOCOLS}
    brca = PARAMS["survival"]["cohorts"]["phantom_brca"] | {"root": str(patients), "truth": str(patients / "truth")}
    values["survival"] = {
        "tile": {"um": 112, "pixels": 224, "max_tiles": 4000, "tissue": "saturation"},
        "cohorts": {"phantom_brca": brca},
        "average": [],
        "models": SURVIVAL_MODELS,
    }
    values["bulk"] = full_bulk(bulk_root)
    jitter = {"root": str(pairs / "jitter"), "markers": ["ER"], "mpp": 0.5, "aligned": str(pairs / "exact")}
    values["ihc"] = PARAMS["ihc"] | {
        "tile_px": 256,
        "cohorts": {"phantom_jitter": jitter | {"truth": str(pairs / "truth")}},
        "models": IHC_MODELS,
    }
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
        patients_stage.run(config, "tcga_survival", "phantom_brca")
        for name in config.bulk.cohorts:
            bulk.run(config, name)
        bulk_audit.run(config)
        ihc.run(config, "phantom_jitter")
        inputs.run(config)
        yield folder


def full_bulk(root: Path) -> dict[str, Any]:
    """``bulk`` of params.yaml at the paper's sizes, on the one cohort that a larger phantom has: 100 super-tiles of
    128 µm would need slides of several mm, so tiles are 32 µm."""
    listed = PARAMS["bulk"]
    cohorts = {name: listed["cohorts"][name] | {"root": str(root)} for name in ("phantom_gbm", "phantom_normal")}
    cohorts["phantom_gbm"]["truth"] = str(root / "truth" / "oracle" / "gbm.parquet")
    sections = listed["sections"] | {
        "root": str(root),
        "manifest": str(root / "sections.csv"),
        "modules": str(root / "meta_modules.json"),
        "truth": str(root / "truth"),
        "window": 10,
        "genes": 500,
    }
    tile = {"um": 32, "pixels": 224, "max_tiles": 4000, "tissue": "saturation"}
    sized = {"tile": tile, "super_tiles": 100, "cohorts": cohorts, "sections": sections}
    whole: dict[str, Any] = {**listed, **sized, "average": [], "models": BULK_MODELS}
    return whole


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
    score.cell(config, protocol, model, SCORES / protocol / model)
    record = ScoreRecord.read(SCORES / protocol / model)
    timing = json.loads((TIMINGS / protocol / f"{model}.json").read_text())
    print(f"\n{protocol} {model}: r {record.headline.mean:.3f} {timing}")
    assert record.status == "scored"
    assert record.profile == "full"


@pytest.mark.parametrize("model", SURVIVAL_MODELS)
def test_full_size_survival(config: Config, model: str) -> None:
    """The same for a survival model, on 120 patients with slides of 1 mm."""
    from suite.stages import survival_predict, survival_score

    survival_predict.run(config, "tcga_survival", model)
    survival_score.cell(config, "tcga_survival", model, SCORES / "tcga_survival" / model)
    record = ScoreRecord.read(SCORES / "tcga_survival" / model / "phantom_brca")
    timing = json.loads((TIMINGS / "tcga_survival" / f"{model}.json").read_text())
    print(f"\ntcga_survival {model}: C {record.headline.mean:.3f} {timing}")
    assert record.status == "scored"
    assert record.profile == "full"


@pytest.mark.parametrize("model", BULK_MODELS)
def test_full_size_bulk(config: Config, model: str) -> None:
    """The same for a model of bulk expression: 60 patients with slides of 1 mm, and maps of two sections."""
    from suite.stages import bulk_predict, bulk_score

    bulk_predict.run(config, model)
    for protocol in ("tcga_expression", "gbm_spatial"):
        bulk_score.cell(config, protocol, model, SCORES / protocol / model)
    record = ScoreRecord.read(SCORES / "tcga_expression" / model / "phantom_gbm")
    maps = ScoreRecord.read(SCORES / "gbm_spatial" / model)
    timing = json.loads((TIMINGS / "tcga_expression" / f"{model}.json").read_text())
    print(f"\ntcga_expression {model}: r {record.headline.mean:.3f}, maps {maps.headline.mean:.3f} {timing}")
    assert record.status == maps.status == "scored"
    assert record.profile == "full"


@pytest.mark.parametrize("model", IHC_MODELS)
def test_full_size_ihc(config: Config, model: str) -> None:
    """The same for virtual staining: tiles of 256 px of 20 patients, two folds, with throughput and memory."""
    from suite.stages import ihc_predict, ihc_score

    ihc_predict.run(config, model)
    ihc_score.cell(config, "ihc4bc", model, SCORES / "ihc4bc" / model)
    record = ScoreRecord.read(SCORES / "ihc4bc" / model / "phantom_jitter_ER")
    timing = json.loads((TIMINGS / "ihc4bc" / f"{model}.json").read_text())
    print(f"\nihc4bc {model}: PSNR {record.headline.mean:.2f} {timing}")
    assert record.status == "scored"
    assert record.profile == "full"
