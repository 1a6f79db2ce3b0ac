"""The documents tell the truth: every command, option, file, folder, module and key that they name exists."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from dvc.cli.parser import get_main_parser

from baselines.encoders.entries import EncoderEntry, encoder_from_entry, known_encoders
from baselines.registry import built_in, known_models, load_model_class
from protocols.registry import load_reader, load_task, protocol_modules, reader_modules, task_modules
from suite import places
from suite.cli import app
from suite.config import MOVED, Config
from tests.documents import ROOT, Said, blocks, commands, pages, ticks, words

FLOORS = ("suite", "protocols", "baselines", "past_model", "reports", "tests", "docs", ".ci")
ELLIPSIS = "…"
CLI: Any = typer.main.get_command(app)
SETTINGS = {name: load_task(name).settings for name in task_modules()}
ENTRIES = {name: load_task(name).cohort for name in task_modules()}


def of(name: str) -> list[Said]:
    return [one for one in commands() if words(one)[0] == name]


def check_command(command: Said) -> None:
    """A line of a block parses whole; one in running text may leave out what is required."""
    given = [word for word in words(command)[1:] if word != ELLIPSIS]
    found: Any = CLI
    while hasattr(found, "commands") and given:
        found = found.commands[given.pop(0)]
    if command.fenced:
        found.make_context(command.text, given)
    else:
        options = {name for one in found.params for name in (*one.opts, *one.secondary_opts)}
        assert {word for word in given if word.startswith("-")} <= options


@pytest.mark.parametrize("command", of("slide2omics"), ids=str)
def test_commands_and_options_exist(command: Said) -> None:
    check_command(command)


@pytest.mark.parametrize(
    "line", ["slide2omics scare x", "slide2omics score x --predictoins y", "slide2omics units x --out a --fold 3"]
)
@pytest.mark.parametrize("fenced", [True, False])
def test_a_wrong_command_would_be_found(line: str, fenced: bool) -> None:
    with pytest.raises(Exception, match=r"scare|[Nn]o such option|<="):
        check_command(Said("made up", line, fenced=fenced))


def test_readme_names_every_command() -> None:
    row = re.compile(r"^\| (`slide2omics .*?) \|", re.MULTILINE)
    named = {
        text.removeprefix("slide2omics ").split()[0]
        for cell in row.findall((ROOT / "README.md").read_text(encoding="utf-8"))
        for text in re.findall(r"`([^`]+)`", cell)
    }
    assert named == set(CLI.commands) - {"stage"}


@pytest.mark.parametrize("command", of("dvc"), ids=str)
def test_dvc_knows_what_it_is_told(command: Said, capsys: pytest.CaptureFixture[str]) -> None:
    told = get_main_parser().parse_args(words(command)[1:])
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    for target in getattr(told, "targets", None) or []:
        assert target in stages or (ROOT / target).exists(), target
    for changed in getattr(told, "set_param", None) or []:
        assert is_key(changed.partition("=")[0]), changed


@pytest.mark.parametrize(
    "command", [one for one in commands() if words(one)[0] in ("tox", "pytest", "cp", "python")], ids=str
)
def test_other_commands_name_what_exists(command: Said) -> None:
    name, *given = words(command)
    if name == "tox":
        assert f"[testenv:{given[given.index('-e') + 1]}]" in (ROOT / "tox.ini").read_text()
    elif name == "python":
        if given[0] == "-m":
            assert importlib.util.find_spec(given[1]), command
        else:
            assert given[0] == "-c"
            check_imports(given[1])
    elif name == "cp":
        assert (ROOT / given[0]).is_file()
        assert given[1] == "params.yaml"
    else:
        markers = (ROOT / "pyproject.toml").read_text()
        assert all((ROOT / word).exists() for word in given if not word.startswith("-") and word != marker(given))
        assert not marker(given) or f'"{marker(given)}: ' in markers


def marker(given: list[str]) -> str:
    return given[given.index("-m") + 1] if "-m" in given else ""


@pytest.mark.parametrize(
    "name", [one for one in ticks() if one.text.split("/")[0] in FLOORS and "/" in one.text], ids=str
)
def test_files_and_folders_exist(name: Said) -> None:
    """``<task>`` and the like stand for any."""
    assert list(ROOT.glob(re.sub(r"<\w+>", "*", name.text).rstrip("/"))), name


def test_folders_of_a_run_are_those_of_the_code() -> None:
    known = {value.as_posix() for value in vars(places).values() if isinstance(value, Path)}
    for name, function in inspect.getmembers(places, inspect.isfunction):
        if not name.endswith(("_folder", "_file")):
            continue
        arguments = {one: "<k>" if one == "seed" else f"<{one}>" for one in inspect.signature(function).parameters}
        known.add(function(**arguments).as_posix())
    dvc = (ROOT / "dvc.yaml").read_text()
    known |= {"runs/plan/<stage>.json", "runs/metrics/<protocol>.json", "runs/reports/index.html"}
    assert "runs/plan/ask.json" in dvc
    assert '"index.html"' in (ROOT / "reports" / "write.py").read_text()
    said = {
        (path.name, place.rstrip("/."))
        for path in pages()
        for place in re.findall(r"(?<![\w/])runs/[\w<>./-]*", path.read_text(encoding="utf-8"))
    }
    assert said
    assert {one for one in said if one[1] not in known} == set()


DOTTED = re.compile(r"(suite|protocols|baselines|past_model|reports)(\.\w+)+")


@pytest.mark.parametrize("name", [one for one in ticks() if DOTTED.fullmatch(one.text)], ids=str)
def test_modules_and_their_names_exist(name: Said) -> None:
    parts = name.text.split(".")
    module = importlib.import_module(".".join(parts[: _depth(parts)]))
    found: Any = module
    for part in parts[_depth(parts) :]:
        found = getattr(found, part)


def _depth(parts: list[str]) -> int:
    """How many of the parts are packages and a module."""
    depth = 1
    while depth < len(parts):
        place = ROOT.joinpath(*parts[: depth + 1])
        if not (place.is_dir() or place.with_suffix(".py").exists()):
            break
        depth += 1
    return depth


@pytest.mark.parametrize("block", blocks("python"), ids=lambda block: block.page)
def test_python_imports_what_exists(block: Said) -> None:
    check_imports(block.text)


def check_imports(text: str) -> None:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            assert all(importlib.import_module(alias.name) for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(str(node.module))
            assert all(hasattr(module, alias.name) for alias in node.names), node.module


def test_entry_points_are_those_that_are_looked_for() -> None:
    code = "".join((ROOT / name).read_text() for name in ("protocols/registry.py", "baselines/registry.py"))
    code += (ROOT / "baselines/encoders/entries.py").read_text()
    groups = {one.text for one in ticks() if re.fullmatch(r"slide2omics\.\w+", one.text)}
    assert groups == {f"slide2omics.{name}" for name in ("tasks", "protocols", "readers", "encoders", "models")}
    assert all(f'"{group}"' in code for group in groups)


def test_architecture_shows_the_stages_and_the_files_of_a_task() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    picture = text.partition("```\n")[2].partition("```")[0]
    stages = list(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])
    assert re.findall(rf"(?:► |^ {{16}})({'|'.join(stages)}) ", picture, re.MULTILINE)[: len(stages)] == stages
    files = re.findall(r"`(\w+\.py)`", text.partition("### What a task is")[2].partition("\n## ")[0])
    assert len(files) > 15
    assert [name for name in files if not list((ROOT / "protocols").glob(f"*/{name}"))] == []


def test_links_lead_somewhere() -> None:
    for path in pages():
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
            assert "://" in target or (path.parent / target).exists(), f"{path.name}: {target}"


# ----------------------------------------------------------------- the run's file


def fields(model: Any) -> dict[str, Any]:
    return dict(model.model_fields)


def is_key(name: str) -> bool:
    """Whether a dotted key can be set in the run's file."""
    first, *rest = name.split(".")
    if first not in fields(Config):
        return False
    if first == "tasks" and rest:
        return rest[0] in SETTINGS and (
            len(rest) == 1 or ".".join(rest[1:]) in set(leaves(SETTINGS[rest[0]], inner=True))
        )
    if first == "cohorts" and rest:
        return (rest[0] in ENTRIES or rest[0] == "<task>") and (len(rest) < 3 or rest[2] in fields(ENTRIES[rest[0]]))
    return True


