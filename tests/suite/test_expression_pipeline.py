"""Single-cell expression through the engine's stages on a tiny phantom, one after the other, as DVC runs them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from protocols.errors import UserError
from protocols.expression import fit
from protocols.manifest import KIND
from protocols.phantom.generate import generate
from protocols.phantom.settings import MINI
from protocols.records import ScoreRecord
from protocols.sealed import read_seal, write_seal
from protocols.splits import read_split
from suite.config import read_config
from suite.engine import keys
from suite.engine.inputs import run_inputs
from suite.engine.predict import Cell, cells_of, predict_cells
from suite.engine.questions import question_of
from suite.engine.run import Run
from suite.engine.score import items_of, score_items
from suite.engine.submit import handed_in, submit
from suite.engine.units import write_units
from suite.places import CACHE, PREDICTIONS, SUBMISSIONS, answers_folder, cohort_folder, score_folder, split_folder
from tests.suite.engine_run import params, run_all, the_run, write_params

PROTOCOLS = ["intra_patient", "inter_patient", "cross_cancer"]
TINY = replace(MINI, cancers=("breast", "lung"), patients_per_cancer=2, image_px=384, oracle_draws=64)
COHORT = "tiny"
MODELS = ["oracle", "train_mean", "stain_statistics", "newcomer"]
NEWCOMER = """
import numpy as np
from protocols.contract import Card

class Newcomer:
    card = Card(name="newcomer", title="Newcomer")
    def fit(self, train):
        self.mean = train.filled_targets().mean(axis=0)
    def predict(self, test):
        return np.tile(self.mean, (len(test), 1)) + test.crops().mean(axis=(1, 2, 3))[:, None] / 255
"""


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("phantom")
    generate(out, TINY, seed=0)
    return out


def entry(phantom: Path) -> dict[str, Any]:
    return {
        "reader": "xenium",
        "root": str(phantom),
        "manifest": str(phantom / "slides.csv"),
        "truth": str(phantom / "truth"),
    }


def values(cohorts: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return params(
        protocols=PROTOCOLS,
        models=MODELS,
        cohorts={"expression": cohorts},
        adapters={"newcomer": "newcomer.py:Newcomer"},
    )


@pytest.fixture(scope="module")
def checkout(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working folder with a finished run on the tiny phantom."""
    folder = tmp_path_factory.mktemp("checkout")
    write_params(folder, values({COHORT: entry(phantom)}))
    (folder / "newcomer.py").write_text(NEWCOMER)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run_all()
        yield folder


