"""Writes every form of the leaderboards; equal inputs give equal bytes."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from protocols.files import write_text_whole
from protocols.records import MAPS_FILE
from reports.bulk import bulk_records, mann_whitney_csv, violins
from reports.cells import ScoredCell, board_key, first_cells, load_cells
from reports.claims import all_claims
from reports.contract import Contracts
from reports.data import boards_csv, boards_json, genes_csv, ranks_csv
from reports.figures import safe, save_figures, write_figures
from reports.ihc import grid_figure, h_score_grid, ihc_cells
from reports.latex import latex
from reports.leaderboard import Leaderboard, build_leaderboards, without_records
from reports.maps import encode_maps, read_maps
from reports.markdown import markdown
from reports.notices import TaskNotices
from reports.page import page
from reports.spatial import co_expression, section_maps, spatial_cells
from reports.spatial_page import spatial_page
from reports.times import times_csv, times_page

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class ReportPaths:
    """Where each output lies."""

    html: Path
    markdown: Path
    csv: Path
    json: Path
    latex: Path
    ranks: Path
    genes: Path
    times: Path
    times_page: Path
    figures: tuple[Path, ...]
    mann_whitney: Path | None = None
    spatial: Path | None = None


def write_reports(
    scores: Path | Sequence[Path],
    out: Path,
    *,
    seed: int,
    timings: Path | None = None,
    sections: Mapping[str, Path] | None = None,
    missing: Mapping[str, Sequence[str]] | None = None,
    task_notices: Mapping[str, TaskNotices] | None = None,
    contracts: Contracts | None = None,
) -> ReportPaths:
    """Read score records and write the leaderboards in every form.

    ``scores`` is a folder that holds score folders, or a list of them; ``timings`` holds
    ``<protocol>/<board>/<model>.json``; ``sections``: board key to the folder of its stored sections, for the page of
    maps; ``missing``, ``task_notices``, ``contracts`` and ``seed`` as in
    :func:`reports.leaderboard.build_leaderboards`. Figures are of the records that
    stand for their cells. Without any record the page says so. Figures of an earlier run that this one does not draw
    are removed, so that none outlives its numbers.
    """
    cells = load_cells(scores)
    records = [record for record, _ in cells]
    boards = build_leaderboards(
        records, seed, timings=timings, missing=missing, task_notices=task_notices, contracts=contracts
    )
    claims, pending = all_claims(records, seed), without_records(boards, missing or {})
    firsts = first_cells(cells, seed)
    by_board: dict[str, list[ScoredCell]] = defaultdict(list)
    for record, folder in firsts:
        by_board[board_key(record.protocol, record.board)].append((record, folder))
    folders = {
        key: {one.model: place for one, place in own if one.status == "scored" and (place / MAPS_FILE).exists()}
        for key, own in by_board.items()
    }
    shown = [one for key, place in (sections or {}).items() for one in section_maps(by_board[key], place)]
    maps = encode_maps({key: read_maps(by_model) for key, by_model in folders.items()}, seed)
    bulk = bulk_records([record for record, _ in firsts])
    figures = [path for board in boards for path in write_figures(board, out / "figures")]
    figures += save_figures(_ihc_figures(firsts), out, kinds=("png",))  # grids of images gain nothing as vectors
    drawn: dict[str, Callable[[], Figure | None]] = {
        f"violins-{protocol}": partial(violins, [record for record in bulk if record.protocol == protocol])
        for protocol in sorted({record.protocol for record in bulk})
    }
    drawn |= {f"co_expression-{safe(key)}": partial(co_expression, own) for key, own in sorted(by_board.items())
              if spatial_cells(own)}  # fmt: skip
    figures += save_figures(drawn, out)
    _remove_others(out / "figures", figures)
    texts = {
        "html": (
            "index.html",
            page(boards, claims, maps, pending, spatial=bool(shown), figures=[path.name for path in figures]),
        ),
        "markdown": ("leaderboards.md", markdown(boards, claims, pending)),
        "csv": ("leaderboards.csv", boards_csv(boards)),
        "json": ("leaderboards.json", boards_json(boards, claims, pending)),
        "latex": ("leaderboards.tex", latex(boards, claims)),
        "ranks": ("ranks.csv", ranks_csv(boards)),
        "genes": ("genes.csv", genes_csv(boards)),
        "times": ("times.csv", times_csv(boards)),
        "times_page": ("times.html", times_page(boards)),
    }
    if bulk:
        texts["mann_whitney"] = ("mann_whitney.csv", mann_whitney_csv(bulk))
    else:
        (out / "mann_whitney.csv").unlink(missing_ok=True)
    for name, text in texts.values():
        write_text_whole(out / name, text)
    spatial = out / "spatial.html"
    spatial.unlink(missing_ok=True)
    if shown:
        said = [notice.text for board in boards if _of_sections(board) for notice in board.notices]
        write_text_whole(spatial, spatial_page(shown, notices=said))
    paths = {key: out / name for key, (name, _) in texts.items()}
    return ReportPaths(**paths, figures=tuple(figures), spatial=spatial if shown else None)


def _of_sections(board: Leaderboard) -> bool:
    """Boards of proteins state their target; their tiles are no sections."""
    return board.cohort.unit == "tile" and not board.cohort.target


def _ihc_figures(cells: Sequence[ScoredCell]) -> dict[str, Callable[[], Figure | None]]:
    drawn: dict[str, Callable[[], Figure | None]] = {}
    for key, found in ihc_cells(cells).items():
        board = found[0][0].board
        drawn[f"ihc_grid_{safe(key)}"] = partial(grid_figure, board, found)
        drawn[f"h_scores_{safe(key)}"] = partial(h_score_grid, board, found)
    return drawn


def _remove_others(folder: Path, kept: Sequence[Path]) -> None:
    for path in folder.glob("*"):
        if path not in kept and re.fullmatch(
            r"((ranks|genes|curves|ihc_grid|h_scores)_.*|(violins|co_expression)(-.*)?)\.(png|svg)", path.name
        ):
            path.unlink()
