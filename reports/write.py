"""Writes every form of the leaderboards; equal inputs give equal bytes, but for the files of times."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protocols.files import write_text_whole
from protocols.records import MAPS_FILE
from reports.cells import ScoredCell, load_cells
from reports.claims import all_claims
from reports.data import boards_csv, boards_json, genes_csv, ranks_csv
from reports.figures import file_name, own_figures, save_figures
from reports.latex import latex
from reports.leaderboard import Leaderboard, board_key, build_leaderboards, pending_of
from reports.maps import encode_maps, read_maps
from reports.markdown import markdown
from reports.notices import TaskNotices
from reports.page import page
from reports.plugins import File, Material, all_plugins, plugin_of
from reports.seeds import first_seeds
from reports.times import read_timings, times_csv, times_page

OWN_FAMILIES = ("ranks", "genes")
TIMES = ("times.csv", "times.html")


@dataclass(frozen=True)
class ReportPaths:
    """Where each output lies. ``others``: what tasks add, by its file's name; ``times`` is empty without timings."""

    html: Path
    markdown: Path
    csv: Path
    json: Path
    latex: Path
    ranks: Path
    genes: Path
    figures: tuple[Path, ...]
    others: Mapping[str, Path]
    times: tuple[Path, ...] = ()


def write_reports(
    cells: Path | Sequence[Path],
    out: Path,
    *,
    seed: int,
    timings: Path | None = None,
    sections: Mapping[str, Path] | None = None,
    missing: Mapping[str, Sequence[str]] | None = None,
    task_notices: TaskNotices | None = None,
) -> ReportPaths:
    """Read score records and write the leaderboards in every form, of whatever is there; nothing is waited for.

    :param cells: a folder as :func:`reports.cells.find_cells` reads it, or a list of score folders
    :param seed: the run's own: of the paired bootstrap, of the thinning of maps, and of the record that stands for a
        model with several seeds
    :param timings: holds ``<protocol>/<board>/<model>.json``; goes into ``times.csv`` and ``times.html`` alone
    :param sections: by board, the folder of stored sections, for the page of maps
    :param missing: by ``<protocol>-<board>``, the models that are not scored yet
    :param task_notices: by task, from a board's records to (level, text)

    What an earlier run wrote and this one does not is removed, so that nothing outlives its numbers.
    """
    loaded = load_cells(cells)
    records = first_seeds([record for record, _ in loaded], seed)
    boards = build_leaderboards([r for r, _ in loaded], seed, missing=missing, task_notices=task_notices)
    claims, pending = all_claims(records), pending_of(boards, missing or {})
    standing = {(r.protocol, r.board, r.model, r.seed) for r in records}
    shown = [c for c in loaded if (c[0].protocol, c[0].board, c[0].model, c[0].seed) in standing]
    materials = _materials(boards, shown, sections or {})
    others = [file for task, material in materials.items() for file in plugin_of(task).write(material)]
    panels = {
        board.key: list(plugin_of(task).panels(material, board))
        for task, material in materials.items()
        for board in material.boards
    }
    links = [*others, *([File("times.html", "", "Times and memory of every model")] if timings else [])]
    texts = {
        "html": ("index.html", page(boards, claims, _maps(shown, seed), panels=panels, links=links, pending=pending)),
        "markdown": ("leaderboards.md", markdown(boards, claims, pending)),
        "csv": ("leaderboards.csv", boards_csv(boards)),
        "json": ("leaderboards.json", boards_json(boards, claims, pending)),
        "latex": ("leaderboards.tex", latex(boards, claims)),
        "ranks": ("ranks.csv", ranks_csv(boards)),
        "genes": ("genes.csv", genes_csv(boards)),
    }
    figures = _figures(boards, materials, out / "figures")
    _remove_others(out / "figures", figures)
    for name, text in texts.values():
        write_text_whole(out / name, text)
    for file in others:
        write_text_whole(out / file.name, file.text)
    times = _write_times(boards, timings, out)
    for name in {*TIMES, *(name for plugin in all_plugins() for name in plugin.files)}:
        if name not in {*(file.name for file in others), *(path.name for path in times)}:
            (out / name).unlink(missing_ok=True)
    paths = {key: out / name for key, (name, _) in texts.items()}
    return ReportPaths(
        **paths, figures=tuple(figures), others={file.name: out / file.name for file in others}, times=times
    )


def _materials(
    boards: Sequence[Leaderboard], cells: Sequence[ScoredCell], sections: Mapping[str, Path]
) -> dict[str, Material]:
    """By task, in the order of the boards."""
    return {
        task: Material([b for b in boards if b.task == task], [c for c in cells if c[0].task == task], sections)
        for task in dict.fromkeys(board.task for board in boards)
    }


def _maps(cells: Sequence[ScoredCell], seed: int) -> dict[str, list[dict[str, Any]]]:
    """Encoded maps by board, of every model that has any."""
    folders: dict[str, dict[str, Path]] = defaultdict(dict)
    for record, folder in cells:
        if record.status == "scored" and (folder / MAPS_FILE).is_file():
            folders[board_key(record.protocol, record.board)][record.model] = folder
    return encode_maps({board: read_maps(by_model) for board, by_model in folders.items()}, seed)


def _figures(boards: Sequence[Leaderboard], materials: Mapping[str, Material], folder: Path) -> list[Path]:
    written = [path for board in boards for path in save_figures(own_figures(board), folder)]
    for task, material in materials.items():
        for drawing in plugin_of(task).draw(material):
            name = file_name(drawing.family, drawing.board)
            written += save_figures({name: drawing.draw}, folder, drawing.kinds)
    return written


def _write_times(boards: Sequence[Leaderboard], timings: Path | None, out: Path) -> tuple[Path, ...]:
    if timings is None:
        return ()
    found = read_timings(timings, boards)
    for name, text in zip(TIMES, (times_csv(found), times_page(found)), strict=True):
        write_text_whole(out / name, text)
    return tuple(out / name for name in TIMES)


def _remove_others(folder: Path, kept: Sequence[Path]) -> None:
    families = "|".join(re.escape(name) for name in (*OWN_FAMILIES, *(n for p in all_plugins() for n in p.families)))
    for path in folder.glob("*"):
        if path not in kept and re.fullmatch(rf"({families})(_.*)?\.(png|svg)", path.name):
            path.unlink()
