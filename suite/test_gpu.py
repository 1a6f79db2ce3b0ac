"""Every model at published size: ``pytest suite -m gpu`` (skipped, with the reason, where there is no CUDA device).

A larger phantom of each task is made once; then each cell is embedded, fitted, predicted and scored by the engine in a
process of its own: ``runs/gpu/gpu.md`` and ``gpu.json`` tell time, memory, images a second and how far the answers of
GPU and CPU are apart. A cell may take :data:`MINUTES`; the table's foot says what all of them took. No figure of a GPU
stands in this repository: no run on one has been made. ``tests/rehearsal`` runs what can be run without.
``SLIDE2OMICS_GPU_MODELS`` and ``SLIDE2OMICS_GPU_PROTOCOLS`` choose.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from baselines.registry import load_model_class
from protocols.registry import load_protocol
from suite.config import read_config
from suite.engine.ask import run_ask
from suite.engine.read import run_read
from suite.engine.run import Run
from suite.gpu_table import CELLS, as_markdown, write_table

ROOT = Path(__file__).resolve().parents[1]
pytestmark = [pytest.mark.gpu, pytest.mark.timeout(0)]
PARAMS: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
MODELS = os.environ.get("SLIDE2OMICS_GPU_MODELS", ",".join(PARAMS["models"])).split(",")
PROTOCOLS = os.environ.get("SLIDE2OMICS_GPU_PROTOCOLS", ",".join(PARAMS["protocols"])).split(",")


MINUTES = 180
"""The longest that a cell may take: a limit, and no measurement."""


def cells() -> list[tuple[str, str]]:
    """(protocol, model) of one task each, as the cards say; nothing of a model is imported but its card."""
    task_of = {model: load_model_class(model, PARAMS["adapters"], ROOT).card.task for model in MODELS}
    asked = {protocol: load_protocol(protocol).task for protocol in PROTOCOLS}
    return [(protocol, model) for protocol in PROTOCOLS for model in MODELS if task_of[model] == asked[protocol]]


def full_params(folder: Path) -> dict[str, Any]:
    """The default run at the papers' sizes, on larger phantoms below ``folder``: one cohort a task.

    100 super-tiles of 128 µm would need slides of several mm, so tiles of the bulk cohort are 32 µm.
    """
    cohorts, tasks = PARAMS["cohorts"], PARAMS["tasks"]
    slides, patients, bulk, pairs, codex = (
        folder / name for name in ("phantom", "phantom_tcga", "phantom_bulk", "phantom_ihc", "phantom_codex")
    )
    tile = {"pixels": 224, "max_tiles": 4000, "tissue": "saturation"}
    sections = cohorts["bulk"]["phantom_sections"] | {
        "root": str(bulk),
        "manifest": str(bulk / "sections.csv"),
        "modules": str(bulk / "meta_modules.json"),
        "truth": str(bulk / "truth"),
        "window": 10,
        "genes": 500,
    }
    jitter = {"reader": "ihc4bc", "root": str(pairs / "jitter"), "markers": ["ER"], "mpp": 0.5}
    return PARAMS | {
        "profile": "full",
        "device": "cuda",
        "models": MODELS,
        "protocols": PROTOCOLS,
        "tasks": {
            "expression": tasks["expression"] | {"crop": {"um": 56, "pixels": 224}},
            "survival": tasks["survival"] | {"tile": tile | {"um": 112}, "average": []},
            "bulk": tasks["bulk"] | {"tile": tile | {"um": 32}, "super_tiles": 100, "average": []},
            "staining": tasks["staining"] | {"tile_px": 256},
        },
        "cohorts": {
            "expression": {
                "phantom": {
                    "reader": "xenium",
                    "root": str(slides),
                    "manifest": str(slides / "slides.csv"),
                    "truth": str(slides / "truth"),
                },
                "phantom_codex": moved(cohorts["expression"]["phantom_codex"], codex),
                "phantom_tma": moved(cohorts["expression"]["phantom_tma"], codex / "tma"),
            },
            "survival": {
                "phantom_brca": cohorts["survival"]["phantom_brca"]
                | {"root": str(patients), "truth": str(patients / "truth")}
            },
            "bulk": {
                "phantom_gbm": cohorts["bulk"]["phantom_gbm"]
                | {"root": str(bulk), "truth": str(bulk / "truth" / "oracle" / "gbm.parquet")},
                "phantom_normal": cohorts["bulk"]["phantom_normal"] | {"root": str(bulk)},
                "phantom_sections": sections,
            },
            "staining": {
                "phantom_jitter": jitter | {"aligned": str(pairs / "exact"), "truth": str(pairs / "truth")},
            },
            "response": {"phantom_response": moved(cohorts["response"]["phantom_response"], codex / "response")},
        },
    }


def moved(entry: dict[str, Any], root: Path) -> dict[str, Any]:
    """A cohort of the default run at another root."""
    manifest = {"manifest": str(root / "slides.csv")} if "manifest" in entry else {}
    return entry | {"root": str(root), "truth": str(root / "truth")} | manifest


def make_phantoms(folder: Path) -> None:
    """The larger phantoms, each once."""
    from protocols.phantom.bulk import generate_bulk
    from protocols.phantom.bulk_settings import FULL_BULK
    from protocols.phantom.generate import generate
    from protocols.phantom.ihc import generate_ihc
    from protocols.phantom.ihc_settings import MINI_IHC
    from protocols.phantom.protein import generate_protein
    from protocols.phantom.protein_settings import FULL_PROTEIN
    from protocols.phantom.settings import FULL
    from protocols.phantom.tcga import generate_tcga
    from protocols.phantom.tcga_settings import FULL_TCGA

    bulk = replace(
        FULL_BULK, shared=(), external=(), own=(("gbm", 60),), normal=(("brain", 20), ("colon", 20)), sections=2,
        section=replace(FULL_BULK.section, image_px=5120),
    )  # fmt: skip
    makers: dict[str, Any] = {
        "phantom": (generate, replace(FULL, cancers=("breast", "lung", "colon"), patients_per_cancer=2)),
        "phantom_tcga": (generate_tcga, replace(FULL_TCGA, cohorts=(("brca", 120),))),
        "phantom_bulk": (generate_bulk, bulk),
        "phantom_ihc": (generate_ihc, replace(MINI_IHC, profile="full", markers=(("ER", 20),), patch_px=512, mpp=0.5)),
        "phantom_codex": (generate_protein, FULL_PROTEIN),
    }
    for name, (make, settings) in makers.items():
        if not (folder / name / "phantom.json").exists():
            make(folder / name, settings, seed=0, progress=print)


@pytest.fixture(scope="module")
def folder() -> Path:
    """A working folder with larger phantoms and ``profile: full``, cohorts read and splits made."""
    place = Path(os.environ.get("SLIDE2OMICS_GPU_RUN", ROOT / "runs" / "gpu"))
    (place / CELLS).mkdir(parents=True, exist_ok=True)
    make_phantoms(place)
    (place / "params.yaml").write_text(yaml.safe_dump(full_params(place)), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        run = Run(read_config(), place)
        run_read(run)
        run_ask(run)
    return place


@pytest.mark.parametrize(("protocol", "model"), cells())
def test_full_size_cell(folder: Path, protocol: str, model: str) -> None:
    """Embeds, fits, predicts and scores at published sizes in a process of its own, and writes the cell's row."""
    out = folder / CELLS / f"{protocol}-{model}.json"
    command = [sys.executable, "-m", "suite.gpu_cell", protocol, model, str(out)]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    subprocess.run(command, cwd=folder, env=os.environ | {"PYTHONPATH": path}, check=True, timeout=MINUTES * 60)
    rows = [row for row in write_table(folder) if (row["protocol"], row["model"]) == (protocol, model)]
    assert rows
    for row in rows:
        print(f"\n{as_markdown([row])}")
        assert (row["status"], row["profile"]) == ("scored", "full")
        assert row["agreement"]["holds"], row["agreement"]
        assert row["fit"].get("device") not in (None, "cpu")
