"""The house's rules: imports run downwards, scoring never imports torch, start-up is quick, nobody draws globally.

What code knows is asked of it (tasks, models, parts, fields); only what was decided is written here.
"""

from __future__ import annotations

import ast
import re
import resource
import subprocess
import sys
from collections.abc import Collection
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest

from baselines.registry import built_in
from protocols.contract import Card
from protocols.learning import Learned
from protocols.protocol import Board, Protocol
from protocols.registry import load_protocol, load_task, protocol_modules, reader_modules, task_modules
from protocols.settings import CohortEntry
from protocols.splits import Fold
from protocols.task import Part, Question, Task
from suite import places
from suite.engine.closure import FLOORS, closure_of
from suite.engine.submit import NAMES

ROOT = Path(__file__).resolve().parents[1]
MAY_IMPORT = {
    "protocols": {"protocols"},
    "past_model": {"past_model"},
    "baselines": {"baselines", "past_model", "protocols"},
    "reports": {"reports", "protocols"},
    "suite": {"suite", "reports", "baselines", "past_model", "protocols"},
}
SHARED_ROOMS = {"encoders", "networks", "training"}
"""Rooms of baselines beside one a task."""
ANY_MODEL_MAY_USE = {"protocols.contract", "protocols.errors", "protocols.seeds", "protocols.files"}
MAY_ALSO_USE = {
    "baselines/registry.py": {"protocols.registry", "protocols.entry_points"},  # it looks for models, ours and others'
    "baselines/encoders/entries.py": {"protocols.entry_points"},  # it looks for encoders of other packages
    "baselines/encoders/embedding.py": {"protocols.images.source"},  # what crops look like; no reader of images
}
TORCH = {"torch", "timm", "torchvision", "torch_geometric"}
TENSOR_FILES = ROOT / "protocols/readers/bag_files.py"
"""The one file of protocols that names torch: ``.pt`` is torch's own format, torch's reader is the one that refuses
code in such a file, and it is imported when a bag in that format is read and not before."""
GLOBAL_WATCH = ROOT / "protocols/contract_checks.py"
"""The one file that may touch the global generators: it watches whether a model does, and restores them."""
EARLIER_NAMES = {"ihc"}
"""What a task was called before; the others' names are asked for."""


def sources(floor: str) -> list[Path]:
    return sorted((ROOT / floor).rglob("*.py"))


