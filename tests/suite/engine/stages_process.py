"""``python -m tests.suite.engine.stages_process FOLDER``: a small run of every task; what the process of each stage,
and of one job of each kind, had imported of ours at its end is written down.

This process imports libraries alone and forks: every stage has a process of its own, and so has the first job of each
kind (an embedding of a task, a fit of a model, a score of a protocol), without the seconds that an interpreter and its
libraries take. Further jobs of a kind are done by one process, of which nothing is written down.
"""

from __future__ import annotations

import gc
import json
import os
import pickle
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

LIBRARIES = ("numpy", "pandas", "pyarrow.parquet", "scipy.stats", "sklearn.linear_model", "torch", "timm", "pydantic")
STAGES = ("read", "ask", "predict", "score")
ROOT = Path(__file__).resolve().parents[3]


def main(folder: Path) -> None:
    for name in LIBRARIES:
        import_module(name)
    gc.freeze()  # what every child has in common is not searched for garbage by each
    assert not ours(folder), f"this process must not import what it hands to others: {ours(folder)}"
    loaded: dict[str, list[str]] = {}
    _told(_forked(_write, folder))
    for stage in STAGES:
        here, there = Pipe()
        others, rest = Pipe()
        helper = _forked(_others, rest, [here, there, others])
        process = _forked(_stage, stage, there, others)
        for end in (there, others, rest):
            end.close()
        while True:
            try:
                job = here.recv_bytes()
            except EOFError:
                break
            name, files, answer = pickle.loads(_told(_forked(_job, job, folder)))
            loaded[name] = files
            here.send_bytes(answer)
        loaded[f"stage {stage}"] = pickle.loads(_told(process))
        _told(helper)
    (folder / "loaded.json").write_text(json.dumps(loaded), encoding="utf-8")


def ours(folder: Path) -> list[str]:
    """Files of the checkout, the tests aside, and of the working folder that this process has imported."""
    found = set()
    for module in list(sys.modules.values()):
        file = Path(getattr(module, "__file__", None) or "/").resolve()
        if not file.is_file():
            continue  # torch has modules that say they lie in files that are not
        if (file.is_relative_to(ROOT) and "tests" not in file.relative_to(ROOT).parts) or file.is_relative_to(folder):
            found.add(str(file))
    return sorted(name for name in found if "/.tox/" not in name)


def _write(folder: Path) -> bytes:
    from tests.suite.engine.small_run import write_data

    values = write_data(folder)
    (folder / "params.yaml").write_text(json.dumps(values), encoding="utf-8")  # JSON is YAML
    return b""


def _stage(stage: str, apart: Connection, others: Connection) -> bytes:
    import suite.workers

    def run_jobs(work: Callable[[Any], Any], listed: Sequence[Any], workers: int) -> Iterator[tuple[Any, Any]]:
        seen = set()
        for job in listed:
            kind = _kind(job.item)
            place = others if kind in seen else apart
            seen.add(kind)
            place.send_bytes(pickle.dumps((kind, f"{work.__module__}:{work.__qualname__}", job.item)))
            yield job.item, pickle.loads(place.recv_bytes())

    suite.workers.run_jobs = run_jobs  # type: ignore[assignment]
    run = import_module("suite.engine.run").Run(import_module("suite.config").read_config())
    own = {
        "read": [Cohort(run.told(), one.task, one.name) for one in run.cohorts],
        "ask": [Asked(run.told(name), name) for name in run.protocols],
    }
    if stage in own:
        for _ in run_jobs(read_one if stage == "read" else ask_one, [suite.workers.Job(one) for one in own[stage]], 1):
            pass
    else:
        getattr(import_module(f"suite.engine.{stage}"), f"run_{stage}")(run)
    return pickle.dumps(ours(Path.cwd()))


@dataclass(frozen=True)
class Cohort:
    config: str
    task: str
    name: str


@dataclass(frozen=True)
class Asked:
    config: str
    protocol: str


def read_one(item: Cohort) -> None:
    run = _run_of(item.config)
    import_module("suite.engine.read").read_cohort(run, run.requests(item.task)[item.name])


def ask_one(item: Asked) -> None:
    import_module("suite.engine.ask").run_ask(_run_of(item.config))


def _run_of(config: str) -> Any:
    return import_module("suite.engine.run").Run(import_module("suite.config").Config.model_validate_json(config))


def _kind(item: Any) -> str:
    """``read TASK``, ``ask PROTOCOL``, ``embed TASK``, ``fit PROTOCOL MODEL`` or ``score PROTOCOL``."""
    if isinstance(item, Cohort | Asked):
        return f"read {item.task}" if isinstance(item, Cohort) else f"ask {item.protocol}"
    if hasattr(item, "job"):
        return f"fit {item.protocol} {item.model}"
    return f"score {item.protocol}" if hasattr(item, "answers") else f"embed {item.task}"


def _others(jobs: Connection, not_mine: Sequence[Connection]) -> bytes:
    """Do jobs, one after the other, for as long as somebody may send one."""
    for end in not_mine:
        end.close()
    while True:
        try:
            job = jobs.recv_bytes()
        except EOFError:
            return b""
        jobs.send_bytes(pickle.loads(_job(job, Path.cwd()))[2])


def _job(job: bytes, folder: Path) -> bytes:
    kind, target, item = pickle.loads(job)
    module, _, name = target.partition(":")
    answer = getattr(import_module(module), name)(item)
    return pickle.dumps((kind, ours(folder), pickle.dumps(answer)))


def _forked(work: Callable[..., bytes], *arguments: Any) -> tuple[int, Connection]:
    here, there = Pipe(duplex=False)
    process = os.fork()
    if process:
        there.close()
        return process, here
    here.close()
    try:
        there.send_bytes(work(*arguments))
        sys.stdout.flush()
        os._exit(0)
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(1)


def _told(process: tuple[int, Connection]) -> bytes:
    try:
        answer = process[1].recv_bytes()
    except EOFError:
        sys.exit("a process of the small run failed")
    os.waitpid(process[0], 0)
    return answer


if __name__ == "__main__":
    os.chdir(sys.argv[1])
    import_module("tests.suite.engine.stages_process").main(Path.cwd())  # by its name, which travels
