"""Bulk expression and its maps through the engine's stages on a tiny phantom, one after the other, as DVC runs them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import save_file

from protocols.bulk import fit as bulk_fit
from protocols.errors import UserError
from protocols.files import sha256_of
from protocols.manifest import KIND, read_manifest
from protocols.phantom.bulk import generate_bulk
from protocols.records import AVERAGE, UNITS_FILE
from protocols.sealed import read_seal, write_seal
from protocols.splits import read_split
from suite.engine.inputs import run_inputs
from suite.engine.predict import Cell, cells_of, predict_cells
from suite.engine.report import run_report
from suite.engine.run import Run
from suite.engine.score import items_of, score_items
from suite.places import CACHE, METRICS, PREDICTIONS, cohort_folder, score_folder, split_folder
from tests.parity.sequoia_layout import published_layout
from tests.protocols.phantom.tiny_bulk import TINY_BULK
from tests.suite.bulk_run import (
    COHORT,
    CONTROLS,
    EXPRESSION,
    EXTERNAL,
    MAPS,
    MODELS,
    NETWORK,
    NORMAL,
    SECTION,
    SECTIONS,
    answers,
    audit,
    cohorts,
    contents,
    record,
    sections,
    stored,
    values,
)
from tests.suite.engine_run import default_params, run_all, the_run, write_params


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working folder with a finished run."""
    folder = tmp_path_factory.mktemp("checkout")
    generate_bulk(folder / "data", TINY_BULK, 0)
    write_params(folder, values())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run_all()
        yield folder