def leaves(model: Any, *, inner: bool = False) -> Iterator[str]:
    """Dotted names of a settings model; ``inner``: with its sections."""
    for name, field in fields(model).items():
        section = hasattr(field.annotation, "model_fields")
        if section:
            yield from (f"{name}.{leaf}" for leaf in leaves(field.annotation, inner=inner))
        if inner or not section:
            yield name


def table(heading: str, column: int = 0) -> set[str]:
    """Names in backticks of a column of the first tables under a heading of params.md."""
    text = (ROOT / "docs" / "params.md").read_text(encoding="utf-8")
    part = text.partition(f"{heading}\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split(" | ") for line in part.splitlines() if line.startswith("|")]
    return {name for row in rows if len(row) > column for name in re.findall(r"`([\w.]+)`", row[column])}


def test_params_page_explains_every_key_and_no_other() -> None:
    text = (ROOT / "docs" / "params.md").read_text(encoding="utf-8").partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == set(fields(Config))
    assert table("## Settings of a task") == {
        f"tasks.{task}.{leaf}" for task, model in SETTINGS.items() for leaf in leaves(model)
    }
    assert table("## An encoder") == set(fields(EncoderEntry))


def test_params_page_explains_every_key_of_a_cohort() -> None:
    text = (ROOT / "docs" / "params.md").read_text(encoding="utf-8").partition("## A cohort\n")[2].partition("\n## ")[0]
    common = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    own = {
        (task, key)
        for task, cell in re.findall(r"^\| (\w+) \| (`.*?) \|", text, re.MULTILINE)
        for key in re.findall(r"`(\w+)`", cell)
    }
    for task, model in ENTRIES.items():
        assert common | {key for one, key in own if one == task} == set(fields(model)), task


def test_params_page_names_every_reader() -> None:
    text = (ROOT / "docs" / "params.md").read_text(encoding="utf-8")
    row = next(line for line in text.splitlines() if line.startswith("| `reader` |"))
    shared = set(reader_modules("expression"))
    for task in task_modules():
        wanted = set(reader_modules(task)) - (shared if task == "bulk" else set())
        said = re.search(rf"[Oo]f {task} ((?:`\w+`(?:, )?)+)", row)
        assert said is not None, task
        assert set(re.findall(r"`(\w+)`", said.group(1))) == wanted


SECTIONS = tuple(fields(Config))
SUFFIXES = ("py", "csv", "json", "yaml", "parquet")


@pytest.mark.parametrize("name", [one for one in ticks() if re.fullmatch(r"[a-z_]+(\.[\w<>]+)+", one.text)], ids=str)
def test_keys_in_running_text_can_be_set(name: Said) -> None:
    first, last = name.text.split(".")[0], name.text.split(".")[-1]
    assert first not in MOVED or last in SUFFIXES, f"{name} is a key of an earlier version"
    if first in SECTIONS and last not in SUFFIXES:
        assert is_key(name.text), name


@pytest.mark.parametrize("block", blocks("yaml"), ids=str)
def test_pieces_of_run_files_can_be_read(block: Said) -> None:
    values = yaml.safe_load(block.text)
    assert set(values) <= set(fields(Config)), block.page
    adapters = values.get("adapters") or {}
    assert set(values.get("models") or []) <= {*known_models(adapters), ELLIPSIS}
    assert set(values.get("protocols") or []) <= set(protocol_modules())
    encoders = values.get("encoders") or {}
    assert all(encoder_from_entry(name, entry) for name, entry in encoders.items())
    parts = {part for name in built_in() for part in load_model_class(name, {}, ROOT).card.parts}
    assert set(values.get("weights") or {}) <= {*known_encoders(encoders), *parts}
    for task, settings in (values.get("tasks") or {}).items():
        SETTINGS[task].model_validate(settings)
    for task, cohorts in (values.get("cohorts") or {}).items():
        for entry in cohorts.values():
            read = ENTRIES[task].model_validate(entry)
            load_reader(task, read.reader)
            SETTINGS[task].model_validate(read.settings)
