"""Weights from the hub, through huggingface_hub itself against a server of our own: what is asked, and what is said."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from baselines.encoders.table import ENCODERS
from protocols.files import sha256_of
from tests.baselines.hub_server import REVISION, serving
from tests.published import ctranspath, under_model, uni

pytest.importorskip("huggingface_hub")
ROOT = Path(__file__).resolve().parents[2]
LOAD = """
import json, sys
from baselines.encoders.weights import load_encoder
from protocols.contract import Settings
from protocols.errors import UserError
for name, entry in json.loads(sys.argv[1]):
    try:
        print(load_encoder(name, Settings(weights={name: entry}))[1])
    except UserError as error:
        print(type(error).__name__, error)
"""
"""Run apart: the address of the hub is read when huggingface_hub is imported."""


def answers(endpoint: str, home: Path, entries: list[tuple[str, dict[str, str]]]) -> list[str]:
    """What loading each entry says, a line each."""
    import json
    import os

    env = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    env |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "PYTHONPATH": str(ROOT), "HF_HUB_DISABLE_XET": "1"}
    env |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "0"}
    command = [sys.executable, "-W", "error::FutureWarning", "-c", LOAD, json.dumps(entries)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_hub(tmp_path: Path) -> None:
    """One process asks for everything, because an interpreter with torch takes longer than all answers."""
    chief, table = ENCODERS["chief"], ENCODERS["uni"]
    torch.save(under_model(ctranspath("chief")), tmp_path / "chief.pth")
    torch.save(uni(), tmp_path / "uni.bin")
    assert (chief.hub_id, chief.hub_file, table.hub_id) == (
        "MahmoodLab/hest-bench", "fm_v1/ctranspath/CHIEF_CTransPath.pth", "MahmoodLab/UNI",
    )  # fmt: skip
    files = {
        ("dataset", "MahmoodLab/hest-bench", "fm_v1/ctranspath/CHIEF_CTransPath.pth"): tmp_path / "chief.pth",
        ("model", "MahmoodLab/UNI", "pytorch_model.bin"): tmp_path / "uni.bin",
        ("dataset", "me/mirror", "weights/uni.bin"): tmp_path / "uni.bin",
    }
    ours = {"hub": "MahmoodLab/UNI", "revision": REVISION}
    mirror = {"hub": "me/mirror", "revision": REVISION, "file": "weights/uni.bin"}
    entries = [
        ("chief", {"hub": "MahmoodLab/hest-bench", "revision": REVISION}),
        ("uni", ours),
        ("uni", mirror | {"repo_type": "dataset"}),
        ("uni", ours | {"sha256": "0" * 64}),
        ("uni", mirror),
        ("chief", {"hub": "MahmoodLab/hest-bench", "revision": REVISION, "repo_type": "model"}),
        ("uni", ours | {"revision": "b" * 40}),
        ("uni", ours | {"file": "absent.bin"}),
        ("uni", ours | {"hub": "gated/UNI"}),
        ("uni", ours | {"repo_type": "datset"}),
    ]
    with serving({key: path.read_bytes() for key, path in files.items()}, frozenset({"gated/UNI"})) as (place, asked):
        said = answers(place, tmp_path / "home", entries)
    hashes = {name: sha256_of(tmp_path / name) for name in ("chief.pth", "uni.bin")}
    for line, part, source, file in (
        (said[0], "chief", "MahmoodLab/hest-bench", "chief.pth"),
        (said[1], "uni", "MahmoodLab/UNI", "uni.bin"),
        (said[2], "uni", "me/mirror", "uni.bin"),
    ):
        expected = f"part={part!r}, source={source!r}, revision={REVISION!r}, sha256={hashes[file]!r}"
        assert line.startswith(f"WeightsRecord({expected}")
    whole = f"/datasets/MahmoodLab/hest-bench/resolve/{REVISION}/fm_v1/ctranspath/CHIEF_CTransPath.pth"
    assert f"GET {whole}" in asked, "CHIEF's weights lie in a repository of data"
    assert f"GET /datasets/me/mirror/resolve/{REVISION}/weights/uni.bin" in asked
    for line, words in zip(
        said[3:],
        [
            f"sha256 is {hashes['uni.bin']}",
            "NotThere weights.uni (model repository me/mirror): not found on the hub (RepositoryNotFoundError)",
            "NotThere weights.chief (model repository MahmoodLab/hest-bench): not found on the hub (Repository",
            "not found on the hub (RevisionNotFoundError); expected pytorch_model.bin at bbbb",
            "not found on the hub (RemoteEntryNotFoundError); expected absent.bin at aaaa",
            "NotThere weights.uni (model repository gated/UNI): the repository is gated",
            "repo_type 'datset'; expected model or dataset; did you mean 'dataset'?",
        ],
        strict=True,
    ):
        assert words in line
