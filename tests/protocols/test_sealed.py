"""Sealed folders: whole or absent, and nothing altered is believed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from protocols import sealed
from protocols.errors import UserError
from protocols.sealed import SEAL_FILE, is_sealed, put_in_place, read_seal, sealed_folder


def thing(path: Path, text: str = "one", of: str = "a") -> Path:
    with sealed_folder(path, "thing", {"cohort": of}) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "file.txt").write_text(text)
        (folder / "other.bin").write_bytes(b"\0" * 100)
    return path


def test_a_seal_is_read_back_and_is_the_same_for_the_same_bytes(tmp_path: Path) -> None:
    first, second = read_seal(thing(tmp_path / "a"), "thing"), read_seal(thing(tmp_path / "b"), "thing")
    assert first.hash == second.hash
    assert set(first.files) == {"deep/file.txt", "other.bin"}
    assert read_seal(thing(tmp_path / "c", of="z"), "thing").hash != first.hash


SPOILED: dict[str, tuple[Callable[[Path], object], str]] = {
    "byte changed": (lambda f: (f / "other.bin").write_bytes(b"\1" + b"\0" * 99), "other.bin was altered"),
    "file cut": (lambda f: (f / "other.bin").write_bytes(b"\0"), "other.bin was altered"),
    "file gone": (lambda f: (f / "deep" / "file.txt").unlink(), "deep/file.txt is missing"),
    "file added": (lambda f: (f / "more.txt").write_text("x"), "more.txt was added"),
    "seal gone": (lambda f: (f / SEAL_FILE).unlink(), "no thing here"),
    "seal torn": (lambda f: (f / SEAL_FILE).write_text("{"), "unreadable seal"),
    "origin changed": (lambda f: edit(f, of={"cohort": "other"}), "seal.json was altered"),
    "kind changed": (lambda f: edit(f, kind="record"), "a record"),
}


def edit(folder: Path, **changes: object) -> None:
    told = json.loads((folder / SEAL_FILE).read_text())
    (folder / SEAL_FILE).write_text(json.dumps(told | changes))


@pytest.mark.parametrize(("spoil", "said"), SPOILED.values(), ids=SPOILED)
@pytest.mark.parametrize("read_before", [False, True])
def test_whatever_was_altered_is_refused(
    tmp_path: Path, spoil: Callable[[Path], object], said: str, read_before: bool
) -> None:
    folder = thing(tmp_path / "a")
    if read_before:  # a verified folder is not believed for ever
        read_seal(folder, "thing")
    spoil(folder)
    with pytest.raises(UserError, match=said):
        read_seal(folder, "thing")


def test_made_of_something_else_is_refused(tmp_path: Path) -> None:
    folder = thing(tmp_path / "a")
    read_seal(folder, "thing", of={"cohort": "a"})
    with pytest.raises(UserError, match="made for another cohort"):
        read_seal(folder, "thing", of={"cohort": "b"})


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    before = read_seal(thing(tmp_path / "a"), "thing").hash

    def dies() -> None:
        with sealed_folder(tmp_path / "a", "thing", {}) as folder:
            (folder / "half").write_text("x")
            raise RuntimeError("no more")

    with pytest.raises(RuntimeError):
        dies()
    assert read_seal(tmp_path / "a", "thing").hash == before
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("atomic", [True, False])
def test_a_new_one_takes_the_place_of_an_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, atomic: bool) -> None:
    if not atomic:
        monkeypatch.setattr(sealed, "_exchanged", lambda *_: False)
    thing(tmp_path / "a", "one")
    thing(tmp_path / "a", "two")
    assert (tmp_path / "a" / "deep" / "file.txt").read_text() == "two"
    read_seal(tmp_path / "a", "thing")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_kill_between_two_renames_loses_nothing(tmp_path: Path) -> None:
    """Where folders cannot be exchanged at once, the older one waits aside and is taken back."""
    thing(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / ".a.older")
    assert is_sealed(tmp_path / "a")
    read_seal(tmp_path / "a", "thing")


def test_put_in_place_makes_parents(tmp_path: Path) -> None:
    put_in_place(thing(tmp_path / "a"), tmp_path / "x" / "y")
    read_seal(tmp_path / "x" / "y", "thing")


@pytest.mark.slow
def test_kill_minus_nine_leaves_old_or_new_and_nothing_between(tmp_path: Path) -> None:
    """A process that replaces one folder again and again is killed at many moments."""
    code = (
        "import sys; from pathlib import Path; from protocols.sealed import sealed_folder\n"
        "n = 0\n"
        "while True:\n"
        "    with sealed_folder(Path(sys.argv[1]), 'thing', {}) as f:\n"
        "        for k in range(5): (f / str(k)).write_text(str(n) * 2000)\n"
        "    n += 1\n"
    )
    for moment in range(12):
        process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "a")])
        deadline = time.monotonic() + 20
        while not is_sealed(tmp_path / "a") and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.013 * moment)
        process.send_signal(signal.SIGKILL)
        process.wait()
        read_seal(tmp_path / "a", "thing")
        texts = {(tmp_path / "a" / str(k)).read_text()[:1] for k in range(5)}
        assert len(texts) == 1
