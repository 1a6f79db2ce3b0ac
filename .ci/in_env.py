"""Runs a command in the one environment that all of tox's environments share, installing it first where needed.

tox keeps an environment per name and removes one that another name made, so the shared one (PyTorch is large) is
made here, in .tox/shared.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT / ".tox" / "shared"
BIN = SHARED / ("Scripts" if os.name == "nt" else "bin")


def main(command: list[str]) -> int:
    if not (SHARED / "pyvenv.cfg").exists():
        subprocess.run([sys.executable, "-m", "venv", str(SHARED)], check=True)
    environment = os.environ | {"VIRTUAL_ENV": str(SHARED), "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    installed = subprocess.run([str(BIN / "python"), str(ROOT / ".ci" / "install.py")], env=environment, check=False)
    if installed.returncode:
        return installed.returncode
    return subprocess.run([str(BIN / command[0]), *command[1:]], cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
