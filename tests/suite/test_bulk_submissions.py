"""Bulk expression and maps predicted elsewhere: scored as told, refused when malformed, shown on the leaderboard."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import hyp2f1

from protocols.bulk.cohort import BulkCohort, donor_row
from protocols.bulk.store import BulkStore, write_bulk_store
from protocols.errors import UserError
from protocols.metrics.gene_correlation import pearson_per_gene
from protocols.records import ScoreRecord
from protocols.registry import load_protocol
from protocols.sealed import sealed_folder
from protocols.seeds import generator
from protocols.spatial.store import Section, SectionsStore, Thumbnail, write_sections
from protocols.spatial.windows import lay_windows
from protocols.splits import read_split
from protocols.survival.cohort import SlideFile
from suite.config import read_config
from suite.engine.ask import run_ask
from suite.engine.report import cells
from suite.engine.run import Run
from suite.engine.submit import handed_in as read_in
from suite.engine.submit import submit as score
from suite.engine.units import targets_file
from suite.engine.units import write_units as engine_units
from suite.places import SUBMISSIONS, cohort_folder, split_folder, submission_folder
from tests.suite.engine_run import params, the_run, write_params

GENES = tuple(f"G{k:02d}" for k in range(14))
TILE_UM = 100.0
SLIDES, MAPS = "tcga_expression", "gbm_spatial"
CONTROLS = [card.name for card in load_protocol(MAPS).controls]


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
    with sealed_folder(cohort_folder("bulk", name), "cohort", {}) as folder:
        write_bulk_store(folder, cohort, phantom=False, root=Path("slides"))


def _sections(cohort: str = "spots") -> None:
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
    with sealed_folder(cohort_folder("bulk", cohort), "cohort", {}) as folder:
        write_sections(
            folder, sections, tuple(slides), root=Path("slides"), phantom=False, tile_um=TILE_UM, window=3, stride=1,
            thumbnails=pictures,
        )  # fmt: skip


def values() -> dict[str, Any]:
    entry: dict[str, Any] = {"reader": "gdc", "root": "slides", "files": {}}
    spots = {
        "sections_of": "zeta",
        "reader": "visium",
        "root": "slides",
        "manifest": "none.csv",
        "window": 3,
        "genes": 8,
    }
    others = {"gamma": entry | {"external": "zeta"}, "normal": entry | {"normal": True}, "spots": spots}
    return params(
        protocols=[SLIDES, MAPS],
        models=["ridge_mean_feature"],
        cohorts={"bulk": {"zeta": entry, "beta": entry, **others}},
        tasks={"bulk": {"super_tiles": 9, "average": ["zeta", "beta"]}},
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Cohorts as reading leaves them; ``gamma`` is external to ``zeta`` and lacks some of its genes."""
    folder = tmp_path_factory.mktemp("bulk_submissions")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("slides").mkdir()
        write_params(folder, values())
        for name, patients, genes in (("zeta", 30, GENES), ("beta", 20, GENES[:10]), ("normal", 4, GENES)):
            _cohort(name, patients, genes)
        _cohort("gamma", 12, GENES[::-2])
        _sections()
        run = the_run()
        run_ask(run)
        yield run


def stored(name: str) -> BulkStore:
    return BulkStore(cohort_folder("bulk", name))


def spots() -> SectionsStore:
    return SectionsStore(cohort_folder("bulk", "spots"))


def folds_of(name: str) -> Any:
    return read_split(split_folder(SLIDES, name))[0].folds


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
        store = stored(name)
        if name == "gamma":
            parts.append(noisy_answers(store, np.arange(len(store.slides)), seed).assign(cohort=name, fold="external"))
            continue
        for fold in folds_of(name):
            parts.append(noisy_answers(store, store.slides_of(fold.test), seed).assign(cohort=name, fold=fold.name))
    return pd.concat(parts, ignore_index=True)


def maps(seed: int = 1) -> pd.DataFrame:
    units = pd.read_csv(written_units(MAPS))
    rng = generator(seed, "maps")
    values = pd.DataFrame(rng.random((len(units), len(GENES))), columns=list(GENES))
    return pd.concat([units[["section", "row", "column"]], values], axis=1)


def written_units(protocol: str) -> Path:
    run = the_run()
    engine_units(run, run.protocols[protocol], Path(f"{protocol}.csv"))
    return Path(f"{protocol}.csv")


def handed(run: Run, path: Path, protocol: str, model: str | None) -> list[ScoreRecord]:
    return score(run, run.protocols[protocol], read_in(run.config, run.tasks["bulk"], path, model, "a note"))


