"""Task x kind of leak: each is planted into the small run's stored cohort, as if it had been read so, and stops the
audit by the check that is made for it. An empty field says why in the task's file of ``planted``."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from protocols.findings import Audit
from protocols.images.image import open_image
from protocols.protocol import Board, Protocol
from protocols.sealed import SEAL_FILE, read_seal, write_seal
from suite.engine.ask import audit_board, split_board
from suite.engine.questions import opened
from suite.engine.run import Run
from suite.places import cohort_folder
from tests.suite.engine.small_run import TASKS, SmallRun

Pixels = NDArray[np.uint8]
ONE_ID, OTHERS = "one id a person", "no person in two cohorts"
BYTES, PIXELS = "no scan of two people, by bytes", "no scan of two people, by pixels"
VALUES, LOOK = "no table of two people", "no look-alike image of two people"


def re_encoded(pixels: Pixels) -> Pixels:
    _, jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 75])
    decoded: Pixels = np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), dtype=np.uint8)
    return decoded


def stained(pixels: Pixels) -> Pixels:
    moved: Pixels = np.clip(pixels * np.array([1.05, 0.9, 1.0]) - 5, 0, 255).astype(np.uint8)
    return moved


def rescaled(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    larger = cv2.resize(pixels, (round(1.1 * width), round(1.1 * height)), interpolation=cv2.INTER_CUBIC)
    top, left = (larger.shape[0] - height) // 2, (larger.shape[1] - width) // 2
    return np.asarray(larger[top : top + height, left : left + width], dtype=np.uint8)


ALTERED: dict[str, tuple[Callable[[Pixels], Pixels] | None, str]] = {
    "copied bytes": (None, BYTES),
    "the same pixels in another file": (lambda pixels: pixels, PIXELS),
    "re-encoded as JPEG": (re_encoded, LOOK),
    "stain-shifted": (stained, LOOK),
    "turned by a quarter": (lambda pixels: np.rot90(pixels), LOOK),
    "mirrored": (lambda pixels: pixels[:, ::-1], LOOK),
    "shifted by a quarter side": (lambda pixels: np.roll(pixels, pixels.shape[1] // 4, axis=1), LOOK),
    "rescaled by 1.1": (rescaled, LOOK),
}
"""How another person's image came to be; None: its very bytes."""
STORED = {
    "same scan under two patients": ("same_scan", BYTES),
    "barcodes": ("two_ids", ONE_ID),
    "same table under another id": ("same_table", VALUES),
    "a person in the external cohort": ("elsewhere", OTHERS),
}
KINDS = [*ALTERED, *STORED]


def planted(task: str) -> Any:
    name = f"tests.suite.engine.planted.{task}"
    assert find_spec(name), f"no leak is planted into the task {task}: write {name.replace('.', '/')}.py"
    return import_module(name)


def board_of(run: Run, task: str) -> tuple[Protocol, Board]:
    """The first board, in the order of the page, whose sides may share nobody."""
    found = [(p, board) for p, board in run.fit_boards if p.task == task and "patient" in p.disjoint]
    return min(found, key=lambda one: one[0].place)


def audited(run: Run, task: str) -> Audit:
    protocol, board = board_of(run, task)
    split_board(run, protocol, board)
    return audit_board(run, protocol, board)


def read_anew(folder: Path) -> None:
    """The cohort as it was altered: another hash, as if other data had been read."""
    (folder / SEAL_FILE).unlink()
    write_seal(folder, "cohort", {"sources": "planted"})


def picture_of_another(run: Run, task: str, alter: Callable[[Pixels], Pixels] | None) -> Path:
    """An image of one person takes the place of another person's; the folder of the cohort, to be read anew."""
    _, board = board_of(run, task)
    cohort = opened(run.tasks[task], run.requests(task)[board.fitted_on])
    evidence = run.tasks[task].evidence
    assert evidence is not None, f"the task {task} does not say what its cohorts hold"
    shown = [one for one in evidence(cohort).items if one.picture and one.look]
    source = shown[0].scan
    target = next(one.scan for one in shown if one.person != shown[0].person)
    target.unlink()
    if alter is None:
        shutil.copyfile(source, target)
    else:
        with open_image(source) as image:
            pixels, mpp = image.read_region(0, 0, image.width, image.height), image.mpp or 1.0
        save(target, np.ascontiguousarray(alter(pixels)), mpp)
    return cohort.folder


def save(path: Path, pixels: Pixels, mpp: float) -> None:
    if path.suffix in (".tif", ".tiff"):
        told = {"axes": "YXS", "PhysicalSizeX": mpp, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": mpp,
                "PhysicalSizeYUnit": "µm"}  # fmt: skip
        tifffile.imwrite(path, pixels, photometric="rgb", tile=(64, 64), compression="zlib", ome=True, metadata=told)
    else:  # lossless under any name: what is altered is what the test alters
        Image.fromarray(pixels).save(path, format="PNG")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("task", TASKS)
def test_a_planted_leak_is_caught(small: SmallRun, task: str, kind: str) -> None:
    reason = planted(task).EMPTY.get(kind)
    if reason is not None:  # of a kind of image nothing is written that could be left over
        name, _ = STORED.get(kind, ("", ""))
        assert not hasattr(planted(task), name), f"{kind} is empty for {task}, because {reason}"
        return
    run = small.run(task)
    _, board = board_of(run, task)
    folder = cohort_folder(task, board.fitted_on)
    if kind in ALTERED:
        alter, check = ALTERED[kind]
        altered = picture_of_another(run, task, alter)
    else:
        name, check = STORED[kind]
        altered = getattr(planted(task), name)(folder, *([folder.parent] if name == "elsewhere" else [])) or folder
    read_anew(altered)
    assert check in {finding.check for finding in audited(run, task).failed}


@pytest.mark.parametrize("task", TASKS)
def test_no_alarm_on_the_phantoms(small: SmallRun, task: str) -> None:
    run = small.run(task)
    for protocol, board in run.fit_boards:
        audit = audit_board(run, protocol, board)
        assert {finding.verdict for finding in audit.findings} <= {"pass", "note"}
        assert {ONE_ID, BYTES, PIXELS, VALUES, LOOK} <= {finding.check for finding in audit.findings}


def test_seals_of_the_altered_cohorts_are_whole(small: SmallRun) -> None:
    """The planting itself: an altered cohort that was not read anew is refused, so no other test passes by accident."""
    _, board = board_of(small.run("bulk"), "bulk")
    folder = cohort_folder("bulk", board.fitted_on)
    planted("bulk").same_table(folder)
    with pytest.raises(Exception, match="was altered since it was written"):
        read_seal(folder, "cohort")
