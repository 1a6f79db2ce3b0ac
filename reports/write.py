"""Writes every form of the leaderboards; equal inputs give equal bytes."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from protocols.files import write_text_whole
from protocols.records import ScoreRecord
from reports.bulk import bulk_records, mann_whitney_csv, violins
from reports.claims import all_claims
from reports.data import boards_csv, boards_json, genes_csv, ranks_csv
from reports.figures import save_figures, write_figures
from reports.ihc import grid_figure, h_score_grid, ihc_cells
from reports.latex import latex
from reports.leaderboard import build_leaderboards, load_cells
from reports.maps import encode_maps, read_maps
from reports.markdown import markdown
from reports.page import page
from reports.spatial import co_expression, section_maps, spatial_cells
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
    figures: tuple[Path, ...]
    mann_whitney: Path | None = None
    spatial: Path | None = None


def write_reports(
    scores: Path | Sequence[Path],
    out: Path,
    *,
    seed: int,
    timings: Path | None = None,
    sections: Path | None = None,
) -> ReportPaths:
    """Read score records and write the leaderboards in every form.

    ``scores`` is a folder ``<protocol>/<model>/`` or a list of such score folders; ``timings`` holds
    ``<protocol>/<model>.json``; ``sections`` is the folder of stored sections, for the page of maps. ``seed`` serves
    the paired bootstrap and the thinning of maps. Figures of an earlier
    run that this one does not draw are removed, so that none outlives its numbers.
    """
    cells = load_cells(scores)
    records = [record for record, _ in cells]
    boards, claims = build_leaderboards(records, seed, timings=timings), all_claims(records)
    folders: dict[str, dict[str, Path]] = defaultdict(dict)
    for record, folder in cells:
        if record.status == "scored" and record.task == "expression":
            folders[record.protocol][record.model] = folder  # survival has no maps
    shown = section_maps(cells, sections) if sections and spatial_cells(cells) else []
    maps = encode_maps({protocol: read_maps(by_model) for protocol, by_model in folders.items()}, seed)
    texts = {
        "html": ("index.html", page(boards, claims, maps, spatial=bool(shown))),
        "markdown": ("leaderboards.md", markdown(boards, claims)),
        "csv": ("leaderboards.csv", boards_csv(boards)),
        "json": ("leaderboards.json", boards_json(boards, claims)),
        "latex": ("leaderboards.tex", latex(boards, claims)),
        "ranks": ("ranks.csv", ranks_csv(boards)),
        "genes": ("genes.csv", genes_csv(boards)),
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
        said = [notice.text for board in boards if board.task == "spatial" for notice in board.notices]
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