def submit(run: Run, table: pd.DataFrame, protocol: str = SLIDES, model: str | None = "mine") -> list[ScoreRecord]:
    path = Path("table.parquet")
    table.to_parquet(path)
    return handed(run, path, protocol, model)


def unbiased(r: np.ndarray, n: int) -> np.ndarray:
    """Olkin & Pratt (1958), equation 2.3."""
    return np.asarray(r * hyp2f1(0.5, 0.5, (n - 2) / 2, 1 - r * r)) if n > 3 else r


def test_scores_are_those_of_the_numbers_handed_in(run: Run) -> None:
    """Independently: r of each fold's test patients, slides of one averaged, mean over folds and genes."""
    table = handed_in()
    records = {record.board: record for record in submit(run, table)}
    assert set(records) == {"zeta", "beta", "average"}
    for name in ("zeta", "beta"):
        store, r = stored(name), []
        for fold in folds_of(name):
            rows = table[(table["cohort"] == name) & (table["fold"] == fold.name)]
            mean = rows.groupby("patient")[list(store.genes)].mean()
            truth = store.expression(np.array([store.patients.index(one) for one in mean.index])).astype(np.float64)
            r.append(unbiased(pearson_per_gene(truth, mean.to_numpy(np.float64)), len(mean)))
        assert records[name].headline.mean == pytest.approx(np.mean(r), abs=1e-6)
        assert records[name].headline.n_patients == len(store.patients)
        assert records[name].details["untrained_twin"] is False
        assert (records[name].card["task"], records[name].card["summary"]) == ("bulk", "a note")
    assert [one["cohort"] for one in records["zeta"].details["external"]] == ["gamma"]
    assert records["zeta"].details["external"][0]["patients"] == 12
    assert records["beta"].details["external"] == []
    mean = np.mean([records[name].headline.mean or 0 for name in ("zeta", "beta")])
    assert records["average"].headline.mean == pytest.approx(mean)
    assert ScoreRecord.read(submission_folder(SLIDES, "zeta", "mine")).to_json() == records["zeta"].to_json()


def test_csv_order_and_model_column_change_nothing(run: Run) -> None:
    table = handed_in()
    expected = submit(run, table)[0].headline
    shuffled = table.sample(frac=1, random_state=0)[sorted(table.columns, reverse=True)]
    shuffled.assign(model="mine").to_csv("table.csv", index=False)
    found = handed(run, Path("table.csv"), SLIDES, None)[0]
    assert found.headline.mean == pytest.approx(expected.mean, abs=1e-6)
    two = pd.concat([table.assign(model="one"), handed_in(2).assign(model="two")])
    records = submit(run, two, model=None)
    assert [record.model for record in records] == ["one"] * 3 + ["two"] * 3
    assert records[0].headline == expected != records[3].headline
    with pytest.raises(UserError, match="holds several models"):
        submit(run, two)


def test_rows_of_patients_stand_for_their_slides(run: Run) -> None:
    table = handed_in(cohorts=("zeta",))
    genes = list(GENES)
    by_patient = table.groupby(["cohort", "fold", "patient"], as_index=False)[genes].mean()
    expected = submit(run, table)[0]
    found = submit(run, by_patient)[0]
    assert found.headline.mean == pytest.approx(expected.headline.mean, abs=1e-6)
    assert found.counts == expected.counts
    assert not submission_folder(SLIDES, "beta", "mine").exists()  # an older table is replaced whole
    assert not submission_folder(SLIDES, "average", "mine").exists()
    with pytest.raises(UserError, match="patient zeta-00 twice"):
        submit(run, pd.concat([by_patient, by_patient[by_patient["patient"] == "zeta-00"]]))
    with pytest.raises(UserError, match="1 patients are not of the cohort, first nobody"):
        submit(run, by_patient.replace({"patient": {"zeta-07": "nobody"}}))


