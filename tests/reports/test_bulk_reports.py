"""Reports of bulk expression and of maps: violins, tests between models, sections, and what a constant map warns of."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import mannwhitneyu

from protocols.errors import UserError
from protocols.metrics.spatial_maps import percentile_scores
from protocols.records import UNITS_FILE, Interval, ScoreRecord
from protocols.registry import load_task
from protocols.seeds import generator
from protocols.spatial.store import Section, SectionsStore, Thumbnail, write_sections
from protocols.survival.cohort import SlideFile
from reports.bulk import bulk_records, mann_whitney_csv, violins
from reports.leaderboard import build_leaderboards
from reports.spatial import co_expression, section_maps, spatial_cells
from reports.spatial_page import spatial_page
from reports.write import write_reports
from tests.reports.synthetic import folder_of, pseudo_values, record, sealed
from tests.reports.test_spatial_page import data_of, picture

GENES = ("A", "B", "C", "D")
MODULES = {"A": ["one"], "B": ["one"], "C": ["two"], "D": ["two"]}
SECTIONS = ("S1", "S2")
MAPS = "sections"
"""The board of maps."""


def expression(model: str, board: str, r: list[float], *, kind: str = "model", top: int = 3) -> ScoreRecord:
    """``r`` within folds; over joined folds each gene is .1 higher, but the last, which is .5 lower."""
    pooled = [value + 0.1 for value in r[:-1]] + [r[-1] - 0.5]
    rows = [
        {"gene": gene, "pearson": value, "pearson_pooled": joined, "well_predicted": value > 0.25}
        for gene, value, joined in zip(GENES, r, pooled, strict=True)
    ]
    mean = float(np.mean(r))
    return replace(
        record("tcga_expression", model),
        protocol_title="Bulk expression",
        task="bulk",
        kind=kind,
        board=board,
        per_patient={},
        per_gene=rows,
        pseudo_values=pseudo_values(mean + generator(0, board).normal(0, 0.01, 100)),
        headline=Interval(mean, mean - 0.1, mean + 0.1, 40),
        summary={"pearson_mean": mean, "well_predicted": float(sum(value > 0.25 for value in r))},
        details={"top_genes": top, "criteria": "standard"},
        cohort={"name": board, "phantom": True, "unit": "patient", "n_patients": 40, "n_slides": 44, "n_genes": 4},
    )


def study() -> list[ScoreRecord]:
    return [
        expression("best", "brca", [0.5, 0.4, 0.3, 0.6]),
        expression("worse", "brca", [0.2, 0.1, 0.3, 0.4]),
        expression("best", "gbm", [0.3, 0.2, 0.1, 0.0]),
        replace(expression("best", "average", [0.4, 0.3, 0.2, 0.3]), per_gene=[], details={}),
        replace(expression("worse", "gbm", [0.1] * 4), status="skipped"),
        record("intra_patient", "uni"),
    ]


def test_only_scored_cohorts_are_shown() -> None:
    assert [(r.model, r.board) for r in bulk_records(study())] == [("best", "brca"), ("worse", "brca"), ("best", "gbm")]
    assert violins([record("intra_patient", "uni")]) is None


def test_violins_count_well_predicted_genes() -> None:
    figure = violins(study())
    assert figure is not None
    squares = [
        line.get_ydata().tolist() for axes in figure.axes for line in axes.get_lines() if line.get_marker() == "s"
    ]
    assert squares == [[4.0, 2.0], [2.0 - 1.0]]
    titles = {text.get_text() for axes in figure.axes for text in axes.get_xticklabels()} - {""}
    assert titles == {"best", "worse"}


def test_mann_whitney_of_each_models_own_top_genes() -> None:
    rows = list(csv.DictReader(io.StringIO(mann_whitney_csv(study()))))
    assert [(row["protocol"], row["cohort"], row["model"], row["against"]) for row in rows] == [
        ("tcga_expression", "brca", "best", "worse"),
        ("tcga_expression", "brca", "worse", "best"),
    ], "a cohort with one model has nothing to compare"
    # The top three by r over joined folds leave out the last gene (0.1 and -0.1), best within folds.
    best, worse = [0.6, 0.5, 0.4], [0.3, 0.2, 0.4]
    found = mannwhitneyu(best, worse, alternative="greater")
    assert float(rows[0]["p"]) == pytest.approx(found.pvalue)
    assert float(rows[0]["share_above"]) == pytest.approx(found.statistic / 9)
    assert (float(rows[0]["median"]), float(rows[0]["median_against"])) == pytest.approx((0.5, 0.3))
    assert float(rows[0]["share_above"]) + float(rows[1]["share_above"]) == pytest.approx(1.0)
    assert rows[0]["top_genes"] == "3"
    assert mann_whitney_csv([]).splitlines() == [
        "protocol,cohort,model,against,top_genes,median,median_against,share_above,p"
    ]


def test_a_record_does_not_depend_on_the_order_of_reading() -> None:
    assert mann_whitney_csv(study()) == mann_whitney_csv(study()[::-1])


def sections_store(folder: Path) -> SectionsStore:
    """Two sections of 6 x 7 tiles without a corner."""
    slides, made, pictures = [], [], {}
    for name in SECTIONS:
        mask = np.ones((6, 7), bool)
        mask[0, 0] = False
        row, column = np.nonzero(mask)
        values = generator(0, name, "truth").normal(size=(len(row), len(GENES)))
        made.append(Section(name, f"P-{name}", row, column, GENES, values, spots=20))
        (folder / f"{name}.tif").write_bytes(name.encode())
        slides.append(SlideFile(name, f"P-{name}", f"{name}.tif"))
        pictures[name] = Thumbnail(picture((70, 60), mask, 0), (70, 60), 2.4)
    return write_sections(
        folder / "sections", made, tuple(slides), root=folder, phantom=True, tile_um=24.0, window=2, stride=1,
        thumbnails=pictures,
    )  # fmt: skip


def spatial_cell(
    folder: Path,
    store: SectionsStore,
    model: str,
    noise: float | None,
    *,
    kind: str = "model",
    genes: tuple[str, ...] = GENES,
) -> tuple[ScoreRecord, Path]:
    """A score folder as scoring writes it; ``noise`` None: a constant map."""
    tables, beside = [], {}
    for number, name in enumerate(SECTIONS):
        section = store.section(number)
        truth = percentile_scores(section.expression)
        noisy = section.expression + (noise or 0) * generator(0, model, name).normal(size=truth.shape)
        predicted = percentile_scores(noisy if noise is not None else np.zeros_like(truth))
        columns = {"row": section.row, "column": section.column}
        for place, gene in enumerate(GENES):
            if gene in genes:
                columns |= {
                    f"truth:{gene}": np.round(truth[:, place] * 2).astype(np.uint8),
                    f"predicted:{gene}": np.round(predicted[:, place] * 2).astype(np.uint8),
                }
        beside[f"section_{name}.parquet"] = pd.DataFrame(columns)
        r = [0.0 if noise is None else np.corrcoef(truth[:, k], predicted[:, k])[0, 1] for k in range(len(GENES))]
        tables.append(
            pd.DataFrame({"section": name, "gene": GENES, "pearson": r, "spearman": r, "ssim": np.nan, "emd": 0.1,
                          "beyond_trend_p": 0.01})
        )  # fmt: skip
    units = beside[UNITS_FILE] = pd.concat(tables, ignore_index=True)
    mean = float(units["pearson"].mean())
    matrix = np.eye(len(GENES)).tolist()
    made = replace(
        record("gbm_spatial", model, {"P-S1": mean, "P-S2": mean}, kind=kind),
        protocol_title="Maps",
        task="bulk",
        board=MAPS,
        card={"name": model, "title": f"The {model}", "kind": kind, "published": []},
        summary={"pearson_of_maps": mean, "emd_median": 0.08 if noise is None else 0.1},
        counts={"sections": 2, "tiles": 82, "genes": 4, "constant_maps": 8 if noise is None else 0},
        details={"co_expression": {"genes": list(GENES), "modules": MODULES, "truth": matrix, "model": matrix}},
        cohort={"name": "2 sections", "phantom": True, "unit": "tile", "n_patients": 2, "n_slides": 2, "n_cells": 82},
    )
    return made, sealed(made, folder_of(made, folder), beside)


@pytest.fixture
def store(tmp_path: Path) -> SectionsStore:
    return sections_store(tmp_path)


def cells_of(folder: Path, store: SectionsStore) -> list[tuple[ScoreRecord, Path]]:
    return [
        spatial_cell(folder, store, "constant", None, kind="control"),
        spatial_cell(folder, store, "poor", 2.0),
        spatial_cell(folder, store, "good", 0.5),
        spatial_cell(folder, store, "oracle", 0.1, kind="oracle"),
    ]


def test_maps_of_every_section_stand_side_by_side(store: SectionsStore, tmp_path: Path) -> None:
    cells = cells_of(tmp_path / "scores", store)
    assert [made.model for made, _ in spatial_cells(cells)] == ["oracle", "good", "poor", "constant"]
    maps = section_maps(cells, store.folder)
    assert [one.section for one in maps] == list(SECTIONS)
    first = maps[0]
    assert list(first.models) == ["The oracle", "The good", "The poor", "The constant"]
    truth = percentile_scores(store.section(0).expression)
    columns = [GENES.index(gene) for gene in first.genes]
    assert np.abs(first.truth - truth[:, columns]).max() <= 0.25, "half percents"
    assert np.ptp(first.models["The constant"]) == 0
    by_gene = pd.concat([pd.read_parquet(folder / UNITS_FILE) for made, folder in cells if made.kind == "model"])
    best = by_gene[by_gene["section"] == "S1"].groupby("gene")["pearson"].mean().sort_values(ascending=False)
    assert list(first.genes) == best.index.tolist(), "the best predicted by models come first"
    assert first.scores["The good"][0]["ssim"] is None
    assert first.kinds["The constant"] == "control"
    assert first.modules["A"] == ("one",)
    packed = data_of(spatial_page(maps, notices=()))["sections"]
    assert [one["section"] for one in packed] == list(SECTIONS)


def test_genes_that_one_model_lacks_are_not_shown(store: SectionsStore, tmp_path: Path) -> None:
    cells = cells_of(tmp_path / "scores", store)
    cells.append(spatial_cell(tmp_path / "scores", store, "partial", 1.0, genes=("B", "D")))
    assert set(section_maps(cells, store.folder)[0].genes) == {"B", "D"}


def test_a_damaged_map_is_one_clear_line(store: SectionsStore, tmp_path: Path) -> None:
    cells = cells_of(tmp_path / "scores", store)
    (cells[1][1] / "section_S2.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match="unreadable maps"):
        section_maps(cells, store.folder)


def test_controls_have_no_place_in_the_figure_of_co_expression(store: SectionsStore, tmp_path: Path) -> None:
    cells = cells_of(tmp_path / "scores", store)
    figure = co_expression(cells)
    assert figure is not None
    shown = " ".join(text.get_text() for text in figure.findobj(lambda part: hasattr(part, "get_text")))
    assert "The good" in shown
    assert "The constant" not in shown
    assert co_expression([cell for cell in cells if cell[0].kind == "control"]) is None


@pytest.mark.parametrize("mean", [0.0, 7.7e-18, -3e-17])
def test_a_constant_map_warns_that_the_distance_says_little(mean: float) -> None:
    """Its Pearson r is zero up to rounding."""

    def one(model: str, kind: str, r: float, distance: float, constant: int = 0) -> ScoreRecord:
        made = record("gbm_spatial", model, {f"p{k}": r for k in range(6)}, kind=kind)
        return replace(
            made, task="bulk", summary={"emd_median": distance}, counts={"constant_maps": constant},
            cohort={**made.cohort, "unit": "tile"},
        )  # fmt: skip

    records = [
        one("oracle", "oracle", 0.3, 0.07, constant=3),
        one("constant", "control", mean, 0.082, constant=9),
        one("shuffled", "control", -0.03, 0.12),
        one("near", "model", 0.2, 0.08),
        one("far", "model", 0.25, 0.1),
    ]

    def said(given: list[ScoreRecord]) -> list[tuple[str, str]]:
        (board,) = build_leaderboards(given, 0, task_notices={"bulk": load_task("bulk").notices})
        return [(notice.level, notice.text) for notice in board.notices if "Earth Mover" in notice.text]

    assert said(records) == [
        (
            "warning",
            "A constant map has an Earth Mover's Distance of 0.082; 1 of 2 models lie farther from the truth than "
            "that. Maps are ranked by Pearson r.",
        )
    ]
    ((level, text),) = said(records[:4])
    assert (level, "0 of 1 models" in text) == ("note", True)
    assert said([records[0], *records[2:]]) == [], "without a constant control there is nothing to compare with"


@pytest.mark.slow
def test_written_reports_hold_both_protocols(store: SectionsStore, tmp_path: Path) -> None:
    folders = [folder for _, folder in cells_of(tmp_path / "scores", store)]
    folders += [sealed(made, folder_of(made, tmp_path / "scores")) for made in study()[:3]]
    out = tmp_path / "reports"
    sections = {f"gbm_spatial-{MAPS}": store.folder}
    paths = write_reports(folders, out, seed=0, sections=sections)
    boards = json.loads(paths.json.read_text())["leaderboards"]
    assert {(board["protocol"], board["board"]) for board in boards} == {
        ("tcga_expression", "brca"),
        ("tcga_expression", "gbm"),
        ("gbm_spatial", MAPS),
    }
    assert {"violins-tcga_expression.png", f"co_expression-gbm_spatial-{MAPS}.png"} <= {
        path.name for path in paths.figures
    }
    assert paths.spatial is not None
    assert 'href="spatial.html"' in paths.html.read_text()
    first = paths.spatial.read_bytes()
    again = write_reports(folders, out, seed=0, sections=sections)
    assert again.spatial is not None
    assert again.spatial.read_bytes() == first
    without = write_reports(folders[4:], out, seed=0)
    assert without.spatial is None
    assert not (out / "spatial.html").exists(), "no page outlives its numbers"
    assert 'href="spatial.html"' not in without.html.read_text()
    write_reports(folders[:1], out, seed=0)
    assert not (out / "mann_whitney.csv").exists()
    assert not [path.name for path in (out / "figures").iterdir() if path.name.startswith("co_expression")]
