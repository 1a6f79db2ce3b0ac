"""What was made before is not made again: sealed folders under ``runs/cache``, by a key of all they depend on."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from protocols.errors import UserError
from protocols.sealed import SEAL_FILE, Seal, is_sealed, put_in_place, read_seal, sealed_folder
from suite.engine.locks import locked
from suite.places import CACHE, RUNS, found
from suite.processes import is_alive

_HALF_BUILT = re.compile(r"\..+\.(?P<pid>[0-9]+)\.part")
"""Names of what is built aside: whose process builds it stands in the name."""


def digest(value: Any) -> str:
    """SHA-256 of JSON with sorted keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def kept(kind: str, *names: str, key: str) -> Path:
    """``runs/cache/<kind>/<names>@<key>``; names were checked where they came in."""
    *folders, last = names
    return CACHE.joinpath(kind, *folders, f"{last}@{key[:20]}")


def made(
    path: Path,
    kind: str,
    of: Mapping[str, str],
    make: Callable[[Path], None],
    *,
    unless: Path | None = None,
) -> bool:
    """See that the sealed folder ``path`` is there, making it if it is not; whether it was made now.

    Two processes that want the same folder do not make it twice. A folder that was altered is refused. ``unless``: the
    sealed folder that ``path`` is a step to; where that is there, another process needed no more of this one.
    """
    with locked(path):
        if unless is not None and is_sealed(unless):
            return False
        if is_sealed(path):
            read_seal(path, kind, of=of)
            return False
        with sealed_folder(path, kind, of) as folder:
            make(folder)
        return True


def placed(source: Path, out: Path, kind: str) -> Seal:
    """Put a copy of a kept folder where the run shows it; nothing is done if it stands there already.

    A copy and no link: an edit of what the run shows must not reach what is kept.
    """
    with locked(source):
        seal = read_seal(source, kind)
        if is_sealed(out):
            try:
                if read_seal(out, kind).hash == seal.hash:
                    return seal
            except UserError:  # what stands there was altered, or is another thing: it is replaced by the verified one
                shutil.rmtree(out)
        part = out.with_name(f".{out.name}.{os.getpid()}.part")
        shutil.rmtree(part, ignore_errors=True)
        for name in (*seal.files, SEAL_FILE):
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, part / name)
        put_in_place(part, out)
        return seal


def linked(source: Path, target: Path) -> None:
    """A hard link, or a copy where there can be none."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def forget_others(path: Path) -> None:
    """Remove kept folders of the same name and another key: they belong to an earlier state of code or data."""
    name = path.name.rpartition("@")[0]
    for other in path.parent.glob(f"{name}@*"):
        if other != path and other.is_dir():
            shutil.rmtree(other, ignore_errors=True)


def remove_others(root: Path, pattern: str, wanted: Collection[Path]) -> None:
    """Remove finished folders below ``root`` that are not of this run: they belong to an earlier run file."""
    for folder in found(root, pattern):
        if folder not in wanted:
            shutil.rmtree(folder, ignore_errors=True)


def sweep() -> None:
    """Remove what killed processes left half-built anywhere in ``runs``."""
    for folder, folders, files in os.walk(RUNS):
        for name in (*folders, *files):
            half_built = _HALF_BUILT.fullmatch(name)
            if half_built and not is_alive(int(half_built["pid"])):
                path = Path(folder, name)
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
        folders[:] = [name for name in folders if not _HALF_BUILT.fullmatch(name)]