@pytest.fixture
def run(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(checkout)
    return the_run()


def record(protocol: str, model: str) -> ScoreRecord:
    return ScoreRecord.read(score_folder(protocol, COHORT, model, 0))


def cells(run: Run, protocol: str, model: str) -> list[Cell]:
    return [cell for cell in cells_of(run, run_inputs(run), (model,)) if cell.protocol.name == protocol]


@contextmanager
def rewritten(checkout: Path, old: str, new: str) -> Iterator[Run]:
    """The run with another newcomer, as the next process sees it; the file is put back afterwards."""
    (checkout / "newcomer.py").write_text(NEWCOMER.replace(old, new))
    keys.closure.cache_clear()
    try:
        yield the_run()
    finally:
        (checkout / "newcomer.py").write_text(NEWCOMER)
        keys.closure.cache_clear()


def forget(protocol: str, model: str) -> None:
    """Remove a cell's answers and everything that was kept of them."""
    shutil.rmtree(answers_folder(protocol, COHORT, model, 0))
    kept = [path for path in CACHE.glob(f"*/{protocol}/{COHORT}/{model}*") if path.parts[-4] != "scores"]
    assert kept
    for path in kept:
        shutil.rmtree(path)


def folder_bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_controls_bracket_the_scale(run: Run, protocol: str) -> None:
    mean, best, stain = (record(protocol, name) for name in ("train_mean", "oracle", "stain_statistics"))
    assert mean.headline.mean == 0.0
    assert best.headline.mean is not None
    assert stain.headline.mean is not None
    assert 0.0 < stain.headline.mean < best.headline.mean
    assert (best.task, best.board, best.cohort["name"]) == ("expression", COHORT, COHORT)
    # The third cancer, of one patient with two slides, is asked within slides alone.
    assert len({row["slide"] for row in best.details["biology"]}) == (6 if protocol == "intra_patient" else 4)


def question(run: Run, protocol: str) -> Any:
    (board,) = run.boards_of(run.protocols[protocol])
    return question_of(run, run.protocols[protocol], board)


def test_predictions_are_the_same_bytes_twice(run: Run) -> None:
    folder = answers_folder("inter_patient", COHORT, "stain_statistics", 0)
    first = folder_bytes(folder)
    forget("inter_patient", "stain_statistics")
    predict_cells(run, cells(run, "inter_patient", "stain_statistics"))
    assert folder_bytes(folder) == first


def test_a_killed_run_goes_on_and_ends_in_the_same_bytes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight groups, the same block of slides of different patients: those that were finished are not fitted again."""
    folder = answers_folder("intra_patient", COHORT, "stain_statistics", 0)
    whole, real = folder_bytes(folder), fit._answer
    done: list[str] = []
    forget("intra_patient", "stain_statistics")

    def dies_in_the_second_group(*arguments: Any) -> Any:
        if len(done) == 7:
            raise KeyboardInterrupt
        done.append(arguments[-1].name)
        return real(*arguments)

    monkeypatch.setattr(fit, "_answer", dies_in_the_second_group)
    with pytest.raises(KeyboardInterrupt):
        predict_cells(run, cells(run, "intra_patient", "stain_statistics"))
    assert not folder.exists()
    again: list[str] = []

    def counted(*arguments: Any) -> Any:
        again.append(arguments[-1].name)
        return real(*arguments)

    monkeypatch.setattr(fit, "_answer", counted)
    predict_cells(run, cells(run, "intra_patient", "stain_statistics"))
    assert folder_bytes(folder) == whole
    split, _ = read_split(split_folder("intra_patient", COHORT))
    assert (len(split.folds), len(split.groups())) == (24, 8)
    assert sorted(again) == sorted({fold.name for fold in split.folds} - set(done[:5]))


def test_a_changed_model_changes_its_own_cells_alone(run: Run, checkout: Path) -> None:
    before = {cell.out: cell.answers for cell in cells_of(run, {})}
    with rewritten(checkout, "/ 255", "/ 256") as changed:
        after = {cell.out: cell.answers for cell in cells_of(changed, {})}
    moved = {out.parent.name for out in before if before[out] != after[out]}
    assert (len(before), moved) == (len(PROTOCOLS) * len(MODELS), {"newcomer"})


def test_a_models_nan_is_named(run: Run, checkout: Path) -> None:
    whole = folder_bytes(answers_folder("cross_cancer", COHORT, "newcomer", 0))
    with (
        rewritten(checkout, "/ 255", "* np.nan") as changed,
        pytest.raises(UserError, match=r"model newcomer, fold without .*: predict returned NaN or infinity"),
    ):
        predict_cells(changed, cells(changed, "cross_cancer", "newcomer"))
    assert folder_bytes(answers_folder("cross_cancer", COHORT, "newcomer", 0)) == whole


def test_changed_predictions_are_refused(run: Run) -> None:
    victim = answers_folder("inter_patient", COHORT, "train_mean", 0) / "0000.parquet"
    whole = victim.read_bytes()
    victim.write_bytes(whole[:-7])
    try:
        with pytest.raises(UserError, match=r"0000\.parquet was altered since it was written"):
            items_of(run, run.boards_of(run.protocols["inter_patient"])[0], ("train_mean",))
    finally:
        victim.write_bytes(whole)


@pytest.mark.parametrize("other", ["split", "cohort"])
def test_predictions_of_another_split_or_cohort_are_refused(run: Run, other: str) -> None:
    folder = answers_folder("inter_patient", COHORT, "train_mean", 0)
    seal = read_seal(folder, KIND)
    write_seal(folder, KIND, {**seal.of, other: "0" * 64})
    try:
        items = items_of(run, run.boards_of(run.protocols["inter_patient"])[0], ("train_mean",))
        with pytest.raises(UserError, match=f"answers were made for another {other}"):
            score_items(run, items)
    finally:
        write_seal(folder, KIND, seal.of)


def table(run: Run, protocol: str = "inter_patient") -> pd.DataFrame:
    """The truth itself plus noise, as somebody else's table."""
    asked, rng = question(run, protocol), np.random.default_rng(0)
    store, parts = asked.cohort.store, []
    for fold in asked.split.folds:
        shape = (len(fold.test), len(fold.genes))
        answer = np.nan_to_num(store.targets(fold.test, fold.genes)) + rng.normal(size=shape)
        part = store.units.iloc[fold.test][["slide", "cell_id"]].reset_index(drop=True)
        parts.append(pd.concat([part, pd.DataFrame(answer, columns=list(fold.genes))], axis=1))
    joined: pd.DataFrame = pd.concat(parts, ignore_index=True).fillna(0.0)
    return joined


def handed(run: Run, path: Path, model: str | None, protocol: str = "inter_patient") -> list[ScoreRecord]:
    return submit(run, run.protocols[protocol], handed_in(run.config, run.tasks["expression"], path, model, ""))


def test_a_submission_is_scored_like_a_model_in_any_row_order(run: Run, tmp_path: Path) -> None:
    theirs = table(run)
    theirs.to_parquet(tmp_path / "a.parquet")
    theirs.sample(frac=1, random_state=1).to_csv(tmp_path / "b.csv", index=False, float_format="%.9g")
    (first,) = handed(run, tmp_path / "a.parquet", "theirs")
    (again,) = handed(run, tmp_path / "b.csv", "theirs_shuffled")
    assert first.headline.mean is not None
    assert first.headline.mean > 0.3
    assert first.headline.mean == pytest.approx(again.headline.mean, abs=1e-6)
    assert first.hashes["split"] == read_seal(split_folder("inter_patient", COHORT), "split").hash


def test_a_models_own_answers_handed_in_have_its_very_scores(run: Run, tmp_path: Path) -> None:
    split, _ = read_split(split_folder("intra_patient", COHORT))
    folder = answers_folder("intra_patient", COHORT, "stain_statistics", 0)
    parts = [pd.read_parquet(folder / f"{n:04d}.parquet").assign(fold=fold.name) for n, fold in enumerate(split.folds)]
    pd.concat(parts).sample(frac=1, random_state=0).to_parquet(tmp_path / "own.parquet")
    (theirs,), own = (
        handed(run, tmp_path / "own.parquet", "copy", "intra_patient"),
        record("intra_patient", "stain_statistics"),
    )
    assert (theirs.headline, theirs.summary, theirs.counts) == (own.headline, own.summary, own.counts)
    assert (theirs.per_gene, theirs.details) == (own.per_gene, own.details)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: pd.concat([t, t.iloc[:1]]), "duplicate rows"),
        (lambda t: t.iloc[1:], "test units missing"),
        (lambda t: t.assign(cell_id=["nobody", *t["cell_id"][1:]]), "not test units"),
        (lambda t: t.drop(columns=t.columns[3]), "columns missing"),
        (lambda t: t.assign(**{t.columns[3]: np.nan}), "finite numbers"),
        (lambda t: t.assign(**{t.columns[3]: "high"}), "not numeric"),
        (lambda t: t.drop(columns="slide"), "no column 'slide'"),
        (lambda t: t.assign(fold="breat/p1"), "unknown fold"),
        (lambda t: t.assign(cohort="tinny"), "unknown cohort 'tinny'.*did you mean 'tiny'"),
        (lambda t: t.assign(model="../up"), "is no plain name"),
        (lambda t: t.assign(model="oracle"), "is a model of params.yaml"),
    ],
)
def test_a_malformed_submission_is_one_clear_line(run: Run, tmp_path: Path, spoil: Any, message: str) -> None:
    spoiled = spoil(table(run).assign(model="bad"))
    spoiled.to_parquet(tmp_path / "bad.parquet")
    with pytest.raises(UserError, match=message) as caught:
        handed(run, tmp_path / "bad.parquet", None)
    assert "\n" not in str(caught.value)
    assert not list(SUBMISSIONS.glob("*/*/bad"))


