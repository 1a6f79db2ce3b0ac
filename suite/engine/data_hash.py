"""Hashes of the data files that a cohort names. A file is read again only if its size, time or inode changed."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable
from pathlib import Path

from protocols.errors import UserError
from protocols.files import sha256_of, write_text_whole
from suite.places import HASHES

SETTLED_SECONDS = 2.0
"""A file changed so recently may change again within its time's resolution: its hash is not kept."""
_memory: dict[str, tuple[list[int], str]] = {}
_loaded: list[Path] = []


def data_hash(paths: Iterable[Path], base: Path) -> str:
    """One SHA-256 over names (relative to ``base`` where they lie below it) and bytes; folders stand for all they hold.

    A path that is not there is an error: whoever named it wants it read.
    """
    _load()
    digest = hashlib.sha256()
    for name, file in sorted({(_name(file, base), file) for path in paths for file in _files(path)}):
        digest.update(f"{name}\0{_hash(file)}\n".encode())
    return digest.hexdigest()


def file_hash(path: Path) -> str:
    """SHA-256 of one file's bytes."""
    _load()
    return _hash(path)


def keep_hashes() -> None:
    """Write what was learnt, so that the next process need not read the files again."""
    HASHES.parent.mkdir(parents=True, exist_ok=True)
    write_text_whole(HASHES, json.dumps(_memory, sort_keys=True))


def _load() -> None:
    place = HASHES.absolute()
    if place in _loaded:
        return
    _loaded.append(place)
    try:
        told = json.loads(place.read_text())
        _memory.update({str(name): (list(stat), str(found)) for name, (stat, found) in told.items()})
    except FileNotFoundError:
        return
    except (ValueError, TypeError):  # a torn file of hashes says nothing; the data are read again
        place.unlink()


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file())
    if not path.exists():
        raise UserError(
            "no such file or folder",
            where=path,
            expected="what the cohort names",
            remedy="run `dvc pull`, or mend the path",
        )
    return [path]


def _name(path: Path, base: Path) -> str:
    absolute, folder = path.absolute(), base.absolute()
    return absolute.relative_to(folder).as_posix() if absolute.is_relative_to(folder) else path.name


def _hash(path: Path) -> str:
    stat = path.stat()
    seen = [stat.st_size, stat.st_mtime_ns, stat.st_ino]
    name = str(path.absolute())
    known = _memory.get(name)
    if known is not None and known[0] == seen:
        return known[1]
    found = sha256_of(path)
    if time.time() - stat.st_mtime > SETTLED_SECONDS:
        _memory[name] = (seen, found)
    return found