def imported(tree: ast.AST) -> set[str]:
    """Every module that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


@cache
def imported_by(path: Path) -> frozenset[str]:
    return frozenset(imported(ast.parse(path.read_text())))


def tasks() -> list[Task]:
    return [load_task(name) for name in task_modules()]


def test_every_floor_has_its_arrows() -> None:
    assert set(MAY_IMPORT) == set(FLOORS)


@pytest.mark.parametrize("floor", FLOORS)
def test_imports_run_downwards(floor: str) -> None:
    for path in sources(floor):
        wrong = {name for name in imported_by(path) if name.split(".")[0] in set(FLOORS) - MAY_IMPORT[floor]}
        assert not wrong, f"{path.relative_to(ROOT)} imports {sorted(wrong)}"


def test_baselines_have_a_room_a_task_and_three_shared_ones() -> None:
    rooms = {path.name for path in (ROOT / "baselines").iterdir() if (path / "__init__.py").is_file()}
    assert rooms == set(task_modules()) | SHARED_ROOMS


def test_a_task_sees_of_another_only_what_its_readers_return() -> None:
    for name in task_modules():
        others = {other for other in task_modules() if other != name}
        for path in sources(f"protocols/{name}"):
            wrong = {
                one
                for one in imported_by(path)
                if one.startswith("protocols.") and one.split(".")[1] in others and one.split(".")[2:] != ["cohort"]
            }
            assert not wrong, f"{path.relative_to(ROOT)} imports {sorted(wrong)}"


def test_models_see_their_own_contract_and_not_the_cohort() -> None:
    """A model's room sees the contract of its task; the shared rooms may see any task's."""
    for path in sources("baselines"):
        place = path.relative_to(ROOT)
        room = place.parts[1]
        seen = [room] if room in task_modules() else list(task_modules())
        allowed = (
            ANY_MODEL_MAY_USE
            | MAY_ALSO_USE.get(place.as_posix(), set())
            | {f"protocols.{one}.contract" for one in seen}
        )
        wrong = {name for name in imported_by(path) if name.split(".")[0] == "protocols"} - allowed
        assert not wrong, f"{place} imports {sorted(wrong)}"


def test_a_contract_brings_no_part_of_a_task() -> None:
    """Nor does what it imports: a model that sees its contract cannot reach the truth through it."""
    parts = {f"{part.module.replace('.', '/')}.py" for task in tasks() for part in parts_of(task)}
    for contract in ("protocols.contract", *(f"protocols.{name}.contract" for name in task_modules())):
        if (ROOT / f"{contract.replace('.', '/')}.py").is_file():
            found = {name for name, _ in closure_of(contract).named} & parts
            assert not found, f"{contract} brings {sorted(found)}"


@pytest.mark.parametrize("floor", ["protocols", "reports"])
def test_no_torch_where_scores_are_made(floor: str) -> None:
    for path in sources(floor):
        if path != TENSOR_FILES:
            assert not torch_of(imported_by(path)), path


def test_the_one_file_that_names_torch_imports_it_when_it_reads_a_tensor() -> None:
    tree = ast.parse(TENSOR_FILES.read_text())
    assert torch_of(imported(tree)) == {"torch"}
    (reader,) = [one for one in tree.body if torch_of(imported(one))]
    assert isinstance(reader, ast.FunctionDef)


@pytest.mark.parametrize("name", task_modules())
def test_scoring_cannot_reach_torch(name: str) -> None:
    """Not even by a lazy import: what a task scores, audits and opens with."""
    task = load_task(name)
    for part in (task.open_store, task.audit, task.score, task.describe, task.average, task.excluded):
        if part is not None:
            assert not torch_of(closure_of(part.module).libraries), part.target


def test_importing_every_module_of_protocols_brings_no_torch() -> None:
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in sources("protocols")]
    code = (
        "import sys, time; start = time.process_time(); import protocols; took = time.process_time() - start;"
        f"import importlib; [importlib.import_module(name) for name in {modules}];"
        "print(took, 'torch' in sys.modules, 'scanpy' in sys.modules)"
    )
    took, torch, scanpy = run(code).split()
    assert float(took) < 1.0
    assert (torch, scanpy) == ("False", "False")


def test_every_card_is_read_without_torch() -> None:
    """The stage that resolves all models runs at every `dvc repro`: it must stay light."""
    code = (
        "import sys; from pathlib import Path; from baselines.registry import built_in, load_model_class;"
        "cards = [load_model_class(name, {}, Path('.')).card for name in built_in()];"
        "print(len(cards), 'torch' in sys.modules)"
    )
    assert run(code).split() == [str(len(built_in())), "False"]


def test_help_answers_within_a_second() -> None:
    """In seconds of the processor: those of the wall say how busy the machine is. Best of two, because the first start
    of a process after an install reads cold files."""

    def took() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "suite.cli", "--help"]
        result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
        assert "new-model" in result.stdout
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert took() < 1.0 or took() < 1.0


@pytest.mark.parametrize("floor", FLOORS)
def test_nobody_draws_from_a_global_generator(floor: str) -> None:
    drawing = r"np\.random\.(seed|rand|randn|randint|choice|shuffle|permutation|normal|uniform)\(|(?<!\w)random\.seed\("
    for path in sources(floor):
        if path.name.startswith("test_"):
            continue
        forbidden = "pickle\\.load" if path == GLOBAL_WATCH else rf"{drawing}|pickle\.load"
        found = re.search(forbidden, path.read_text())
        assert not found, f"{path.relative_to(ROOT)}: {found.group() if found else ''}"
    assert re.search(drawing, GLOBAL_WATCH.read_text()), "the exception is no longer needed"


def test_the_engine_names_no_task() -> None:
    """No task, room of scoring, protocol or reader; no field or column that one task alone declares."""
    names = {*task_modules(), *EARLIER_NAMES, *(load_protocol(name).name for name in protocol_modules())}
    names |= {path.parent.name for path in (ROOT / "protocols").glob("*/score_board.py")}
    names |= {reader for task in task_modules() for reader in reader_modules(task)}
    word = re.compile(rf"(?<![A-Za-z])({'|'.join(sorted(map(re.escape, names)))})(?![A-Za-z])", re.IGNORECASE)
    assert word.search("no task is called survival_x here")
    for path in sources("suite/engine"):
        found = word.search(path.read_text())
        assert not found, f"{path.relative_to(ROOT)}: {found.group() if found else ''}"


def test_the_engine_names_no_field_and_no_column_of_one_task() -> None:
    theirs = {word for task in tasks() for word in words_of(task)}
    theirs -= {word for word in theirs if sum(word in words_of(task) for task in tasks()) > 1} | words_of_all()
    assert {"aligned", "crop", "shift_px", "sections_of", "cell_id"} <= theirs
    for path in sources("suite/engine"):
        wrong = said_in(ast.parse(path.read_text())) & theirs
        assert not wrong, f"{path.relative_to(ROOT)} says {sorted(wrong)}"


def words_of(task: Task) -> set[str]:
    """Keys of a task in the run's file, and columns of a table that is handed in, that not every task has."""
    keys = {*task.cohort.model_fields, *task.settings.model_fields} - set(CohortEntry.model_fields)
    return keys | ({*task.columns, *task.names} - set(NAMES))


def words_of_all() -> set[str]:
    """What every task has: fields of what the engine hands about, and folders of a run."""
    bundles = (Task, Protocol, Board, Question, Fold, Card, Learned)
    return {one.name for bundle in bundles for one in fields(bundle)} | {
        place.name for place in vars(places).values() if isinstance(place, Path)
    }


def said_in(tree: ast.AST) -> set[str]:
    """Attributes (less those of an imported module, as ``sys.modules``), keyword arguments and whole texts."""
    found, modules = set(), imported(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not (isinstance(node.value, ast.Name) and node.value.id in modules):
            found.add(node.attr)
        elif isinstance(node, ast.keyword) and node.arg:
            found.add(node.arg)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
    return found


def test_the_pipeline_is_short() -> None:
    assert len((ROOT / "dvc.yaml").read_text().splitlines()) <= 140


def test_top_level_is_as_designed() -> None:
    tracked = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=True).stdout
    top = {name.split("/")[0] for name in tracked.splitlines()}
    fixed = {*FLOORS, "tests", "data.dvc", "dvc.yaml", "tox.ini", "README.md"}
    tools = {
        "pyproject.toml", "params.yaml", "dvc.lock", "requirements.lock", "requirements-cuda.lock", ".dvc", ".ci",
        ".gitignore", ".dvcignore", ".gitattributes", "docs", "LICENSE", "CITATION.cff",
    }  # fmt: skip
    assert fixed <= top
    assert top <= fixed | tools


def parts_of(task: Task) -> list[Part]:
    return [value for one in fields(task) if isinstance(value := getattr(task, one.name), Part)]


def torch_of(names: Collection[str]) -> set[str]:
    return {name.split(".")[0] for name in names} & TORCH


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
