"""The bulk-expression phantom: same bytes again, stated r is the measured one, and readers read its files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from protocols.bulk.cohort import BulkCohort
from protocols.bulk.read import read_bulk
from protocols.errors import UserError
from protocols.images.image import open_image
from protocols.phantom.bulk import MARKER, generate_bulk, signals, sources
from protocols.phantom.bulk_expression import bulk_truth, scale_of
from protocols.phantom.bulk_genes import MODULES, design_genes, loadings
from protocols.phantom.bulk_sections import is_inside, section_name
from protocols.phantom.bulk_settings import FULL_BULK, MINI_BULK, BulkSettings, bulk_preset
from protocols.readers.manifest import read_manifest
from protocols.readers.readers import read_slide
from tests.protocols.phantom.tiny import hashes
from tests.protocols.phantom.tiny_bulk import SECTION_PX, TINY_BULK

GDC = {"manifest": "gbm/gdc/manifest.txt", "sample_sheet": "gbm/gdc/sample_sheet.tsv", "files": "gbm/gdc"}
SOME = ("TCGA-G1-7000-01Z-00-DX1", "CPTM-0003-01Z-00-DX1")
SECTION = "UKF900_T_ST"


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bulk")
    generate_bulk(out, TINY_BULK, 0, only=(*SOME, SECTION))
    return out


def gdc(root: Path) -> BulkCohort:
    return read_bulk("gbm", "gdc", root, {**GDC, "slides": "gbm/slides.csv"})


def with_all_slides(cohort: str, root: Path) -> list[str]:
    return pd.read_csv(root / cohort / "slides.csv")["slide"].tolist()


def touch_slides(root: Path) -> None:
    """Readers look at a slide's place, not into it."""
    for cohort in ("gbm", "cptac_gbm", "normal"):
        for path in pd.read_csv(root / cohort / "slides.csv")["path"]:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).touch()


