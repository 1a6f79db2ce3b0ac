"""Figures of virtual staining: the grid, H-scores by hand, skipped cells, boards without H-scores."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from protocols.errors import UserError
from protocols.records import Interval, ScoreRecord
from protocols.seeds import generator
from reports.ihc import ACROSS, SAMPLES_FILE, grid_figure, h_score_grid, ihc_cells
from reports.leaderboard import build_leaderboards
from reports.write import write_reports
from tests.reports.synthetic import folder_of, record, sealed, skipped

SIDE, TILES = 16, 3
BOARD = "phantom_ER"
KEY = f"ihc4bc-{BOARD}"
Cells = list[tuple[ScoreRecord, Path]]
PSNR = {"oracle": 30.0, "good": 20.0, "poor": 15.0, "identity": 16.0}
KINDS = {"oracle": "oracle", "identity": "control"}


def patches(shift: float, *, n: int = 12, labelled: bool = True) -> list[dict[str, Any]]:
    """H-scores: the image's are the label's plus a shift; every sixth patch has no nucleus in the answer."""
    labels = generator(0, "labels").uniform(0, 280, n).round(1)
    return [
        {
            "patient": f"p{at % 4}",
            "patch": f"patch{at}",
            "h_reference": float(label) if labelled else None,
            "h_truth": float(label) + 1,
            "h_predicted": None if at % 6 == 5 else float(label) + shift,
        }
        for at, label in enumerate(labels)
    ]


def made(model: str, board: str = BOARD, **changes: Any) -> ScoreRecord:
    psnr = PSNR.get(model, 17.0)
    per_patient = {f"p{at}": psnr + at for at in range(-4, 5)}
    shown: dict[str, Any] = {
        "kind": KINDS.get(model, "model"),
        "task": "staining",
        "board": board,
        "protocol_title": "Virtual IHC",
        "headline": Interval(psnr, psnr - 1, psnr + 1, 9),
        "summary": {"psnr": psnr, "ssim": 0.5, "h_score_r": 0.42, "h_score_pipeline_r": 0.98},
        "cohort": {"name": board, "phantom": True, "unit": "patch", "n_slides": 0, "n_patients": 9, "n_cells": 12},
        "details": {"h_score": {"h_score_r": 0.42}, "shift_px": 3, "mpp": 1.0, "patches": patches(5.0)},
    }
    return record("ihc4bc", model, per_patient, **(shown | changes))


def samples(model: str, tiles: int = TILES) -> NDArray[np.uint8]:
    """H&E and IHC the same for every model; each answer of one colour of its own."""
    images = generator(0, "samples").integers(0, 255, (tiles, 3, SIDE, SIDE, 3)).astype(np.uint8)
    images[:, 2] = list(PSNR).index(model) * 40 if model in PSNR else 200
    return images


def write(folder: Path, *records: ScoreRecord) -> Cells:
    cells = []
    for one in records:
        place = folder_of(one, folder)
        place.mkdir(parents=True)
        if one.status == "scored":
            np.save(place / SAMPLES_FILE, samples(one.model), allow_pickle=False)
        cells.append((one, sealed(one, place)))
    return cells


def without(board: str = BOARD) -> ScoreRecord:
    """An oracle where nothing is registered."""
    reason = "needs a registered truth, and a real cohort has none"
    return replace(skipped("ihc4bc", "oracle", reason), kind="oracle", task="staining", board=board)


def test_cells_by_board_oracle_first_then_models_by_psnr_then_controls(tmp_path: Path) -> None:
    cells = write(tmp_path, *(made(model) for model in ("identity", "poor", "good", "oracle")))
    cells += write(tmp_path, made("good", "another_PR"), without("another_PR"), record(model="uni"))
    found = ihc_cells(cells)
    assert list(found) == ["ihc4bc-another_PR", KEY]
    assert [one.model for one, _ in found[KEY]] == ["oracle", "good", "poor", "identity"]
    assert [one.model for one, _ in found["ihc4bc-another_PR"]] == ["good"], "no skipped cell, no other protocol"


def test_grid_shows_he_ihc_and_every_model(tmp_path: Path) -> None:
    found = ihc_cells(write(tmp_path, *(made(model) for model in ("identity", "good", "oracle"))))[KEY]
    figure = grid_figure(BOARD, found)
    assert figure is not None
    grid = np.array(figure.axes).reshape(TILES, 5)
    titles = [axes.get_title() for axes in grid[0]]
    assert titles == [
        "H&E", "IHC, scanned", "oracle\n30.0 dB / 0.50", "good\n20.0 dB / 0.50", "identity\n16.0 dB / 0.50",
    ]  # fmt: skip
    assert not any(axes.get_title() for axes in grid[1:].flat)
    for row in range(TILES):
        shown = [np.asarray(axes.images[0].get_array()) for axes in grid[row]]
        for side in (0, 1):
            np.testing.assert_array_equal(shown[side], samples("good")[row, side])
        for place, model in zip((2, 3, 4), ("oracle", "good", "identity"), strict=True):
            np.testing.assert_array_equal(shown[place], samples(model)[row, 2])


def test_grid_leaves_out_a_model_without_samples(tmp_path: Path) -> None:
    cells = write(tmp_path, made("good"), made("poor"))
    (cells[0][1] / SAMPLES_FILE).unlink()
    figure = grid_figure(BOARD, ihc_cells(cells)[KEY])
    assert figure is not None
    assert [axes.get_title().split("\n")[0] for axes in figure.axes[:3]] == ["H&E", "IHC, scanned", "poor"]
    (cells[1][1] / SAMPLES_FILE).unlink()
    assert grid_figure(BOARD, ihc_cells(cells)[KEY]) is None


@pytest.mark.parametrize("spoil", [b"", b"no array", b"\x93NUMPY\x01\x00"], ids=["empty", "text", "cut"])
def test_samples_that_cannot_be_read_are_one_line(tmp_path: Path, spoil: bytes) -> None:
    cells = write(tmp_path, made("good"))
    (cells[0][1] / SAMPLES_FILE).write_bytes(spoil)
    with pytest.raises(UserError, match=r"unreadable samples.*score again"):
        grid_figure(BOARD, cells)


def test_a_long_title_is_cut_to_two_lines_and_undefined_scores_do_not_stop_it(tmp_path: Path) -> None:
    named = made("good", card={"title": "A model with a name far too long for the head of a column", "published": []})
    figure = grid_figure(BOARD, write(tmp_path, replace(named, summary={"ssim": None})))
    assert figure is not None
    lines = figure.axes[2].get_title().split("\n")
    assert len(lines) == 3
    assert max(map(len, lines)) <= 20


def test_h_scores_of_the_true_image_then_of_each_model(tmp_path: Path) -> None:
    cells = ihc_cells(write(tmp_path, made("good"), made("oracle"), made("identity")))[KEY]
    figure = h_score_grid(BOARD, cells)
    assert figure is not None
    assert [axes.get_title() for axes in figure.axes if axes.get_title()] == [
        "the scanned IHC itself\nr 0.98", "oracle\nr 0.42", "good\nr 0.42", "identity\nr 0.42",
    ]  # fmt: skip
    true, model = (np.asarray(figure.axes[at].collections[0].get_offsets()) for at in (0, 2))
    rows = patches(5.0)
    np.testing.assert_allclose(true, [(row["h_reference"], row["h_truth"]) for row in rows])
    known = [(row["h_reference"], row["h_predicted"]) for row in rows if row["h_predicted"] is not None]
    np.testing.assert_allclose(model, known)  # patches without a nucleus have no dot
    assert (len(true), len(model)) == (12, 10)


def test_panels_beyond_a_row_leave_no_empty_axes(tmp_path: Path) -> None:
    cells = ihc_cells(write(tmp_path, *(made(f"m{at}") for at in range(6))))[KEY]
    figure = h_score_grid(BOARD, cells)
    assert figure is not None
    assert len(figure.axes) == 2 * ACROSS
    assert sum(axes.axison for axes in figure.axes) == 7


def test_a_board_without_h_scores_has_no_scatter(tmp_path: Path) -> None:
    membrane = [{**row, "h_truth": None, "h_predicted": None, "h_reference": None} for row in patches(0.0)]
    few = patches(0.0, n=2)
    for at, listed in enumerate((membrane, patches(0.0, labelled=False), few, [])):
        one = made("good", details={"h_score": {}, "patches": listed})
        assert h_score_grid(BOARD, write(tmp_path / str(at), one)) is None


def test_a_model_that_draws_no_nuclei_leaves_the_others_their_panels(tmp_path: Path) -> None:
    nothing = [{**row, "h_predicted": None} for row in patches(0.0)]
    cells = write(tmp_path, made("good"), made("poor", details={"h_score": {}, "patches": nothing}))
    figure = h_score_grid(BOARD, cells)
    assert figure is not None
    assert [axes.get_title().split("\n")[0] for axes in figure.axes] == ["the scanned IHC itself", "good"]


def test_every_form_shows_the_boards_and_the_skipped_cell(tmp_path: Path) -> None:
    membrane = {"details": {"h_score": {}, "patches": []}, "summary": {"psnr": 17.0, "ssim": 0.4}}
    cells = write(tmp_path / "s", made("good"), made("poor"), made("identity"), made("oracle"))
    cells += write(tmp_path / "s", made("good", "phantom_HER2", **membrane), without("phantom_HER2"))
    paths = write_reports([place for _, place in cells], tmp_path / "out", seed=0)
    boards = {board["board"]: board for board in json.loads(paths.json.read_text())["leaderboards"]}
    assert set(boards) == {BOARD, "phantom_HER2"}
    drawn = {path.name for path in paths.figures}
    stems = (f"ihc_grid_{KEY}", "ihc_grid_ihc4bc-phantom_HER2", f"h_scores_{KEY}")
    assert {f"{stem}.{kind}" for stem in stems for kind in ("png",)} <= drawn
    assert not [name for name in drawn if name.startswith("h_scores_ihc4bc-phantom_HER2")]
    links = set(re.findall(r'href="figures/([^"]*)"', paths.html.read_text()))
    assert links == {f"{stem}.png" for stem in stems}, "no link to a figure that was not drawn"
    for text in (paths.markdown.read_text(), paths.html.read_text()):
        assert "PSNR" in text
        assert "needs a registered truth" in text


def test_figures_are_the_same_bytes_and_stale_ones_go(tmp_path: Path) -> None:
    cells = write(tmp_path / "s", made("good"), made("oracle"))
    first, second = (write_reports([place for _, place in cells], tmp_path / name, seed=0) for name in "ab")
    for one, other in zip(first.figures, second.figures, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name
    other_board = write(tmp_path / "t", made("good", "other_ER"))
    write_reports([place for _, place in other_board], tmp_path / "a", seed=0)
    left = {path.name for path in (tmp_path / "a" / "figures").iterdir()}
    assert "ihc_grid_ihc4bc-other_ER.png" in left
    assert not [name for name in left if BOARD in name]


def test_leaderboard_ranks_by_psnr_and_keeps_reference_rows_apart() -> None:
    boards = build_leaderboards([made(model) for model in PSNR], seed=0)
    assert [board.board for board in boards] == [BOARD]
    ranks = {row.model: row.rank for row in boards[0].rows}
    assert ranks == {"good": 1, "poor": 2, "oracle": None, "identity": None}
