"""Bulk expression and maps predicted elsewhere: scored as told, refused when malformed, shown on the leaderboard."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from protocols.bulk.cohort import BulkCohort, donor_row
from protocols.bulk.splitting import published_folds, read_bulk_split, write_bulk_split
from protocols.bulk.store import BulkStore, write_bulk_store
from protocols.errors import UserError
from protocols.metrics.gene_correlation import pearson_per_gene
from protocols.records import ScoreRecord
from protocols.seeds import generator
from protocols.spatial.store import Section, SectionsStore, Thumbnail, write_sections
from protocols.spatial.windows import lay_windows
from protocols.survival.cohort import SlideFile
from suite.bulk.scoring import write_bulk_records
from suite.bulk.spatial_scoring import MAP_CONTROLS, control_manifest, score_control, write_spatial_record
from suite.bulk.submissions import score_bulk_submission
from suite.config import Config, read_config
from suite.export import genes_file, write_units
from suite.places import BULK, SCORES, SECTIONS, SPLITS, SUBMISSIONS
from suite.stages.report import cells

ROOT = Path(__file__).resolve().parents[2]
GENES = tuple(f"G{k:02d}" for k in range(14))
TILE_UM = 100.0


def _cohort(name: str, patients: int, genes: tuple[str, ...]) -> None:
    """Every fifth patient has two slides."""
    rng = generator(0, name)
    people = tuple(f"{name}-{k:02d}" for k in range(patients))
    owners = [(k, 0) for k in range(patients)] + [(k, 1) for k in range(0, patients, 5)]
    slides = tuple(
        SlideFile(f"{people[k]}-S{copy}", people[k], f"{people[k]}-{copy}.txt") for k, copy in sorted(owners)
    )
    for slide in slides:
        Path("slides", slide.path).write_text(slide.slide)
    normal = name == "normal"
    rows = tuple(donor_row(one, "lung") for one in people) if normal else people
    slides = tuple(SlideFile(s.slide, rows[people.index(s.patient)], s.path) for s in slides) if normal else slides
    values = np.abs(rng.normal(4, 1, (patients, len(genes)))).astype(np.float32)
    kinds = ("protein_coding",) * len(genes)
    cohort = BulkCohort(name, rows, genes, kinds, values, slides, ("lung",) * patients if normal else None)
    (BULK / name).mkdir(parents=True)
    store = write_bulk_store(BULK / name, cohort, phantom=False, root=Path("slides"))
    folder = SPLITS / "tcga_expression" / name
    folder.mkdir(parents=True)
    if name in ("zeta", "beta"):
        folds = published_folds(rows)
        write_bulk_split(
            folder, folds, protocol="tcga_expression", version="1", cohort=store.hash, seed=0, patients=rows
        )  # fmt: skip


def _sections() -> None:
    sections, slides, pictures = [], [], {}
    for number in range(2):
        rng = generator(number, "section")
        row, column = (axis.ravel().astype(np.int64) for axis in np.mgrid[0:9, 0:7])
        kept = np.where(row < 6, rng.random(len(row)) < 0.9, (row == 8) & (column == 0))  # which no window covers
        name = f"section{number}"
        values = rng.random((int(kept.sum()), len(GENES) - 2))
        sections.append(Section(name, f"person{number}", row[kept], column[kept], GENES[2:], values, spots=50))
        slides.append(SlideFile(name, f"person{number}", f"{name}.txt"))
        Path("slides", f"{name}.txt").write_text(name)
        pictures[name] = Thumbnail(b"", (1, 1), 1.0)
    SECTIONS.mkdir(parents=True)
    write_sections(
        SECTIONS, sections, tuple(slides), root=Path("slides"), phantom=False, tile_um=TILE_UM, window=3, stride=1,
        thumbnails=pictures,
    )  # fmt: skip


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Config]:
    """Cohorts as the stages leave them; ``gamma`` is external to ``zeta`` and lacks some of its genes."""
    folder = tmp_path_factory.mktemp("bulk_submissions")
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    entry: dict[str, Any] = {"reader": "gdc", "root": "slides", "files": {}}
    values |= {"models": [], "protocols": [], "survival": {}, "workers": 1}
    values.pop("ihc", None)
    others = {"gamma": entry | {"external": "zeta"}, "normal": entry | {"normal": True}}
    sections = {"of": "zeta", "reader": "visium", "root": "slides", "manifest": "none.csv", "window": 3, "genes": 8}
    values["bulk"] |= {
        "cohorts": {"zeta": entry, "beta": entry, **others},
        "sections": sections,
        "super_tiles": 9,
        "average": ["zeta", "beta"],
        "models": ["ridge_mean_feature"],
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("slides").mkdir()
        Path("params.yaml").write_text(yaml.safe_dump(values))
        for name, patients, genes in (("zeta", 30, GENES), ("beta", 20, GENES[:10]), ("normal", 4, GENES)):
            _cohort(name, patients, genes)
        _cohort("gamma", 12, GENES[::-2])
        _sections()
        yield read_config()


def noisy_answers(store: BulkStore, slides: Any, seed: int) -> pd.DataFrame:
    """Noisy truth of some slides."""
    truth = store.expression(store.slide_patient[slides])
    noisy = truth + generator(seed, store.name).normal(0, 1, truth.shape).astype(np.float32)
    table = pd.DataFrame(noisy, columns=list(store.genes))
    table.insert(0, "slide", [store.slides[row].slide for row in slides])
    table.insert(1, "patient", [store.slides[row].patient for row in slides])
    return table


def handed_in(seed: int = 1, cohorts: tuple[str, ...] = ("zeta", "gamma", "beta")) -> pd.DataFrame:
    parts = []
    for name in cohorts:
        store = BulkStore(BULK / name)
        if name == "gamma":
            parts.append(noisy_answers(store, np.arange(len(store.slides)), seed).assign(cohort=name, fold="external"))
            continue
        for fold in read_bulk_split(SPLITS / "tcga_expression" / name)[0]:
            parts.append(noisy_answers(store, store.slides_of(fold.test), seed).assign(cohort=name, fold=fold.name))
    return pd.concat(parts, ignore_index=True)


def maps(seed: int = 1) -> pd.DataFrame:
    units = pd.read_csv(written_units("gbm_spatial"))
    rng = generator(seed, "maps")
    values = pd.DataFrame(rng.random((len(units), len(GENES))), columns=list(GENES))
    return pd.concat([units[["section", "row", "column"]], values], axis=1)


def written_units(protocol: str) -> Path:
    write_units(read_config(), protocol, Path(f"{protocol}.csv"))
    return Path(f"{protocol}.csv")


def submit(config: Config, table: pd.DataFrame, protocol: str = "tcga_expression", model: str | None = "mine") -> Any:
    path = Path("table.parquet")
    table.to_parquet(path)
    return score_bulk_submission(config, protocol, model, path, "a note")


def test_scores_are_those_of_the_numbers_handed_in(config: Config) -> None:
    """Independently: r of each fold's test patients, slides of one averaged, mean over folds and genes."""
    table = handed_in()
    records = {record.board: record for record in submit(config, table)}
    assert set(records) == {"zeta", "beta", "average"}
    for name in ("zeta", "beta"):
        store, r = BulkStore(BULK / name), []
        for fold in read_bulk_split(SPLITS / "tcga_expression" / name)[0]:
            rows = table[(table["cohort"] == name) & (table["fold"] == fold.name)]
            mean = rows.groupby("patient")[list(store.genes)].mean()
            truth = store.expression(np.array([store.patients.index(one) for one in mean.index])).astype(np.float64)
            r.append(pearson_per_gene(truth, mean.to_numpy(np.float64)))
        assert records[name].headline.mean == pytest.approx(np.mean(r), abs=1e-6)
        assert records[name].headline.n_patients == len(store.patients)
        assert records[name].bulk["untrained_twin"] is False
        assert (records[name].card["task"], records[name].card["summary"]) == ("bulk", "a note")
    assert [one["cohort"] for one in records["zeta"].bulk["external"]] == ["gamma"]
    assert records["zeta"].bulk["external"][0]["patients"] == 12
    assert records["beta"].bulk["external"] == []
    mean = np.mean([records[name].headline.mean or 0 for name in ("zeta", "beta")])
    assert records["average"].headline.mean == pytest.approx(mean)
    assert ScoreRecord.read(SUBMISSIONS / "tcga_expression" / "mine" / "zeta") == records["zeta"]


