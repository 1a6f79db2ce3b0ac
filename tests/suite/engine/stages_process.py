"""``python -m tests.suite.engine.stages_process FOLDER``: a small run of every task, each stage and each job by a
process that had imported nothing of ours before; what it had at its end is written down.

This process imports libraries alone and forks: a stage has a process of its own, and so has every job that it hands to
workers, as :mod:`suite.workers` would start them, without the seconds that an interpreter and its libraries take.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

LIBRARIES = ("numpy", "pandas", "pyarrow.parquet", "scipy.stats", "sklearn.linear_model", "torch", "timm", "pydantic")
STAGES = ("read", "ask", "predict", "score", "report")
ROOT = Path(__file__).resolve().parents[3]


def main(folder: Path) -> None:
    for name in LIBRARIES:
        import_module(name)
    assert not ours(folder), f"this process must not import what it hands to others: {ours(folder)}"
    loaded: dict[str, list[str]] = {}
    _told(_forked(_write, folder))
    for stage in STAGES:
        here, there = Pipe()
        process = _forked(_stage, stage, there)
        there.close()
        while True:
            try:
                job = here.recv_bytes()
            except EOFError:
                break
            name, files, answer = pickle.loads(_told(_forked(_job, job, folder)))  # noqa: S301
            loaded[name] = files
            here.send_bytes(answer)
        loaded[f"stage {stage}"] = pickle.loads(_told(process))  # noqa: S301
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


def _stage(stage: str, jobs: Connection) -> bytes:
    import suite.workers

    def run_jobs(work: Callable[[Any], Any], listed: Sequence[Any], workers: int) -> Iterator[tuple[Any, Any]]:
        for job in listed:
            jobs.send_bytes(pickle.dumps((f"{work.__module__}:{work.__qualname__}", job.item)))
            yield job.item, pickle.loads(jobs.recv_bytes())  # noqa: S301

    suite.workers.run_jobs = run_jobs  # type: ignore[assignment]
    run = import_module("suite.engine.run").Run(import_module("suite.config").read_config())
    getattr(import_module(f"suite.engine.{stage}"), f"run_{stage}")(run)
    return pickle.dumps(ours(Path.cwd()))


def _job(job: bytes, folder: Path) -> bytes:
    target, item = pickle.loads(job)  # noqa: S301
    module, _, name = target.partition(":")
    answer = getattr(import_module(module), name)(item)
    return pickle.dumps((str(item), ours(folder), pickle.dumps(answer)))


def _forked(work: Callable[..., bytes], *arguments: Any) -> tuple[int, Connection]:
    here, there = Pipe(duplex=False)
    process = os.fork()
    if process:
        there.close()
        return process, here
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
    main(Path.cwd())
