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
from protocols.records import MAPS_FILE, ScoreRecord
from reports.bulk import bulk_records, mann_whitney_csv, violins
from reports.claims import all_claims
from reports.data import boards_csv, boards_json, genes_csv, ranks_csv, times_csv
from reports.figures import save_figures, write_figures
from reports.ihc import grid_figure, h_score_grid, ihc_cells
from reports.latex import latex
from reports.leaderboard import build_leaderboards, load_cells
from reports.maps import encode_maps, read_maps
from reports.markdown import markdown
from reports.notices import TaskNotices
from reports.page import page
from reports.spatial import co_expression, section_maps
from reports.spatial_page import spatial_page

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
) -> ReportPaths:
    """Read score records and write the leaderboards in every form.

    ``scores`` is a folder that holds score folders, or a list of them; ``timings`` holds
    ``<protocol>/<board>/<model>.json``; ``sections``: board to the folder of its stored sections, for the page of maps;
    ``missing`` and ``task_notices`` as in :func:`reports.leaderboard.build_leaderboards`. ``seed`` serves the paired
    bootstrap and the thinning of maps. Without any record the page says so. Figures of an earlier run that this one
    does not draw are removed, so that none outlives its numbers.
    """
    cells = load_cells(scores)
    records = [record for record, _ in cells]
    boards = build_leaderboards(records, seed, timings=timings, missing=missing, task_notices=task_notices)
    claims = all_claims(records)
    folders: dict[str, dict[str, Path]] = defaultdict(dict)
    for record, folder in cells:
        if (folder / MAPS_FILE).exists() and record.status == "scored":
            folders[f"{record.protocol}-{record.board}"].setdefault(record.model, folder)
    shown = [
        one
        for board, place in (sections or {}).items()
        for one in section_maps([cell for cell in cells if cell[0].board == board], place)
    ]
    maps = encode_maps({protocol: read_maps(by_model) for protocol, by_model in folders.items()}, seed)
    texts = {
        "html": ("index.html", page(boards, claims, maps, spatial=bool(shown))),
        "markdown": ("leaderboards.md", markdown(boards, claims)),
        "csv": ("leaderboards.csv", boards_csv(boards)),
        "json": ("leaderboards.json", boards_json(boards, claims)),
        "latex": ("leaderboards.tex", latex(boards, claims)),
        "ranks": ("ranks.csv", ranks_csv(boards)),
        "genes": ("genes.csv", genes_csv(boards)),
        "times": ("times.csv", times_csv(boards)),
    }
    if bulk_records(records):
        texts["mann_whitney"] = ("mann_whitney.csv", mann_whitney_csv(records))
    figures = [path for board in boards for path in write_figures(board, out / "figures")]
    figures += save_figures(_ihc_figures(cells), out, kinds=("png",))  # grids of images gain nothing as vectors
    figures += save_figures({"violins": lambda: violins(records), "co_expression": lambda: co_expression(cells)}, out)
    _remove_others(out / "figures", figures)
    for name, text in texts.values():
        write_text_whole(out / name, text)
    spatial = out / "spatial.html"
    spatial.unlink(missing_ok=True)
    if shown:
        said = [notice.text for board in boards if board.cohort.unit == "tile" for notice in board.notices]
        write_text_whole(spatial, spatial_page(shown, notices=said))
    paths = {key: out / name for key, (name, _) in texts.items()}
    return ReportPaths(**paths, figures=tuple(figures), spatial=spatial if shown else None)


def _ihc_figures(cells: Sequence[tuple[ScoreRecord, Path]]) -> dict[str, Callable[[], Figure | None]]:
    drawn: dict[str, Callable[[], Figure | None]] = {}
    for board, found in ihc_cells(cells).items():
        drawn[f"ihc_grid_{board}"] = partial(grid_figure, board, found)
        drawn[f"h_scores_{board}"] = partial(h_score_grid, board, found)
    return drawn


def _remove_others(folder: Path, kept: Sequence[Path]) -> None:
    for path in folder.glob("*"):
        if path not in kept and re.fullmatch(
            r"((ranks|genes|curves|ihc_grid|h_scores)_.*|violins|co_expression)\.(png|svg)", path.name
        ):
            path.unlink()
