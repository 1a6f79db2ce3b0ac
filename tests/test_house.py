"""The house's rules: imports run downwards, scoring never imports torch, start-up is quick, nobody draws globally."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLOORS = ("protocols", "baselines", "past_model", "reports", "suite")
MAY_IMPORT = {
    "protocols": {"protocols"},
    "past_model": {"past_model"},
    "baselines": {"baselines", "past_model", "protocols"},
    "reports": {"reports", "protocols"},
    "suite": {"suite", "reports", "baselines", "past_model", "protocols"},
}
BASELINES_MAY_USE = {
    "contract", "survival_contract", "bulk_contract", "image_contract", "views", "errors", "seeds", "files",
}  # fmt: skip
TORCH = {"torch", "timm", "torchvision", "torch_geometric"}


def sources(floor: str) -> list[Path]:
    return sorted((ROOT / floor).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


@pytest.mark.parametrize("floor", FLOORS)
def test_imports_run_downwards(floor: str) -> None:
    for path in sources(floor):
        wrong = {name for name in imported(path) if name.split(".")[0] in set(FLOORS) - MAY_IMPORT[floor]}
        assert not wrong, f"{path.relative_to(ROOT)} imports {sorted(wrong)}"


def test_baselines_see_the_contract_not_the_cohort() -> None:
    for path in sources("baselines"):
        used = {name.split(".")[1] for name in imported(path) if name.startswith("protocols.")}
        assert used <= BASELINES_MAY_USE, f"{path.relative_to(ROOT)} imports protocols.{used - BASELINES_MAY_USE}"


@pytest.mark.parametrize("floor", ["protocols", "reports"])
def test_no_torch_where_scores_are_made(floor: str) -> None:
    for path in sources(floor):
        assert not {name for name in imported(path) if name.split(".")[0] in TORCH}, path


def test_importing_protocols_is_quick_and_brings_no_torch() -> None:
    code = (
        "import sys, time; start = time.perf_counter(); import protocols; took = time.perf_counter() - start;"
        "import protocols.expression.score, protocols.expression.audit;"
        "print(took, 'torch' in sys.modules, 'scanpy' in sys.modules)"
    )
    took, torch, scanpy = run(code).split()
    assert float(took) < 1.0
    assert (torch, scanpy) == ("False", "False")


def test_every_card_is_read_without_torch() -> None:
    """The stage that resolves all models runs at every `dvc repro`: it must stay light."""
    code = (
        "import sys; from pathlib import Path; from baselines.registry import BUILTIN, load_model_class;"
        "[load_model_class(name, {}, Path('.')).card for name in BUILTIN]; print('torch' in sys.modules)"
    )
    assert run(code).split()[0] == "False"


def test_help_answers_within_a_second() -> None:
    start = time.perf_counter()
    result = subprocess.run([sys.executable, "-m", "suite.cli", "--help"], capture_output=True, text=True, cwd=ROOT)
    took = time.perf_counter() - start
    assert "new-model" in result.stdout
    # Best of two, because the first start of a process after an install reads cold files.
    if took > 1.0:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "suite.cli", "--help"], capture_output=True, cwd=ROOT)
        took = time.perf_counter() - start
    assert took < 1.0


@pytest.mark.parametrize("floor", FLOORS)
def test_nobody_draws_from_a_global_generator(floor: str) -> None:
    forbidden = re.compile(
        r"np\.random\.(seed|rand|randn|randint|choice|shuffle|permutation|normal|uniform)\(|(?<!\w)random\.seed\(|pickle\.load"
    )
    for path in sources(floor):
        if path.name.startswith("test_") or path.name == "conformance.py":  # which watches the global generators
            continue
        found = forbidden.search(path.read_text())
        assert not found, f"{path.relative_to(ROOT)}: {found.group() if found else ''}"


def test_top_level_is_as_designed() -> None:
    tracked = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=True).stdout.split(
        "\n"
    )
    top = {name.split("/")[0] for name in tracked if name}
    fixed = {
        "suite",
        "protocols",
        "baselines",
        "past_model",
        "data.dvc",
        "dvc.yaml",
        "reports",
        "tests",
        "tox.ini",
        "README.md",
    }
    tools = {
        "pyproject.toml", "params.yaml", "dvc.lock", "requirements.lock", "requirements-cuda.lock", ".dvc", ".ci",
        ".gitignore", ".dvcignore", ".gitattributes", "docs", "LICENSE", "CITATION.cff",
    }  # fmt: skip
    assert fixed <= top
    assert top <= fixed | tools


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
