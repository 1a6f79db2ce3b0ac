"""``python -m suite.engine.card_of``: imports one model from outside and prints its card; the process ends with it."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from protocols.errors import UserError
from suite.processes import die_with_parent


def main() -> None:
    asked = json.loads(sys.stdin.read())
    die_with_parent(asked["parent"])
    out = os.dup(1)
    os.dup2(2, 1)  # what the model's file prints on import is not the answer
    try:
        from baselines.registry import load_model_class

        told: dict[str, object] = {
            "card": asdict(load_model_class(asked["name"], asked["adapters"], Path(asked["root"])).card)
        }
    except UserError as error:
        parts = {"what": error.what, "where": error.where, "expected": error.expected, "remedy": error.remedy}
        told = {"error": parts}
    os.write(out, (json.dumps(told) + "\n").encode())


if __name__ == "__main__":
    main()
