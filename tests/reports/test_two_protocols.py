"""A second protocol of a task asks the same cohorts: its boards, figures and tables stand beside the first one's."""

from __future__ import annotations

import csv
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from protocols.metric import Metric
from protocols.records import ScoreRecord
from reports.bulk import violins
from reports.claims import all_claims
from reports.ihc import grid_figure, ihc_cells
from reports.write import write_reports
from tests.reports.synthetic import folder_of, record, sealed, write
from tests.reports.test_ihc_reports import made as stained
from tests.reports.test_ihc_reports import samples

HUE = [asdict(Metric("hue", "Hue error", "mean angle between hues", higher_is_better=False, unit="°"))]
GENES = [
    {"gene": gene, "pearson": r, "pearson_pooled": r, "well_predicted": r > 0.2}
    for gene, r in (("A", 0.1), ("B", 0.3), ("C", 0.5))
]


def bulk(protocol: str, model: str, shift: float = 0.0, **changes: object) -> ScoreRecord:
    rows = [{**gene, "pearson_pooled": float(str(gene["pearson_pooled"])) + shift} for gene in GENES]
    found = record(protocol, model, task="bulk", per_gene=rows, details={"top_genes": 2}, board="brca")
    return replace(found, **changes)  # type: ignore[arg-type]


def test_violins_and_tests_are_of_one_protocol_each(tmp_path: Path) -> None:
    records = [bulk(protocol, model, shift) for protocol, model, shift in (
        ("tcga_expression", "a", 0.0), ("tcga_expression", "b", 0.1), ("leave_site_out", "a", 0.2),
        ("leave_site_out", "b", 0.0),
    )]  # fmt: skip
    paths = write_reports(write(records, tmp_path / "scores", with_maps=False), tmp_path / "out", seed=0)
    drawn = {path.name for path in paths.figures}
    assert {"violins-tcga_expression.svg", "violins-leave_site_out.svg"} < drawn
    assert paths.mann_whitney is not None
    rows = list(csv.DictReader(paths.mann_whitney.read_text().splitlines()))
    assert [(row["protocol"], row["cohort"], row["model"]) for row in rows] == [
        ("leave_site_out", "brca", "a"), ("leave_site_out", "brca", "b"),
        ("tcga_expression", "brca", "a"), ("tcga_expression", "brca", "b"),
    ]  # fmt: skip
    assert [float(row["median"]) for row in rows] == [0.6, 0.4, 0.4, 0.5], "the top two of each protocol's own r"


def test_two_models_of_one_title_are_told_apart() -> None:
    card = {"name": "x", "title": "HE2RNA", "kind": "model", "published": []}
    figure = violins([bulk("tcga_expression", model, card=card) for model in ("first", "second")])
    assert figure is not None
    titles = {text.get_text() for axes in figure.axes for text in axes.get_xticklabels()} - {""}
    assert titles == {"HE2RNA (first)", "HE2RNA (second)"}


def test_grids_of_one_marker_by_two_protocols(tmp_path: Path) -> None:
    other = replace(stained("good"), protocol="hues", metrics=HUE, summary={"ssim": 0.5})
    cells = []
    for one in (stained("good"), stained("poor"), other):
        folder = folder_of(one, tmp_path / "scores")
        folder.mkdir(parents=True)
        np.save(folder / "samples.npy", samples(one.model), allow_pickle=False)
        cells.append((one, sealed(one, folder)))
    found = ihc_cells(cells)
    assert {key: [one.model for one, _ in own] for key, own in found.items()} == {
        "hues-phantom_ER": ["good"],
        "ihc4bc-phantom_ER": ["good", "poor"],
    }
    figure = grid_figure("phantom_ER", found["hues-phantom_ER"])
    assert figure is not None
    assert figure.axes[2].get_title() == "good\n20.0 ° / 0.50", "the headline and its unit, not PSNR"
    assert figure.get_suptitle() == "phantom_ER: Hue error / SSIM, mean over patients"
    paths = write_reports([folder for _, folder in cells], tmp_path / "out", seed=0)
    assert {"ihc_grid_hues-phantom_ER.png", "ihc_grid_ihc4bc-phantom_ER.png"} < {path.name for path in paths.figures}


def test_a_number_is_held_against_its_own_protocol_alone() -> None:
    entry = {"protocol": "leave_site_out", "metric": "pearson_per_slide", "value": 0.3, "source": "a paper"}
    card = {"name": "a", "title": "A", "kind": "model", "published": [entry]}
    (claim,) = all_claims([bulk("tcga_expression", "a", card=card), bulk("leave_site_out", "a", card=card)], 0)
    assert (claim.protocol, claim.measured) == ("leave_site_out", bulk("leave_site_out", "a").headline.mean)
