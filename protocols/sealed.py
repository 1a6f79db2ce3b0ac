"""One verified form for all that passes between stages: a folder with a seal that names every file by its hash.

Cohorts, splits, audits, embeddings, answers, records and submissions are sealed folders. A folder is built aside and
put in place by one rename, so it is whole or absent; every reader verifies the seal, so an altered, added or missing
byte is an error of whoever would have believed it.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from protocols.errors import UserError
from protocols.files import sha256_of

SEAL_FILE = "seal.json"
_EXCHANGE = 2
"""``RENAME_EXCHANGE`` of Linux's renameat2."""
_verified: dict[str, tuple[tuple[tuple[str, int, int], ...], Seal]] = {}
"""Folders that this process has verified, with each file's size and time of change then."""


@dataclass(frozen=True)
class Seal:
    """What a folder is (``kind``), the hashes of what it was made ``of``, and the hash of each of its files."""

    kind: str
    of: dict[str, str]
    files: dict[str, str]

    @property
    def hash(self) -> str:
        """One hash of kind, origins and every byte."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def stands(path: Path, root: Path) -> bool:
    """Whether something below ``root`` is in its place: what is being built or replaced has a hidden name."""
    return not any(part.startswith(".") for part in path.relative_to(root).parts)


@contextmanager
def sealed_folder(path: Path, kind: str, of: Mapping[str, str]) -> Iterator[Path]:
    """Yield an empty folder to fill; it is sealed and takes the place of ``path`` only if the block ends well."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        write_seal(part, kind, of)
        put_in_place(part, path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_seal(folder: Path, kind: str, of: Mapping[str, str]) -> Seal:
    seal = Seal(kind, dict(of), {name: sha256_of(folder / name) for name in _files(folder)})
    text = json.dumps(asdict(seal) | {"hash": seal.hash}, indent=1, sort_keys=True) + "\n"
    (folder / SEAL_FILE).write_text(text, encoding="utf-8")
    return seal


def read_seal(path: Path, kind: str, *, of: Mapping[str, str] | None = None, remedy: str = "run `dvc repro`") -> Seal:
    """The seal of a folder, once every file was found to be the one that was sealed.

    ``of``: hashes that the folder must have been made of, by name; another one is refused. Raises :class:`UserError`.
    """
    _restore(path)
    try:
        told = json.loads((path / SEAL_FILE).read_text(encoding="utf-8"))
        seal, digest = Seal(str(told["kind"]), dict(told["of"]), dict(told["files"])), told["hash"]
    except FileNotFoundError:
        raise UserError(f"no {kind} here", where=path, expected=f"a finished {kind}", remedy=remedy) from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"unreadable seal ({type(error).__name__})", where=path / SEAL_FILE, expected=f"the seal of a {kind}",
            remedy=f"remove the folder and {remedy}",
        ) from None  # fmt: skip
    if seal.kind != kind:
        raise UserError(f"a {seal.kind}", where=path, expected=f"a {kind}", remedy=f"remove the folder and {remedy}")
    now = _state(path)
    kept = _verified.get(str(path.absolute()))
    if kept is None or kept != (now, seal):
        _verify(path, seal, digest, remedy)
        _verified[str(path.absolute())] = (now, seal)
    for name, expected in (of or {}).items():
        if seal.of.get(name) != expected:
            raise UserError(
                f"{kind} was made for another {name}",
                where=path,
                expected=expected[:12],
                remedy=remedy,
            )
    return seal


def is_sealed(path: Path) -> bool:
    """Whether a finished folder lies here; what it holds is verified when it is read."""
    _restore(path)
    return (path / SEAL_FILE).is_file()


def put_in_place(part: Path, path: Path) -> None:
    """Rename a finished folder to its place. What stood there is gone only once the new one stands."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _verified.pop(str(path.absolute()), None)
    if not path.exists():
        part.replace(path)
    elif _exchanged(part, path):
        shutil.rmtree(part)
    else:  # no atomic exchange on this system: between two renames the older one waits aside, see _restore
        aside = _aside(path)
        shutil.rmtree(aside, ignore_errors=True)
        path.replace(aside)
        part.replace(path)
        shutil.rmtree(aside)


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.older")


def _restore(path: Path) -> None:
    """A kill between the two renames of :func:`put_in_place` left the older folder aside: it is taken back."""
    aside = _aside(path)
    if aside.exists() and not path.exists():
        aside.replace(path)


def _exchanged(part: Path, path: Path) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    at = -100  # AT_FDCWD
    return bool(rename(at, os.fsencode(part), at, os.fsencode(path), _EXCHANGE) == 0)


def _files(folder: Path) -> list[str]:
    found = (path for path in folder.rglob("*") if path.is_file() or path.is_symlink())
    return sorted(path.relative_to(folder).as_posix() for path in found if path != folder / SEAL_FILE)


def _state(folder: Path) -> tuple[tuple[str, int, int], ...]:
    stats = ((name, (folder / name).lstat()) for name in _files(folder))
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)


def _verify(path: Path, seal: Seal, digest: object, remedy: str) -> None:
    there = set(_files(path))
    changed = sorted(there ^ set(seal.files))
    changed = changed or [name for name in sorted(there) if sha256_of(path / name) != seal.files[name]]
    if changed:
        what = "is missing" if changed[0] not in there else "was altered since it was written"
        what = "was added" if changed[0] not in seal.files else what
    elif seal.hash != digest:
        changed, what = [SEAL_FILE], "was altered since it was written"
    else:
        return
    raise UserError(
        f"{changed[0]} {what}",
        where=path,
        expected=f"the {seal.kind} as it was sealed",
        remedy=f"remove the folder and {remedy}",
    )