def test_slides_declared_missing(run: Run) -> None:
    """Every fourth slide of zeta and gamma has no value: worst in the headline, left out beside it."""
    table = handed_in()
    whole = {record.board: record for record in submit(run, table)}
    gone = table["cohort"].isin(["zeta", "gamma"]) & (table.index % 4 == 0)
    part = table.copy()
    part.loc[gone, list(GENES)] = np.nan
    found = {record.board: record for record in submit(run, part)}
    zeta, share = found["zeta"], 1 - gone.sum() / table["cohort"].isin(["zeta", "gamma"]).sum()
    assert zeta.summary["answered_share"] == pytest.approx(share)
    assert (zeta.headline.mean or 0) < (whole["zeta"].headline.mean or 0) - 0.1
    assert (zeta.summary["external_pearson"] or 0) < (whole["zeta"].summary["external_pearson"] or 0) - 0.1
    assert zeta.notes[0].startswith(f"{gone.sum()} of ")
    assert (found["beta"].headline, found["beta"].summary) == (whole["beta"].headline, whole["beta"].summary)
    assert found["beta"].notes == []
    assert found["average"].summary["answered_share"] == pytest.approx((share + 1) / 2)
    # By hand: each fold's patients who were answered.
    store, r = stored("zeta"), []
    for fold in folds_of("zeta"):
        rows = part[(part["cohort"] == "zeta") & (part["fold"] == fold.name) & ~gone]
        mean = rows.groupby("patient")[list(store.genes)].mean()
        truth = store.expression(np.array([store.patients.index(one) for one in mean.index])).astype(np.float64)
        r.append(unbiased(pearson_per_gene(truth, mean.to_numpy(np.float64)), len(mean)))
    assert zeta.summary["pearson_mean_answered"] == pytest.approx(np.mean(r), abs=1e-6)


def test_tiles_declared_missing(run: Run) -> None:
    table = maps()
    (whole,) = submit(run, table, MAPS)
    table.loc[table.index % 4 == 0, list(GENES)] = np.nan
    (found,) = submit(run, table, MAPS)
    assert found.summary["answered_share"] == pytest.approx(0.75, abs=0.02)
    assert (found.headline.mean or 0) < (whole.headline.mean or 0)
    assert abs(found.summary["pearson_of_maps_answered"] or 1) < 0.3
    assert "tiles were declared missing" in found.notes[0]


def _one(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[], pd.DataFrame]:
    return lambda: change(handed_in())


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (_one(lambda t: t.drop(columns="fold")), "no column 'fold'"),
        (_one(lambda t: t.replace({"cohort": {"gamma": "spots"}})), "unknown cohort 'spots'"),
        (_one(lambda t: t.assign(fold=t["fold"].where(t.index > 0, "external"))), "unknown fold 'external'"),
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
def test_malformed_tables_are_one_clear_line(run: Run, table: Callable[[], pd.DataFrame], says: str) -> None:
    older = submission_folder(SLIDES, "average", "kept")
    older.mkdir(parents=True, exist_ok=True)
    with pytest.raises(UserError, match=says) as caught:
        submit(run, table(), model="kept")
    assert "table.parquet" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert older.exists()  # a refused table leaves what was handed in before


@pytest.mark.parametrize("name", ["ridge_mean_feature", "Ridge_Mean_Feature"])
def test_a_listed_models_name_is_taken(run: Run, name: str) -> None:
    with pytest.raises(UserError, match="is a model of params"):
        submit(run, handed_in(), model=name)


@pytest.mark.parametrize("name", CONTROLS)
def test_a_controls_name_is_taken_on_its_boards(run: Run, name: str) -> None:
    with pytest.raises(UserError, match=f"'{name}' is a control of gbm_spatial"):
        submit(run, maps(), MAPS, name)


