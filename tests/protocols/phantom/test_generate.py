"""The cohort as a whole: same bytes again, the stated files, panels with the stated holes, the budget."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from protocols.errors import UserError
from protocols.phantom.generate import generate, slide_names, slide_panel
from protocols.phantom.genes import KNOWN_IDS, design_panels, gene_id, gene_names
from protocols.phantom.settings import FULL, MINI, PhantomSettings, preset
from tests.protocols.phantom.tiny import SEED, TINY, hashes, read_counts

SLIDE = "lung-p2-s1"


def test_a_slide_made_alone_has_the_bytes_it_has_in_the_cohort(cohort: Path, tmp_path: Path) -> None:
    said: list[str] = []
    generate(tmp_path / "part", TINY, SEED, progress=said.append, only=[SLIDE])
    whole, part = hashes(cohort), hashes(tmp_path / "part")
    own = {name for name in whole if SLIDE in name}
    assert len(own) == 11
    assert {name: part[name] for name in own} == {name: whole[name] for name in own}
    assert set(part) == own | {"slides.csv", "phantom.json", "truth/genes.parquet"}
    assert said == [f"slide 1/1: {SLIDE}"]
    assert not list(tmp_path.rglob("*.part"))


def test_twice_the_same_bytes_and_another_seed_gives_others(tmp_path: Path) -> None:
    for folder, seed in (("a", SEED), ("b", SEED), ("c", SEED + 1)):
        generate(tmp_path / folder, TINY, seed, only=[SLIDE])
    first, again, other = (hashes(tmp_path / folder) for folder in "abc")
    assert first == again
    same = {name for name in first if first[name] == other[name]}
    assert same == {"slides.csv"}


def test_generating_over_a_cohort_replaces_it(tmp_path: Path) -> None:
    small = replace(TINY, cancers=("breast",), patients_per_cancer=1, lone_cancer=None, image_px=160)
    generate(tmp_path, small, 1)
    before = hashes(tmp_path)
    (tmp_path / "slides.csv").write_text("stale")
    generate(tmp_path, small, 1)
    assert hashes(tmp_path) == before


def test_a_failure_leaves_no_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = replace(TINY, cancers=("breast",), patients_per_cancer=1, lone_cancer=None, image_px=160)
    generate(tmp_path, small, 1)

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("protocols.phantom.generate.render", fail)
    with pytest.raises(OSError, match="disk full"):
        generate(tmp_path, small, 1)
    assert not (tmp_path / "slides.csv").exists()
    assert not list(tmp_path.rglob("*.part"))


def test_manifest_and_truth_name_the_same_slides(cohort: Path) -> None:
    manifest = pd.read_csv(cohort / "slides.csv")
    assert list(manifest.columns) == ["slide", "patient", "cancer", "bundle"]
    assert len(manifest) == 2 * 2 + 2
    assert manifest.groupby("patient").size()["cervix-p1"] == 2
    truth = pd.read_parquet(cohort / "truth" / "genes.parquet")
    for slide, bundle in zip(manifest.slide, manifest.bundle, strict=True):
        counts, genes, _, barcodes = read_counts(cohort / bundle)
        cells = pd.read_parquet(cohort / bundle / "cells.parquet")
        oracle = pd.read_parquet(cohort / "truth" / "oracle" / f"{slide}.parquet")
        kinds = pd.read_parquet(cohort / "truth" / "cells" / f"{slide}.parquet")
        assert barcodes == list(cells.cell_id) == list(oracle.cell_id) == list(kinds.cell_id)
        assert list(oracle.columns[1:]) == genes == list(truth.gene[truth.slide == slide])
        assert set(oracle.dtypes.iloc[1:].astype(str)) == {"float16"}
        assert (counts.sum(axis=1) == cells.transcript_counts).all()
        assert (cells.total_counts == cells.transcript_counts + cells.control_probe_counts).all()


def test_phantom_json_tells_what_made_the_cohort(cohort: Path) -> None:
    told = json.loads((cohort / "phantom.json").read_text())
    assert told["seed"] == SEED
    made = {key: tuple(value) if isinstance(value, list) else value for key, value in told["settings"].items()}
    assert PhantomSettings(**made) == TINY


def test_panels_have_the_stated_holes() -> None:
    panels = design_panels(MINI, 0)
    sets = {cancer: set(genes) for cancer, genes in panels.of_cancer.items()}
    everywhere = set.intersection(*sets.values())
    assert set(panels.pool[: MINI.core_genes]) <= everywhere
    assert {"ACTA2", "FOXA1", "CD3E", "EPCAM", "PECAM1"} <= everywhere
    for cancer, genes in sets.items():
        assert len(genes) == 110
        others = set.union(*(sets[other] for other in sets if other != cancer))
        assert len(genes - others) >= MINI.private_genes
    by_patient = {name.patient: slide_panel(MINI, panels, 0, name) for name in slide_names(MINI)}
    assert by_patient["breast-p1"] == by_patient["breast-p2"]
    assert len(set(by_patient["breast-p1"]) - set(by_patient["breast-p3"])) == MINI.lacking_genes
    assert not set(by_patient["breast-p3"]) - set(by_patient["breast-p1"])


def test_gene_ids_are_unique_well_formed_and_the_same_on_every_slide(cohort: Path) -> None:
    pool = gene_names(600)
    ids = [gene_id(name, pool) for name in pool]
    assert len(set(pool)) == len(set(ids)) == 600
    assert all(len(ident) == 15 and ident.startswith("ENSG") and ident[4:].isdigit() for ident in ids)
    assert ids[pool.index("ACTA2")] == KNOWN_IDS["ACTA2"] == "ENSG00000107796"
    seen: dict[str, str] = {}
    for bundle in sorted((cohort / "xenium").iterdir()):
        _, genes, idents, _ = read_counts(bundle)
        for gene, ident in zip(genes, idents, strict=True):
            assert seen.setdefault(gene, ident) == ident


def test_mini_keeps_its_promises_and_full_runs_on_the_same_path() -> None:
    names = slide_names(MINI)
    assert len(names) == 20
    assert len({name.patient for name in names}) == 19
    assert len({name.cancer for name in names}) == 7
    panels = design_panels(FULL, 0)
    assert {len(genes) for genes in panels.of_cancer.values()} == {320}
    assert preset("full") is FULL


@pytest.mark.slow
def test_a_mini_slide_keeps_the_budget(tmp_path: Path) -> None:
    generate(tmp_path, MINI, 0, only=["skin-p1-s1"])
    size = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert size < 12_000_000 / len(slide_names(MINI))
    assert 650 <= len(pd.read_parquet(tmp_path / "xenium" / "skin-p1-s1" / "cells.parquet")) <= 900


def test_unknown_slide_and_bad_settings_get_one_line(tmp_path: Path, cohort: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'lung-p2-s1'"):
        generate(tmp_path / "x", TINY, SEED, only=["lung-p2-s11"])
    assert not (tmp_path / "x").exists()
    with pytest.raises(UserError, match="already there"):
        generate(cohort, TINY, SEED, only=[SLIDE])
    with pytest.raises(UserError, match="did you mean 'mini'"):
        preset("minii")
    with pytest.raises(UserError, match="one weight per share"):
        replace(MINI, visible_shares=(0.0, 0.5))
