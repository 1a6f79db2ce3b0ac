"""A hand-over that a kill broke off is finished by whoever comes next, and by several at once as by one."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from suite.engine.handover import BOARDS_FILE, HANDOVERS, finish_handovers
from suite.places import submission_folder

BOARDS = [f"board{number}" for number in range(20)]


def test_several_finish_it_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    waiting = HANDOVERS / "protocol@theirs"
    for board in BOARDS:
        (waiting / board).mkdir(parents=True)
        (waiting / board / "record.json").write_text(board)
    (waiting / BOARDS_FILE).write_text(json.dumps(["protocol", "theirs", BOARDS]))
    gone = submission_folder("protocol", "of an older run", "theirs")
    gone.mkdir(parents=True)
    children = []
    for _ in range(4):
        child = os.fork()
        if not child:
            code = 1
            try:
                finish_handovers()
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 4
    assert [(submission_folder("protocol", one, "theirs") / "record.json").read_text() for one in BOARDS] == BOARDS
    assert not gone.exists()
    assert [path.name for path in HANDOVERS.iterdir() if path.is_dir()] == []