@pytest.fixture
def run(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(checkout)
    return the_run()


def cells(run: Run, model: str) -> list[Cell]:
    return cells_of(run, run_inputs(run), (model,))


def test_cohorts_folds_and_audits(run: Run) -> None:
    split, seal = read_split(split_folder(EXPRESSION, COHORT))
    assert seal.of["cohort"] == read_seal(cohort_folder("bulk", COHORT), "cohort").hash
    assert sorted(np.concatenate([fold.test for fold in split.folds]).tolist()) == list(range(25))
    assert {len(fold.validation) for fold in split.folds} == {2}
    assert not split_folder(EXPRESSION, EXTERNAL).exists(), "an external cohort has no folds"
    slides, maps = audit(EXPRESSION, COHORT), audit(MAPS, SECTIONS)
    assert {one.verdict for one in (*slides.findings, *maps.findings)} == {"pass", "note"}
    pairs = {
        name: {one.check: one.detail for one in told.findings}["no person in two cohorts"].split("; ")
        for name, told in (("slides", slides), ("maps", maps))
    }
    assert pairs["slides"] == [f"{EXTERNAL} and {COHORT}", f"{EXTERNAL} and {NORMAL}", f"{COHORT} and {NORMAL}"]
    assert set(pairs["maps"]) - set(pairs["slides"]) == {f"{COHORT} and {SECTIONS}", f"{NORMAL} and {SECTIONS}"}
    assert [role.role for role in slides.folds[0].roles] == ["train", "validation", "test"]
    assert set(stored(NORMAL).tissue or ()) == {"Brain", "Lung"}


def test_leaderboard_of_expression(run: Run) -> None:
    oracle, mean = (record(EXPRESSION, COHORT, name) for name in ("bulk_oracle", "bulk_train_mean"))
    truth = pd.read_parquet("data/truth/genes.parquet").query("cohort == 'gbm'").set_index("gene")["reachable_r"]
    genes = [row["gene"] for row in oracle.per_gene]
    assert oracle.headline.mean == pytest.approx(truth[genes].mean(), abs=0.12)  # five patients a fold are few
    assert [row["reachable"] for row in oracle.per_gene] == pytest.approx(truth[genes].tolist(), abs=0.02)
    assert mean.headline.mean == pytest.approx(0.0, abs=1e-12)
    assert (mean.summary["pearson_pooled"] or 0) < -0.1
    assert (oracle.summary["external_pearson"] or 0) > 0.2
    assert mean.summary["external_pearson"] == 0.0
    trained = record(EXPRESSION, COHORT, NETWORK)
    assert trained.details["untrained_twin"]
    assert not oracle.details["untrained_twin"]
    assert trained.counts["patients"] == 25
    assert trained.counts["slides"] == len(stored().slides) > 25
    assert [part["source"] for part in trained.weights] == ["random", "none", "none"]
    assert set(json.loads((METRICS / f"{EXPRESSION}.json").read_text())) == set(MODELS)


def test_the_average_of_one_cohort_is_that_cohort(run: Run) -> None:
    mean, one = record(EXPRESSION, AVERAGE, NETWORK), record(EXPRESSION, COHORT, NETWORK)
    assert (mean.counts, mean.pseudo_values["value"]) == (one.counts, one.pseudo_values["value"])
    assert (mean.headline.mean, mean.headline.low) == pytest.approx((one.headline.mean, one.headline.low))
    assert mean.details == {"cohorts": {COHORT: one.headline.mean}}
    # An external cohort belongs to one cancer, so an average says nothing of it.
    assert mean.summary == {key: None if "external" in key else value for key, value in one.summary.items()}


def test_leaderboard_of_maps(run: Run) -> None:
    assert set(json.loads((METRICS / f"{MAPS}.json").read_text())) == {*MODELS, *CONTROLS}
    r = {name: record(MAPS, SECTIONS, name).headline.mean or 0.0 for name in (*MODELS, *CONTROLS)}
    assert r["map_neighbour_mean"] > r["bulk_oracle"] > 0.1
    assert r["bulk_train_mean"] == pytest.approx(0.0, abs=1e-9)
    constant = record(MAPS, SECTIONS, "bulk_train_mean")
    units = pd.read_parquet(score_folder(MAPS, SECTIONS, "bulk_train_mean", 0) / UNITS_FILE)
    assert constant.counts["constant_maps"] == len(units)
    assert constant.details["co_expression"]["genes"]
    assert not np.array(constant.details["co_expression"]["model"]).any()
    assert constant.cohort["name"] == f"1 sections, models of {COHORT}"
    section = sections().section(0)
    maps = pd.read_parquet(score_folder(MAPS, SECTIONS, NETWORK, 0) / f"section_{SECTION}.parquet")
    assert len(maps) == constant.counts["tiles"] == constant.cohort["n_cells"] <= len(section.row)
    shown = units[units["common"]]["gene"].tolist()
    assert len(shown) <= 8
    assert {f"truth:{gene}" for gene in shown} <= set(maps.columns)


def test_maps_are_answered_by_the_fits_of_another_protocol(run: Run) -> None:
    assert not (PREDICTIONS / MAPS).exists()
    told = record(MAPS, SECTIONS, NETWORK).hashes["predictions"]
    assert told == read_seal(answers(NETWORK), KIND).hash == record(EXPRESSION, COHORT, NETWORK).hashes["predictions"]


def test_the_oracle_is_asked_as_windows_and_the_map_is_their_average(run: Run) -> None:
    """Out of files alone: cells' signals averaged over tiles, then over the 2 x 2 windows that cover a tile."""
    section, store = sections().section(0), stored()
    law = pd.read_parquet("data/truth/section_loadings.parquet").set_index("gene")
    gene = next(gene for gene in store.genes if law.loc[gene, "visible_share"] > 0.3)
    cells = pd.read_parquet(f"data/truth/sections/{SECTION}.parquet")
    traits = np.array([law.loc[gene, f"look_{k}"] for k in range(4)], float)
    kinds = np.array([law.loc[gene, f"kind_{k}"] for k in range(law.filter(like="kind_").shape[1])], float)
    signal = kinds[cells["kind"]] + cells.filter(like="look_").to_numpy(float) @ traits
    um = default_params()["tasks"]["bulk"]["tile"]["um"]
    place = {(r, c): k for k, (r, c) in enumerate(zip(section.row.tolist(), section.column.tolist(), strict=True))}
    tile = np.array([place.get((int(y // um), int(x // um)), -1) for x, y in cells[["x_um", "y_um"]].to_numpy(float)])
    value = np.array([signal[tile == k].mean() if (tile == k).any() else signal.mean() for k in range(len(place))])
    total, times = np.zeros(len(place)), np.zeros(len(place))
    for r in range(section.row.max()):
        for c in range(section.column.max()):
            over = [place[at] for at in ((r, c), (r, c + 1), (r + 1, c), (r + 1, c + 1)) if at in place]
            if len(over) > 2:
                total[over] += value[over].mean()
                times[over] += 1
    table = pd.read_parquet(answers("bulk_oracle") / SECTIONS / f"{SECTION}.parquet")
    at = [place[tuple(pair)] for pair in table[["row", "column"]].to_numpy().tolist()]
    assert sorted(at) == np.flatnonzero(times).tolist()
    np.testing.assert_allclose(table[gene], (total / np.maximum(times, 1))[at], atol=2e-3)


def test_the_external_answer_is_the_mean_of_the_five_models(run: Run) -> None:
    folder = answers("bulk_train_mean")
    by_fold = [pd.read_parquet(folder / f"{k:04d}.parquet").drop(columns=["slide", "patient"]) for k in range(5)]
    table = pd.read_parquet(folder / EXTERNAL / "0000.parquet")
    genes = [name for name in table.columns if name not in ("slide", "patient")]
    expected = np.mean([part[genes].iloc[0].to_numpy(np.float64) for part in by_fold], axis=0)
    np.testing.assert_allclose(table[genes].to_numpy(), np.tile(expected, (len(table), 1)), rtol=1e-6)
    assert len(table) == len(stored(EXTERNAL).slides)
    assert table["patient"].nunique() == 8


def test_a_cells_files_are_those_of_its_states(run: Run) -> None:
    """A model with a twin answers twice for slides, once for maps and for the patients it was stopped by."""
    folds = {f"{k:04d}{state}.parquet" for k in range(5) for state in ("", "-untrained", "-validation")}
    files = {*folds, f"{EXTERNAL}/0000.parquet", f"{EXTERNAL}/0000-untrained.parquet", f"{SECTIONS}/{SECTION}.parquet"}
    assert set(read_seal(answers(NETWORK), KIND).files) == files | {"manifest.json"}
    without = {name for name in files if "untrained" not in name}
    assert set(read_seal(answers("bulk_train_mean"), KIND).files) == without | {"manifest.json"}


def test_the_report_has_its_boards_figures_and_the_page_of_maps(run: Run) -> None:
    paths = run_report(run)
    boards = json.loads(paths.json.read_text())["leaderboards"]
    assert {(board["protocol"], board["board"]) for board in boards} == {
        (EXPRESSION, AVERAGE),
        (EXPRESSION, COHORT),
        (MAPS, SECTIONS),
    }
    assert "A constant map has an Earth Mover's Distance of" in paths.html.read_text().replace("&#39;", "'")
    assert any(SECTION in path.read_text() for path in paths.html.parent.rglob("*.html"))
    assert {"violins", "co_expression"} <= {path.stem.partition("-")[0] for path in paths.figures}


def test_a_killed_run_goes_on_to_the_same_bytes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folds that were finished are not fitted again, nor is the pre-training."""
    folder, whole = answers(NETWORK), bulk_fit.fit
    before, done = contents(answers(NETWORK)), []
    shutil.rmtree(folder)
    for kept in (CACHE / "answers" / EXPRESSION / COHORT).glob(f"{NETWORK}*"):
        shutil.rmtree(kept)

    def killed(*arguments: Any) -> Any:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(arguments[1])
        return whole(*arguments)

    monkeypatch.setattr(bulk_fit, "fit", killed)
    monkeypatch.setattr(bulk_fit, "pretrain", lambda *_: pytest.fail("pre-trained again"))
    with pytest.raises(KeyboardInterrupt):
        predict_cells(run, cells(run, NETWORK))
    assert not folder.exists()
    again = []
    monkeypatch.setattr(bulk_fit, "fit", lambda *arguments: again.append(arguments[1]) or whole(*arguments))
    predict_cells(run, cells(run, NETWORK))
    assert sorted(done + again) == ["0", "1", "2", "3", "4"]
    assert contents(folder) == before


def items(run: Run, protocol: str) -> dict[str, Path]:
    return {
        item.model: item.folder for board in run.boards_of(run.protocols[protocol]) for item in items_of(run, board)
    }


@pytest.mark.parametrize(
    ("change", "moved"),
    [({"genes": 7}, {MAPS}), ({"modules": "data/other.json"}, {MAPS}), ({"published_in": ["a paper"]}, {MAPS})],
)
def test_what_scoring_alone_reads_fits_nothing_anew(run: Run, change: dict[str, Any], moved: set[str]) -> None:
    """Scores of slides are keyed by the sections, too: both boards' cells lie in one folder of answers."""
    Path("data/other.json").write_text(json.dumps({"only": ["GFAP"]}))
    entries = cohorts()
    write_params(Path(), values(cohorts={"bulk": entries | {SECTIONS: entries[SECTIONS] | change}}))
    try:
        changed = the_run()
        before, after = ({cell.out: cell.answers for cell in cells_of(one, run_inputs(one))} for one in (run, changed))
        scores = {name: items(changed, name) for name in (EXPRESSION, MAPS)}
    finally:
        write_params(Path(), values())
    assert before == after
    for name in moved:
        assert not set(scores[name].values()) & set(items(run, name).values())


def test_a_known_run_scores_nothing_again(run: Run) -> None:
    for protocol in (EXPRESSION, MAPS):
        assert all(folder.is_dir() for folder in items(run, protocol).values())


@pytest.mark.parametrize("other", ["split", f"cohort {SECTIONS}"])
def test_maps_of_other_folds_or_sections_are_refused(run: Run, other: str) -> None:
    folder = answers("bulk_oracle")
    seal = read_seal(folder, KIND)
    write_seal(folder, KIND, {**seal.of, other: "0" * 64})
    try:
        wanted = items_of(run, run.boards_of(run.protocols[MAPS])[0], ("bulk_oracle",))
        with pytest.raises(UserError, match=f"answers were made for another {other}"):
            score_items(run, wanted)
    finally:
        write_seal(folder, KIND, seal.of)


def test_the_oracle_is_not_asked_where_another_cohorts_truth_is_unknown(run: Run) -> None:
    cell = next(cell for cell in cells_of(run, run_inputs(run)) if cell.entry.name == "bulk_oracle")
    other = cell.question.companions[EXTERNAL]
    entry = other.entry.model_copy(update={"truth": None})
    hidden = replace(other, request=replace(other.request, entry=entry))
    question = replace(cell.question, companions={**cell.question.companions, EXTERNAL: hidden})
    assert bulk_fit.lacks(question, cell.entry.card) == f"needs a known truth, and {EXTERNAL} has none"


@pytest.mark.slow
def test_a_second_run_gives_the_same_bytes(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything anew in another folder, from the same data."""
    shutil.copytree(checkout / "data", tmp_path / "data")
    shutil.copy(checkout / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    run_all()
    for place in ("cohorts", "splits", "audits", "predictions", "scores", "metrics"):
        assert contents(tmp_path / "runs" / place) == contents(checkout / "runs" / place), place


RELEASED = "sequoia_released_weights"


def released_files(folder: Path, run: Run) -> dict[str, dict[str, str]]:
    """Genes and splits of the run's own cohort, and fold weights in the release's layout at this run's sizes."""
    store, split = stored(), read_split(split_folder(EXPRESSION, COHORT))[0]
    named = [[store.patients[row] for row in fold.test] for fold in split.folds]
    every = [name for fold in named for name in fold]
    told = {
        f"fold_{k}": {"train": [one for one in every if one not in fold], "val": [], "test": fold}
        for k, fold in enumerate(named)
    }
    width = int(np.load(next(CACHE.rglob(f"{COHORT}/uni-derived@*/mean.npy"))).shape[1])
    state = published_layout(width, default_params()["tasks"]["bulk"]["super_tiles"] // 4, len(store.genes))
    files = {"sequoia_genes": folder / "genes.csv", "sequoia_splits": folder / "splits.json"}
    files["sequoia_genes"].write_text("\n".join(["gene", *store.genes]))
    files["sequoia_splits"].write_text(json.dumps({"TCGA-GBM": told}))
    for fold in range(5):
        files[f"sequoia_gbm_{fold}"] = path = folder / f"{fold}.safetensors"
        save_file({key: part + 0.01 * fold for key, part in state.items()}, path)
    return {part: {"path": str(path), "sha256": sha256_of(path)} for part, path in files.items()}


def test_a_model_of_published_weights_alone_is_skipped_without_and_asked_with_them(run: Run, tmp_path: Path) -> None:
    """Every file stands in the record, maps are made by the released windows, and nothing was trained."""
    named = released_files(tmp_path, run)
    try:
        write_params(Path(), values(models=[*MODELS, RELEASED]))
        (skipped,) = cells(the_run(), RELEASED)
        assert skipped.reason == "answers with published weights alone, and the run's file names none of them"
        assert not skipped.items
        write_params(Path(), values(models=[*MODELS, RELEASED], weights=named))
        asked = the_run()
        predict_cells(asked, cells(asked, RELEASED))
    finally:
        write_params(Path(), values())
    manifest = read_manifest(answers(RELEASED))[0]
    assert {one.sha256 for one in manifest.weights if one.sha256} == {one["sha256"] for one in named.values()}
    assert manifest.schedule == ()
    ours, map_of_it = (answers(name) / SECTIONS / f"{SECTION}.parquet" for name in (NETWORK, RELEASED))
    asked_of, found = pd.read_parquet(ours), pd.read_parquet(map_of_it)
    assert found[["row", "column"]].equals(asked_of[["row", "column"]])  # released windows cover the same tiles
    assert np.isfinite(found.to_numpy()).all()
