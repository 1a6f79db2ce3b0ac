"""Splits a full lock into what everybody needs and what only PyTorch's CUDA build needs."""

from __future__ import annotations

import re
import sys
from pathlib import Path

CUDA_ONLY = re.compile(r"(nvidia-|cuda-|triton)")
# The CPU build of torch 2.13.0 for CPython 3.11 on Linux x86-64; package indexes that carry it serve these bytes.
CPU_TORCH = "sha256:6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b"


def main(full: str) -> None:
    blocks = re.split(r"(?m)^(?=[a-zA-Z0-9])", Path(full).read_text())
    common, cuda = [], []
    for block in filter(str.strip, blocks):
        if block.startswith("torch=="):
            first, rest = block.split("\\\n", 1)
            block = f"{first}\\\n    --hash={CPU_TORCH} \\\n{rest}"
        (cuda if CUDA_ONLY.match(block) else common).append(block)
    Path("requirements.lock").write_text(
        "# Made by .ci/lock from pyproject.toml; installed by .ci/install.py.\n" + "".join(common)
    )
    Path("requirements-cuda.lock").write_text(
        "# Needed by PyTorch's CUDA build alone; made by .ci/lock.\n" + "".join(cuda)
    )


if __name__ == "__main__":
    main(sys.argv[1])