def test_maps_are_scored_on_every_section(run: Run) -> None:
    table = maps()
    (record,) = submit(run, table, MAPS)
    assert (record.task, record.board, record.counts["sections"]) == ("bulk", "spots", 2)
    assert record.headline.n_patients == 2
    assert record.summary["emd_own_genes"] is None
    assert abs(record.headline.mean or 1) < 0.3  # noise
    truth = table.copy()
    store = spots()
    for number, name in enumerate(store.names):
        section = store.section(number)
        measured = pd.DataFrame(section.expression, columns=list(section.genes))
        measured[["row", "column"]] = np.stack([section.row, section.column], axis=1)
        here = truth["section"] == name
        joined = truth.loc[here, ["row", "column"]].merge(measured, how="left")
        truth.loc[here, list(section.genes)] = joined[list(section.genes)].to_numpy()
    (perfect,) = submit(run, truth, MAPS, "perfect")
    assert perfect.headline.mean == pytest.approx(1)
    assert perfect.summary["emd_median"] == pytest.approx(0)
    assert (submission_folder(MAPS, "spots", "perfect") / "section_section0.parquet").exists()


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
        (lambda t: t.assign(**dict.fromkeys(GENES, np.nan)), "every unit is declared missing"),
        (lambda t: t.assign(**dict.fromkeys(GENES, np.inf)), "a value is not finite"),
        (lambda t: t.assign(**dict.fromkeys(GENES, "x")), "is not numeric"),
    ],
)
def test_malformed_maps_are_one_clear_line(run: Run, change: Any, says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        submit(run, change(maps()), MAPS, "spoiled")
    assert "table.parquet" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not submission_folder(MAPS, "spots", "spoiled").exists()


def test_units_say_who_and_where_and_what(run: Run) -> None:
    table = pd.read_csv(written_units(SLIDES))
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
    genes = pd.read_csv(targets_file(Path(f"{SLIDES}.csv")))
    assert genes.groupby("cohort")["gene"].size().to_dict() == {"beta": 10, "gamma": 7, "zeta": 14}


def test_units_of_maps_are_covered_tiles_in_micrometres(run: Run) -> None:
    table = pd.read_csv(written_units(MAPS))
    assert list(table.columns) == ["section", "row", "column", "x_um", "y_um"]
    section = spots().section(0)
    covered = lay_windows(section.row, section.column, 3).covered
    assert not covered.all()
    assert (table["section"] == "section0").sum() == covered.sum()
    np.testing.assert_allclose(table["x_um"], (table["column"] + 0.5) * TILE_UM)
    np.testing.assert_allclose(table["y_um"], (table["row"] + 0.5) * TILE_UM)
    genes = pd.read_csv("gbm_spatial_genes.csv")
    needed = genes[genes["section"] == "section0"]["gene"].tolist()
    assert set(needed) <= set(GENES[2:])
    kept = maps().drop(columns=[gene for gene in GENES if gene not in needed])
    assert submit(run, kept, MAPS)[0].headline.mean is not None


def test_submissions_join_the_cells_of_the_report(run: Run) -> None:
    submit(run, handed_in(), model="joins")
    submit(run, maps(), MAPS, "joins")
    mine = [folder for folder in cells(run) if folder.name == "joins"]
    boards = {(SLIDES, "zeta"), (SLIDES, "beta"), (SLIDES, "average"), (MAPS, "spots")}
    assert {folder.relative_to(SUBMISSIONS).parts[:2] for folder in mine} == boards


def test_columns_that_nobody_asks_for_are_not_read(run: Run) -> None:
    """A stranger's table may say more of a tile or slide; of genes, those of other cohorts."""
    expected = [submit(run, handed_in())[0].headline, submit(run, maps(), MAPS)[0].headline]
    slides, tiles = handed_in().assign(comment="fine", OTHER=np.nan), maps().assign(comment="fine")
    assert [submit(run, slides)[0].headline, submit(run, tiles, MAPS)[0].headline] == expected
    assert submit(run, maps().assign(cohort="spots"), MAPS)[0].headline == expected[1]
    with pytest.raises(UserError, match=r"unknown cohort 'spot'.*did you mean 'spots'"):
        submit(run, maps().assign(cohort="spot"), MAPS)


def test_genes_of_sections_are_as_many_as_scoring_looks_at(run: Run) -> None:
    """The eight that vary most over the cohort's patients, where a section measures them."""
    written_units(MAPS)
    store = stored("zeta")
    order = np.argsort(-store.expression(np.arange(30)).std(axis=0), kind="stable")[:8]
    expected = {store.genes[place] for place in order} & set(GENES[2:])
    told = pd.read_csv(f"{MAPS}_genes.csv")
    assert {name: set(part["gene"]) for name, part in told.groupby("section")} == {
        "section0": expected,
        "section1": expected,
    }


def test_two_sets_of_sections_are_told_apart_by_cohort(run: Run) -> None:
    """Their sections may have the same names."""
    told = values()
    told["cohorts"]["bulk"]["more"] = told["cohorts"]["bulk"]["spots"]
    _sections("more")
    write_params(Path(), told)
    try:
        both = the_run()
        run_ask(both)
        units = pd.read_csv(written_units(MAPS))
        assert list(units.columns) == ["cohort", "section", "row", "column", "x_um", "y_um"]
        assert set(pd.read_csv(f"{MAPS}_genes.csv").columns) == {"cohort", "section", "gene"}
        answers = pd.DataFrame(generator(3, "maps").random((len(units), len(GENES))), columns=list(GENES))
        table = pd.concat([units[["cohort", "section", "row", "column"]], answers], axis=1)
        records = submit(both, table, MAPS, "two_sets")
        assert {record.board for record in records} == {"spots", "more"}
        assert records[0].headline != records[1].headline
        with pytest.raises(UserError, match="no column 'cohort'"):
            submit(both, table.drop(columns="cohort"), MAPS, "two_sets")
    finally:
        write_params(Path(), values())
    assert read_config() == run.config