def test_csv_order_and_model_column_change_nothing(config: Config) -> None:
    table = handed_in()
    expected = submit(config, table)[0].headline
    shuffled = table.sample(frac=1, random_state=0)[sorted(table.columns, reverse=True)]
    shuffled.assign(model="mine").to_csv("table.csv", index=False)
    found = score_bulk_submission(config, "tcga_expression", None, Path("table.csv"), "")[0]
    assert found.headline.mean == pytest.approx(expected.mean, abs=1e-6)
    two = pd.concat([table.assign(model="one"), handed_in(2).assign(model="two")])
    records = submit(config, two, model=None)
    assert [record.model for record in records] == ["one"] * 3 + ["two"] * 3
    assert records[0].headline == expected != records[3].headline
    with pytest.raises(UserError, match="holds several models"):
        submit(config, two)


def test_rows_of_patients_stand_for_their_slides(config: Config) -> None:
    table = handed_in(cohorts=("zeta",))
    genes = list(GENES)
    by_patient = table.groupby(["cohort", "fold", "patient"], as_index=False)[genes].mean()
    expected = submit(config, table)[0]
    found = submit(config, by_patient)[0]
    assert found.headline.mean == pytest.approx(expected.headline.mean, abs=1e-6)
    assert found.counts == expected.counts
    assert not (SUBMISSIONS / "tcga_expression" / "mine" / "beta").exists()  # an older table is replaced whole
    assert not (SUBMISSIONS / "tcga_expression" / "mine" / "average").exists()
    with pytest.raises(UserError, match="patient zeta-00 twice"):
        submit(config, pd.concat([by_patient, by_patient[by_patient["patient"] == "zeta-00"]]))
    with pytest.raises(UserError, match="1 patients are not of the cohort, first nobody"):
        submit(config, by_patient.replace({"patient": {"zeta-07": "nobody"}}))


