"""A data file beside somebody's model is in its key if declared, and a model that reads one that is not is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from protocols.contract import Card
from protocols.errors import UserError
from suite.engine import keys
from suite.engine.conformance import DECLARED, check
from suite.engine.run import Run
from suite.engine.undeclared import reading, refuse_undeclared
from tests.suite.engine.small_run import TASKS, SmallRun, rewritten

ADAPTER = """
from pathlib import Path
import numpy as np
from protocols.contract import Card
import helper

HERE = Path(__file__).parent

class Mine:
    card = Card(name="mine", title="Mine"{files})
    def fit(self, train):
        self.mean = train.filled_targets().mean(axis=0)
        self.shift = np.load(HERE / "weights" / "shift.npy")
    def predict(self, test):
        test.crops()
        return np.tile(self.mean + self.shift, (len(test), 1))
"""


@pytest.fixture(autouse=True)
def path_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """An adapter's folder stays on the path of the process that imported it; each test stands for one."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "helper", raising=False)


def adapter(folder: Path, files: str = "") -> Path:
    (folder / "weights").mkdir()
    np.save(folder / "weights" / "shift.npy", np.float32(0.5))
    (folder / "helper.py").write_text("import json\n")
    (folder / "notes.txt").write_text("nobody reads this")
    (folder / "mine.py").write_text(ADAPTER.replace("{files}", files))
    return folder / "mine.py"


def problems(path: Path) -> dict[str, str]:
    return {one.check: one.problem for one in check(f"{path}:Mine", None)}


def test_check_names_a_file_that_is_not_declared_at_the_authors_line(tmp_path: Path) -> None:
    path = adapter(tmp_path)
    found = problems(path)
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if "np.load" in text)
    assert found.pop(DECLARED) == (
        f"{path}:{line}: mine reads weights/shift.npy, which its card does not declare; expected every data file "
        "beside a model on its card, so that an edit of it makes its answers anew; add it: files=('weights/shift.npy',)"
    )
    assert set(found.values()) == {""}


def test_check_is_content_with_a_file_that_is_declared(tmp_path: Path) -> None:
    assert set(problems(adapter(tmp_path, ', files=("weights/shift.npy",)')).values()) == {""}


def test_what_is_written_and_what_lies_elsewhere_is_nobodys_business(tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere.txt"
    home.mkdir()
    elsewhere.write_text("x")
    (home / "code.py").write_text(
        f"open({str(elsewhere)!r}).close()\nopen({str(home / 'out.txt')!r}, 'w').close()\n"
        f"open({str(home / 'code.py')!r}).close()\n"
    )
    with reading(home) as read:
        exec(compile((home / "code.py").read_text(), str(home / "code.py"), "exec"))
    assert read == {}


@pytest.mark.parametrize("task", TASKS)
def test_a_declared_file_is_in_the_key_of_every_fit(small: SmallRun, task: str) -> None:
    place = small.folder / task
    own = (place / "own.py").read_text()
    (place / "weights.bin").write_bytes(b"1")
    (place / "other.bin").write_bytes(b"1")

    def key() -> str:
        run: Run = small.run(task)
        entry = run.models_of(task)[-1]
        fitter = next(iter(run.fitting.values()))
        return str(keys.of_fit(run, fitter, entry, next(iter(run.requests(task).values())), 0)["files"])

    assert key() == ""
    rewritten(place / "own.py", own.replace(', title="Own', ', files=("weights.bin",), title="Own').encode())
    before = key()
    rewritten(place / "other.bin", b"2")
    assert key() == before
    rewritten(place / "weights.bin", b"2")
    assert key() != before
    (place / "weights.bin").unlink()
    with pytest.raises(UserError, match=r"file 'weights\.bin' is not in "):
        key()


def test_a_fit_that_read_an_undeclared_file_is_refused(tmp_path: Path) -> None:
    path = adapter(tmp_path)
    with pytest.raises(UserError, match=r"reads notes\.txt, which its card does not declare"):
        refuse_undeclared(Card(name="mine", title="Mine"), tmp_path, {path.with_name("notes.txt"): f"{path}:3"})
