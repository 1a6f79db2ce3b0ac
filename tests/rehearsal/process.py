"""``python -m tests.rehearsal.process``: rehearse everything and print, as JSON, what was found."""

from __future__ import annotations

import json
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

from baselines.training.kernels import kernels_heard
from protocols.errors import NotThere
from tests.rehearsal import ledger, models, planted
from tests.rehearsal.install import install


def watched(work: Callable[[], Any]) -> dict[str, Any]:
    """What came of one piece of work: the ledger, the kernels that a run's record would name, what was refused."""
    ledger.LEDGER.__init__()  # type: ignore[misc]
    told: dict[str, Any] = {"refused": "", "lines": [], "error": "", "unable": ""}
    began = time.process_time()
    with kernels_heard() as kernels, redirect_stdout(StringIO()):
        try:
            work()
        except ledger.Refused as refused:
            told |= {"refused": str(refused), "lines": refused.lines}
        except NotThere as lacks:
            told["unable"] = str(lacks)
        except Exception as error:
            told["error"] = f"{error}\n{traceback.format_exc()}"
    return {**told, **ledger.LEDGER.told(), "recorded": sorted(kernels), "seconds": time.process_time() - began}


def main() -> None:
    warnings.simplefilter("error")
    install()
    groups = models.groups()
    found: dict[str, Any] = {
        "groups": groups,
        "models": {name: watched(lambda name=name: models.rehearse(name)) for name in groups},
        "encoders": watched(lambda: list(models.embed_all())),
        "agreement": {name: models.agreement_of(name) for name in models.COMPARED},
        "strict": watched(lambda: models.rehearse("reggan", deterministic=True)),
        "planted": {fault.name: watched(lambda fault=fault: planted.rehearse(fault)) for fault in planted.FAULTS},
    }
    json.dump(found, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