def _one(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[], pd.DataFrame]:
    return lambda: change(handed_in())


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (_one(lambda t: t.drop(columns="fold")), "no column 'fold'"),
        (_one(lambda t: t.iloc[:0]), "no row"),
        (_one(lambda t: t.drop(columns=["slide", "patient"])), "no column 'slide'"),
        (_one(lambda t: t.drop(columns="G03")), "1 of .* genes missing, first G03"),
        (_one(lambda t: t.replace({"cohort": {"zeta": "zetta"}})), "unknown cohort 'zetta'.*did you mean 'zeta'"),
        (_one(lambda t: t.replace({"cohort": {"gamma": "normal"}})), "unknown cohort 'normal'"),
        (_one(lambda t: t[t["cohort"] != "zeta"]), "gamma without zeta, whose models answer it"),
        (_one(lambda t: t.replace({"fold": {"external": "0"}})), "unknown fold '0'.*known: external"),
        (_one(lambda t: t.replace({"fold": {"4": "7"}})), "unknown fold '7'"),
        (_one(lambda t: t[t["fold"] != "3"]), "no row for fold '3'"),
        (_one(lambda t: t.drop(index=0)), "1 slides missing, first "),
        (_one(lambda t: pd.concat([t, t[:1]])), "slide .* twice"),
        (_one(lambda t: t.replace({"slide": {"zeta-04-S0": "else"}})), "slides are not test slides, first else"),
        (_one(lambda t: t.replace({"patient": {"zeta-04": "zeta-05"}})), "slide zeta-04-S0 is not of patient zeta-05"),
        (_one(lambda t: t.assign(fold=t["fold"].where(t.index > 0))), "a row without fold"),
        (_one(lambda t: t.assign(G01=np.where(t.index == 3, np.nan, t["G01"]))), "a value is not finite"),
        (_one(lambda t: t.assign(G01=t["G01"].astype(str))), "a gene is not numeric"),
        (_one(lambda t: pd.concat([t, t[t["cohort"] == "beta"][:1].assign(cohort="zeta")])), "1 slides are not test"),
    ],
)
def test_malformed_tables_are_one_clear_line(config: Config, table: Callable[[], pd.DataFrame], says: str) -> None:
    older = SUBMISSIONS / "tcga_expression" / "kept" / "average"
    older.mkdir(parents=True, exist_ok=True)
    with pytest.raises(UserError, match=says) as caught:
        submit(config, table(), model="kept")
    assert "table.parquet" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert older.exists()  # a refused table leaves what was handed in before


@pytest.mark.parametrize("name", ["ridge_mean_feature", *MAP_CONTROLS])
def test_a_listed_models_name_is_taken(config: Config, name: str) -> None:
    with pytest.raises(UserError, match="is a model of params"):
        submit(config, handed_in(), model=name)