@pytest.fixture(scope="module")
def read_back(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy in which every slide is there, if empty."""
    import shutil

    out = tmp_path_factory.mktemp("whole") / "bulk"
    shutil.copytree(phantom, out)
    touch_slides(out)
    return out


def test_the_same_bytes_again_and_with_fewer_slides(phantom: Path, tmp_path: Path) -> None:
    generate_bulk(tmp_path, TINY_BULK, 0, only=SOME[:1])
    first, again = hashes(phantom), hashes(tmp_path)
    assert {name.rsplit("/", 1)[-1] for name in first if "/slides/" in name} == {f"{name}.ome.tif" for name in SOME}
    left_out = {name for name in first if SECTION in name or SOME[1] in name}
    assert again == {name: digest for name, digest in first.items() if name not in left_out}
    assert len(again) > 40


def test_another_seed_gives_other_tables(phantom: Path, tmp_path: Path) -> None:
    generate_bulk(tmp_path, TINY_BULK, 1, only=())
    name = "truth/oracle/gbm.parquet"
    assert hashes(phantom)[name] != hashes(tmp_path)[name]
    assert json.loads((tmp_path / MARKER).read_text())["seed"] == 1


def test_stated_r_is_the_measured_correlation(phantom: Path, read_back: Path) -> None:
    """Out of the files alone: GDC's table against the stored expectation."""
    cohort, truth = gdc(read_back), pd.read_parquet(phantom / "truth" / "genes.parquet")
    stated = truth[truth["cohort"] == "gbm"].set_index("gene")
    oracle = pd.read_parquet(phantom / "truth" / "oracle" / "gbm.parquet").set_index("patient")
    assert set(oracle.index) == set(cohort.patients)
    oracle = oracle.loc[list(cohort.patients)]  # readers sort
    shown = 0
    for place, gene in enumerate(cohort.genes):
        best, measured = oracle[gene].to_numpy(np.float64), cohort.expression[:, place].astype(np.float64)
        if stated.loc[gene, "visible_share"] == 0:
            assert stated.loc[gene, "reachable_r"] == 0
            assert np.ptp(best) == 0
            continue
        shown += 1
        assert np.corrcoef(best, measured)[0, 1] == pytest.approx(stated.loc[gene, "reachable_r"], abs=5e-3)
    assert shown > 10
    assert (stated["reachable_r"] > 0.15).sum() > 10


def test_what_a_gene_shows_is_its_visible_share_and_invisible_genes_show_nothing() -> None:
    """Over many made-up patients r with the slide's signal is the root of the visible share."""
    genes = design_genes(TINY_BULK, 0)
    signal = np.random.default_rng(0).normal(size=(6000, len(genes)))
    truth = bulk_truth(TINY_BULK, 0, "gbm", genes, signal, scale_of(signal))
    for place, gene in enumerate(genes):
        r = np.corrcoef(signal[:, place], truth.log2[:, place])[0, 1] if np.ptp(truth.log2[:, place]) else 0.0
        assert r == pytest.approx(np.sqrt(gene.visible_share), abs=0.05), gene.name
        # No other gene's signal says more about it than chance: hidden programs are not on the slides.
    hidden = [place for place, gene in enumerate(genes) if gene.visible_share == 0]
    assert len(hidden) > 3
    among = np.corrcoef(signal.T, truth.log2[:, hidden].T)[: len(genes), len(genes) :]
    assert np.abs(among).max() < 0.06
    assert (truth.reachable[hidden] == 0).all()
    together = np.abs(np.corrcoef(truth.log2[:, hidden].T) - np.eye(len(hidden)))
    assert together.max() > 0.2, "they correlate with each other, for reasons that no slide shows"


def test_an_external_cohort_shares_loadings_and_differs_by_its_platform(phantom: Path) -> None:
    own, external, _ = sources(TINY_BULK, 0)
    genes = design_genes(TINY_BULK, 0)
    assert (own.name, external.name, external.tissue[0]) == ("gbm", "cptac_gbm", "gbm")
    assert not set(own.patients) & set(external.patients)
    scale = scale_of(signals(TINY_BULK, 0, own, genes))
    seen = signals(TINY_BULK, 0, external, genes)
    oracle = pd.read_parquet(phantom / "truth" / "oracle" / "cptac_gbm.parquet").drop(columns="patient")
    shifts = []
    for place, gene in enumerate(genes):
        if gene.visible_share == 0:
            continue
        z = (seen[:, place] - scale.mean[place]) / scale.spread[place]
        expected = gene.base + gene.amplitude * np.sqrt(gene.visible_share) * z
        left = oracle[gene.name].to_numpy(np.float64) - expected
        assert np.ptp(left) < 0.02, "one shift a gene"
        shifts.append(left.mean())
    assert 0.2 < np.std(shifts) < 0.7
    other = loadings(TINY_BULK, 0, genes, "luad")
    assert np.abs(other.trait - loadings(TINY_BULK, 0, genes, "gbm").trait).max() > 0.1


def test_gdc_files_are_read_back(read_back: Path) -> None:
    cohort, genes = gdc(read_back), {gene.name: gene for gene in design_genes(TINY_BULK, 0)}
    assert len(cohort.patients) == 25
    assert len(cohort.slides) == len(with_all_slides("gbm", read_back))
    assert not set(cohort.genes) - set(genes), "pseudogenes and read statistics are no genes"
    silent = {name for name, gene in genes.items() if gene.silent}
    assert set(genes) - set(cohort.genes) <= silent
    assert [genes[gene].kind for gene in cohort.genes] == list(cohort.gene_types)
    assert [item for item in cohort.excluded if "Normal" in item.reason], "the second aliquot is left out by name"
    source, every = sources(TINY_BULK, 0)[0], tuple(genes.values())
    signal = signals(TINY_BULK, 0, source, every)
    truth = bulk_truth(TINY_BULK, 0, "gbm", every, signal, scale_of(signal))
    rows = [source.patients.index(patient) for patient in cohort.patients]
    columns = [list(genes).index(gene) for gene in cohort.genes]
    assert np.abs(cohort.expression - truth.log2[np.ix_(rows, columns)]).max() < 0.02  # FPKM-UQ has two decimals


def test_reference_table_and_normal_tissue_are_read_back(read_back: Path) -> None:
    options = {"table": "cptac_gbm/reference.csv.gz", "slides": "cptac_gbm/slides.csv"}
    cohort = read_bulk("cptac", "reference_table", read_back, options)
    assert len(cohort.patients) == 8
    assert set(cohort.genes) == {gene.name for gene in design_genes(TINY_BULK, 0)}
    options = {"expression": "normal/gene_fpkm_uq.gct.gz", "attributes": "normal/sample_attributes.tsv"}
    normal = read_bulk("normal", "gtex", read_back, {**options, "slides": "normal/slides.csv"})
    assert set(normal.tissue or ()) == {"Brain", "Lung"}, "breast is left out"
    for tissue in ("Brain", "Lung"):
        rows = np.array([one == tissue for one in normal.tissue or ()])
        np.testing.assert_allclose(normal.expression[rows].mean(axis=0), 0, atol=1e-5)


def test_the_section_is_read_back_and_its_outline_leaves_glass(phantom: Path) -> None:
    (entry,) = read_manifest(phantom / "sections.csv", phantom, "visium")
    section = read_slide("visium", entry, phantom)
    assert (entry.slide, entry.patient, section.mpp) == (SECTION, "UKF900", 0.5)
    assert set(section.genes) == {gene.name for gene in design_genes(TINY_BULK, 0)}
    assert section.counts.shape[0] == len(section.units) > 15
    side = (SECTION_PX - 1) * 0.5
    xy = section.units[["x_px", "y_px"]].to_numpy(np.float64) * 0.5
    cells = pd.read_parquet(phantom / "truth" / "sections" / f"{SECTION}.parquet")[["x_um", "y_um"]].to_numpy(float)
    name = section_name(0)
    # half-precision coordinates may fall a hair outside
    assert is_inside(0, name, side, side / 2 + (cells - side / 2) * 0.995).all()
    with open_image(section.image) as image:
        pixels = image.read_region(0, 0, SECTION_PX, SECTION_PX, 0)
    axis = np.arange(SECTION_PX) * 0.5
    glass = ~is_inside(0, name, side, np.stack(np.meshgrid(axis, axis), axis=-1))
    assert 0.05 < glass.mean() < 0.6
    assert glass[0, 0]
    saturation = np.ptp(pixels.astype(float), axis=2)
    assert np.median(saturation[glass]) < 8
    assert np.median(saturation[~glass]) > 15
    distance = np.sqrt(((xy[:, None] - cells[None]) ** 2).sum(axis=2))
    under = (distance <= TINY_BULK.spot_um / 2 + 0.3).sum(axis=1)
    assert (under >= 2).all(), "a spot on tissue has two cells at least"


def test_meta_modules_and_gene_sets_name_genes_of_the_tables(phantom: Path) -> None:
    modules = json.loads((phantom / "meta_modules.json").read_text())
    names = {gene.name for gene in design_genes(TINY_BULK, 0)}
    assert set(modules) == set(MODULES)
    assert all(len(genes) == 3 and set(genes) <= names for genes in modules.values())
    lines = [line.split("\t") for line in (phantom / "gene_sets.gmt").read_text().splitlines()]
    assert {line[0]: line[2:] for line in lines} == modules


def test_slides_of_a_shared_cohort_are_pointed_at_and_not_written(tmp_path: Path) -> None:
    generate_bulk(
        tmp_path / "bulk", replace(TINY_BULK, shared=("brca",), normal=(("lung", 2),), sections=0), 0, only=()
    )
    slides = pd.read_csv(tmp_path / "bulk" / "brca" / "slides.csv")
    assert slides["patient"].nunique() == 12
    assert (slides["path"].str.startswith("../phantom_tcga/brca/slides/")).all()
    assert not list(tmp_path.rglob("*.tif"))


def test_ids_never_repeat_over_cohorts() -> None:
    people = [patient for source in sources(MINI_BULK, 0) for patient in source.patients]
    slides = [slide.name.slide for source in sources(MINI_BULK, 0) for slide in source.slides]
    assert len(set(people)) == len(people)
    assert len(set(slides)) == len(slides)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shared": ("gbm",)}, "shared does not fit.*brca"),
        ({"own": (("gbm", 24),)}, "own does not fit.*25 patients"),
        ({"visible_shares": (0.0, 0.5)}, "one weight per share"),
        ({"visible_shares": (0.0, 0.5, 1.0), "visible_share_weights": (0.2, 0.4, 0.4)}, r"shares in \[0, 1\)"),
        ({"own": (("gbm", 30), ("glioma", 30))}, "own does not fit.*different letters"),
        ({"external": (("cptac_brca", "brca", 9), ("x_luca", "luad", 9))}, "external does not fit.*different letters"),
        ({"spot_um": 41.0}, "no more than the pitch"),
    ],
)
def test_settings_that_do_not_fit_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        replace(MINI_BULK, **change)  # type: ignore[arg-type]


def test_presets() -> None:
    assert isinstance(FULL_BULK, BulkSettings)
    assert bulk_preset("mini") is MINI_BULK
    with pytest.raises(UserError, match="did you mean 'full'"):
        bulk_preset("ful")
