"""Installs the locked packages and this checkout into the environment it runs in; does nothing if that is done.

pip checks every hash. Which of PyTorch's builds pip finds depends on the machine: the CUDA build needs the
packages of requirements-cuda.lock, the CPU build (gigabytes smaller) does not, and its metadata tells.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK, CUDA_LOCK = ROOT / "requirements.lock", ROOT / "requirements-cuda.lock"
STAMP = Path(sys.prefix) / "slide2omics.installed"


def main() -> None:
    wanted = fingerprint()
    if STAMP.exists() and STAMP.read_text() == wanted:
        return
    print("installing the locked packages (once; some minutes)", flush=True)
    pip("install", "--no-deps", "--require-hashes", "--quiet", "-r", str(LOCK))
    if any(name.startswith(("nvidia-", "cuda-")) for name in metadata.requires("torch") or []):
        print("this torch is a CUDA build: installing what it needs", flush=True)
        pip("install", "--no-deps", "--require-hashes", "--quiet", "-r", str(CUDA_LOCK))
    pip("install", "--no-deps", "--no-build-isolation", "--quiet", "--editable", str(ROOT))
    pip("check")
    STAMP.write_text(wanted)


def fingerprint() -> str:
    digest = hashlib.sha256(sys.version.encode() + str(ROOT).encode())
    for path in (LOCK, CUDA_LOCK, ROOT / "pyproject.toml"):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    if subprocess.run(command, check=False).returncode:
        sys.exit(f"installation failed at: pip {' '.join(arguments)}")


if __name__ == "__main__":
    main()