def test_maps_are_scored_on_every_section(config: Config) -> None:
    table = maps()
    (record,) = submit(config, table, "gbm_spatial")
    assert (record.task, record.board, record.counts["sections"]) == ("spatial", "", 2)
    assert record.headline.n_patients == 2
    assert record.summary["emd_own_genes"] is None
    assert abs(record.headline.mean or 1) < 0.3  # noise
    truth = table.copy()
    store = SectionsStore(SECTIONS)
    for number, name in enumerate(store.names):
        section = store.section(number)
        measured = pd.DataFrame(section.expression, columns=list(section.genes))
        measured[["row", "column"]] = np.stack([section.row, section.column], axis=1)
        here = truth["section"] == name
        joined = truth.loc[here, ["row", "column"]].merge(measured, how="left")
        truth.loc[here, list(section.genes)] = joined[list(section.genes)].to_numpy()
    (perfect,) = submit(config, truth, "gbm_spatial", "perfect")
    assert perfect.headline.mean == pytest.approx(1)
    assert perfect.summary["emd_median"] == pytest.approx(0)
    assert (SUBMISSIONS / "gbm_spatial" / "perfect" / "section_section0.parquet").exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t.drop(columns="row"), "no column 'row'"),
        (lambda t: t[t["section"] != "section1"], "section1: no row of this section"),
        (lambda t: t.replace({"section": {"section0": "section9"}}), "unknown section 'section9'"),
        (lambda t: t.drop(index=2), "1 of .* tiles missing"),
        (lambda t: pd.concat([t, t[:1]]), "a tile twice"),
        (lambda t: pd.concat([t, t[:1].assign(row=77)]), "1 tiles are not asked for, first row 77, column"),
        (lambda t: t[["section", "row", "column"]], "no column 'G"),
        (lambda t: t.assign(**dict.fromkeys(GENES, np.nan)), "a value is not finite"),
        (lambda t: t.assign(**dict.fromkeys(GENES, "x")), "is not numeric"),
    ],
)
def test_malformed_maps_are_one_clear_line(config: Config, change: Any, says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        submit(config, change(maps()), "gbm_spatial")
    assert "\n" not in str(caught.value)


def test_units_say_who_and_where_and_what(config: Config) -> None:
    table = pd.read_csv(written_units("tcga_expression"))
    assert list(table.columns) == ["cohort", "fold", "role", "slide", "patient"]
    assert set(table["cohort"]) == {"zeta", "beta", "gamma"}
    assert set(table.loc[table["cohort"] == "gamma", "fold"]) == {"external"}
    for _, fold in table[table["cohort"] == "zeta"].groupby("fold"):
        assert set(fold["role"]) == {"train", "validation", "test"}
        assert fold["slide"].is_unique
        assert fold.groupby("patient")["role"].nunique().max() == 1
    asked = table[table["role"] == "test"][["cohort", "fold", "slide"]]
    given = handed_in()[["cohort", "fold", "slide"]]
    assert set(map(tuple, asked.to_numpy().tolist())) == set(map(tuple, given.to_numpy().tolist()))
    genes = pd.read_csv(genes_file(Path("tcga_expression.csv")))
    assert genes.groupby("cohort")["gene"].size().to_dict() == {"beta": 10, "gamma": 7, "zeta": 14}


def test_units_of_maps_are_covered_tiles_in_micrometres(config: Config) -> None:
    table = pd.read_csv(written_units("gbm_spatial"))
    assert list(table.columns) == ["section", "row", "column", "x_um", "y_um"]
    section = SectionsStore(SECTIONS).section(0)
    covered = lay_windows(section.row, section.column, 3).covered
    assert not covered.all()
    assert (table["section"] == "section0").sum() == covered.sum()
    np.testing.assert_allclose(table["x_um"], (table["column"] + 0.5) * TILE_UM)
    np.testing.assert_allclose(table["y_um"], (table["row"] + 0.5) * TILE_UM)
    genes = pd.read_csv("gbm_spatial_genes.csv")
    needed = genes[genes["section"] == "section0"]["gene"].tolist()
    assert set(needed) <= set(GENES[2:])
    kept = maps().drop(columns=[gene for gene in GENES if gene not in needed])
    assert submit(config, kept, "gbm_spatial")[0].headline.mean is not None


def test_submissions_join_the_cells_of_the_report(config: Config) -> None:
    """The listed model's own cells stand first; both protocols' submissions follow."""
    for found in (submit(config, handed_in()), submit(config, maps(), "gbm_spatial")):
        assert found
    name = config.bulk.models[0]
    manifest = control_manifest(config, "map_shuffled") | {"model": name}
    manifest["protocols"]["tcga_expression"] = "1"
    skipped = {"skipped": "not asked", "cohort": "c", "split": "s", "inputs": "i", "weights": []}
    for cohort in config.bulk.discovery:
        manifest["cohorts"][cohort] = skipped
    write_bulk_records(
        config, SCORES / "tcga_expression" / name, manifest, dict.fromkeys(config.bulk.discovery), folds=5
    )
    for model in (name, *MAP_CONTROLS):
        scores = None if model == name else score_control(config, model)
        of = manifest if model == name else control_manifest(config, model)
        write_spatial_record(config, SCORES / "gbm_spatial" / model, of, scores)
    listed = [folder.as_posix() for folder in cells(config)]
    mine = [folder for folder in listed if folder.startswith(SUBMISSIONS.as_posix())]
    boards = [SUBMISSIONS / "tcga_expression" / "mine" / board for board in ("average", "beta", "zeta")]
    assert mine[:3] == [folder.as_posix() for folder in boards]
    assert (SUBMISSIONS / "gbm_spatial" / "mine").as_posix() in mine[3:]
    assert listed[-len(mine) :] == mine