def test_units_name_every_row_of_every_fold(run: Run, tmp_path: Path) -> None:
    rows = write_units(run, run.protocols["inter_patient"], tmp_path / "units.csv")
    told = pd.read_csv(tmp_path / "units.csv")
    split, _ = read_split(split_folder("inter_patient", COHORT))
    assert list(told.columns) == ["fold", "role", "slide", "cell_id", "x_px", "y_px"]
    assert rows == len(told) == sum(len(fold.train) + len(fold.test) for fold in split.folds)
    tested = told[told["role"] == "test"]
    assert not tested.duplicated(["slide", "cell_id"]).any()
    assert set(tested["slide"]) == set(told["slide"])


def test_what_the_manifest_does_not_name_changes_nothing(run: Run, phantom: Path) -> None:
    """The cohort's key covers its bundles; a file that nobody named may lie beside them."""
    (request,) = run.requests("expression").values()
    named = run.tasks["expression"].data_files(request)
    assert named[0] == phantom / "slides.csv"
    assert {path.parent for path in named[1:]} == {phantom / "xenium"}
    assert not any(path.is_relative_to(phantom / "truth") or path == phantom for path in named)


def test_two_cohorts_are_two_boards_and_a_table_says_which(
    phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one lacks its truth, as a real cohort does, and looks at smaller crops."""
    monkeypatch.chdir(tmp_path)
    real = {key: value for key, value in entry(phantom).items() if key != "truth"}
    real["settings"] = {"crop": {"um": 16}, "split": {"blocks": 2}}
    told = values({COHORT: entry(phantom), "real": real}) | {"protocols": ["intra_patient"], "models": MODELS[:2]}
    write_params(tmp_path, told | {"adapters": {}})
    run = run_all()
    assert {board.name for board in run.boards} == {COHORT, "real"}
    scores = {name: ScoreRecord.read(score_folder("intra_patient", name, "oracle", 0)) for name in (COHORT, "real")}
    assert scores[COHORT].status == "scored"
    assert scores["real"].reason == "needs a known truth, and a real cohort has none"
    mean = ScoreRecord.read(score_folder("intra_patient", "real", "train_mean", 0))
    assert (mean.cohort["crop_um"], mean.cohort["phantom"], mean.summary["reachable_mean"]) == (16, False, None)
    folds = {name: read_split(split_folder("intra_patient", name))[0].folds for name in (COHORT, "real")}
    assert len(folds[COHORT]) == 2 * len(folds["real"]) == 24
    parts = []
    for name in (COHORT, "real"):
        answers = answers_folder("intra_patient", name, "train_mean", 0)
        tables = [pd.read_parquet(answers / f"{n:04d}.parquet") for n in range(len(folds[name]))]
        parts.append(pd.concat(tables).assign(cohort=name))
    pd.concat(parts, ignore_index=True).to_parquet(tmp_path / "both.parquet")
    pd.concat(parts).drop(columns="cohort").to_parquet(tmp_path / "unsaid.parquet")
    both = handed(run, tmp_path / "both.parquet", "both", "intra_patient")
    assert {one.board: one.headline.mean for one in both} == {COHORT: 0.0, "real": 0.0}
    with pytest.raises(UserError, match="no column 'cohort'"):
        handed(run, tmp_path / "unsaid.parquet", "unsaid", "intra_patient")


def test_the_stored_cohort_carries_no_hash_of_its_own(run: Run) -> None:
    """The seal is the only one: two truths about one folder could differ."""
    folder = cohort_folder("expression", COHORT)
    assert "hash" not in json.loads((folder / "cohort.json").read_text())
    assert read_seal(folder, "cohort").files.keys() >= {"cohort.json", "units.parquet", "counts/0000.npz"}
    assert PREDICTIONS.is_dir()
    assert read_config().cohorts["expression"].keys() == {COHORT}
