"""``python -m tests.suite.engine.mutation_process RUN``, in a copy of the tree: for a seeded sample of source files,
which keys of a small run another byte in the file moves. Prints JSON; the working folder is the copy."""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path
from typing import Any

from suite.engine import keys, plan
from suite.engine.closure import CHECKOUT, FLOORS
from suite.engine.run import Run
from suite.engine.store import digest
from tests.suite.engine.recorded import recorded
from tests.suite.engine.small_run import SmallRun

SAMPLE = 12
KNOWN = (keys.closure,)
STAGES = ("read", "ask", "predict", "score")


def digests(run: Run) -> dict[str, str]:
    for known in KNOWN:
        known.cache_clear()
    return {
        f"{stage} {cell}": digest(told)
        for stage in STAGES
        for cell, told in getattr(plan, f"_{stage}")(run).items()
        if cell not in ("boards", "seeds", "not asked", "models")
    }


def main(folder: Path) -> None:
    loaded = SmallRun(folder).loaded()
    own = sorted(path for floor in FLOORS for path in (CHECKOUT / floor).rglob("*.py"))
    copied = {name: {_here(file) for file in files if _here(file)} for name, files in loaded.items()}
    sure = sorted(set().union(*copied.values()))
    chosen = random.Random(0).sample(sure, SAMPLE) + random.Random(0).sample(
        sorted({str(path) for path in own} - set(sure)), SAMPLE
    )
    os.chdir(folder)
    run = SmallRun(folder).run()
    with recorded() as closures:
        before = digests(run)
    hashed = {str(path) for closure in closures for path in closure.files}
    told: dict[str, Any] = {
        "cells": list(before),
        "loaded": {name: sorted(set(chosen) & files) for name, files in copied.items()},
        "hashed": {file: file in hashed for file in chosen},
        "moved": {},
    }
    for file in chosen:
        path = Path(file)
        whole = path.read_bytes()
        path.write_bytes(whole + b"\n# another byte\n")
        after = digests(run)
        path.write_bytes(whole)
        told["moved"][file] = [key for key in before if before[key] != after[key]]
    told["same"] = digests(run) == before
    json.dump(told, sys.stdout)


def _here(file: str) -> str:
    """The file of the copy that another checkout's file is, or an empty text for an adapter's."""
    parts = Path(file).parts
    floor = next((place for place, part in enumerate(parts) if part in FLOORS), None)
    here = CHECKOUT.joinpath(*parts[floor:]) if floor is not None else Path("/nowhere")
    return str(here) if here.is_file() else ""


if __name__ == "__main__":
    main(Path(sys.argv[1]))
