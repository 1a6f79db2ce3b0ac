"""Virtual staining on a tiny phantom through the engine, stage by stage, as DVC runs them."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from baselines.staining.ihc_unet import IhcUNet
from baselines.training import image_training
from protocols.contract import Card, Settings
from protocols.errors import UserError
from protocols.metrics.image_similarity import PSNR_CAP_DB, psnr
from protocols.phantom.ihc import generate_ihc
from protocols.staining.task import TASK
from protocols.task import Fit, Question
from suite.engine import keys
from suite.engine.closure import closure_of
from suite.engine.inputs import run_inputs
from suite.engine.predict import cells_of, predict_cells
from suite.engine.questions import opened, question_of
from suite.engine.report import run_report
from suite.engine.run import Run
from suite.engine.score import run_score
from suite.places import (
    AUDITS,
    CACHE,
    COHORTS,
    PREDICTIONS,
    SCORES,
    SPLITS,
    audit_folder,
    score_folder,
)
from tests.suite.engine_run import run_all, the_run, write_params
from tests.suite.staining_run import (
    BOARDS,
    COHORTS_OF,
    MODELS,
    NETWORK,
    PROTOCOL,
    SAVED_EVERY,
    STEPS,
    TILE,
    TINY,
    answers,
    plan,
    record,
    values,
)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("checkout")
    generate_ihc(folder / "data", TINY, seed=0)
    write_params(folder, values())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(IhcUNet, "plan", plan)
        run_all()
        yield folder


@pytest.fixture
def run(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(checkout)
    return the_run()


def question(run: Run, name: str, *, scoring: bool = False) -> Question:
    board = {one.name: one for one in run.boards}[name]
    return question_of(run, run.protocols[PROTOCOL], board, scoring=scoring)


def contents(folder: Path, pattern: str = "*") -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob(pattern)) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def of_network() -> dict[str, dict[str, bytes]]:
    return {board: contents(answers(NETWORK, board)) for board in BOARDS}


def forget_network() -> None:
    for path in [*PREDICTIONS.glob(f"*/*/{NETWORK}"), *CACHE.glob(f"answers/*/*/{NETWORK}.*")]:
        shutil.rmtree(path)


def predict_network(run: Run) -> None:
    predict_cells(run, cells_of(run, run_inputs(run), (NETWORK,)))


def test_boards_of_every_model(run: Run) -> None:
    assert sorted(board.name for board in run.boards) == sorted(BOARDS)
    for board in BOARDS:
        made = record(NETWORK, board)
        patients = 5 if board.endswith("_ER") else 4
        assert (made.status, made.task, made.board) == ("scored", "staining", board)
        assert made.counts["patients"] == made.headline.n_patients == len(made.per_patient) == patients
        assert (made.counts["patches"], made.counts["tiles"]) == (2 * patients, 8 * patients)  # every patch, once
        assert made.headline.mean == pytest.approx(np.mean(list(made.per_patient.values())))
        assert (made.cohort["unit"], made.cohort["n_patients"], made.cohort["n_folds"]) == ("patch", patients, 2)
    assert record(NETWORK, "membrane_HER2").cohort["name"] == "membrane, HER2"
    oracle = record("ihc_oracle", "exact_ER")
    assert (oracle.headline.mean, oracle.counts["identical_tiles"]) == (PSNR_CAP_DB, oracle.counts["tiles"])
    assert (record("ihc_oracle", "jitter_ER").headline.mean or PSNR_CAP_DB) < 30
    assert record("ihc_oracle", "jitter_ER").summary["psnr_registered"] == PSNR_CAP_DB
    assert record("ihc_identity", "exact_ER").summary["psnr"] == record("ihc_identity", "exact_ER").headline.mean


def test_the_oracle_is_skipped_where_nothing_is_registered(run: Run) -> None:
    made = record("ihc_oracle", "membrane_HER2")
    assert (made.status, made.reason) == ("skipped", "needs a registered truth, and a real cohort has none")
    assert made.headline.mean is None
    assert not list(answers("ihc_oracle", "membrane_HER2").glob("*.npy"))


def test_a_marker_that_the_cohort_lacks_is_a_reason(run: Run) -> None:
    asked = question(run, "exact_ER")
    other = replace(asked, board=replace(asked.board, name="exact_PR", part="PR"))
    card = Card(name="any", title="Any", task="staining")
    assert TASK.lacks is not None
    assert TASK.lacks(other, card) == "the cohort has no patch of PR"
    assert TASK.lacks(asked, card) == ""


def test_a_membrane_marker_has_no_h_score(run: Run) -> None:
    made = record(NETWORK, "membrane_HER2")
    assert not [key for key in made.summary if key.startswith("h_score")]
    assert made.details["h_score"] == {}
    assert (made.summary["psnr_registered"], made.cohort["phantom"]) == (None, False)
    assert made.details.keys() == {"h_score", "shift_px", "mpp", "patches"}


def test_scores_are_of_the_right_tile(run: Run) -> None:
    """Row by row: an answer is compared with the tile of its own name."""
    units = pd.read_parquet(score_folder(PROTOCOL, "jitter_PR", NETWORK, 0) / "units.parquet")
    asked = question(run, "jitter_PR")
    store = asked.cohort.store
    paths = dict(zip(store.name_of, store.table["ihc"], strict=True))
    for k, fold in enumerate(asked.split.folds):
        images = np.load(answers(NETWORK, "jitter_PR") / f"{k:04d}.npy")
        rows = units[units["fold"] == fold.name]
        assert len(rows) == len(images)
        for answer, (name, score) in zip(images, rows[["tile", "psnr"]].itertuples(index=False), strict=True):
            patch, row, column = re.fullmatch(r"(.+)_(\d)_(\d)", name).groups()  # type: ignore[union-attr]
            with Image.open(store.root / str(paths[patch])) as image:
                whole = np.asarray(image)
            top, left = TILE * int(row), TILE * int(column)
            truth = whole[top : top + TILE, left : left + TILE]
            assert psnr(answer[None], truth[None])[0] == pytest.approx(score, rel=1e-12)


def test_the_same_samples_of_every_model(run: Run) -> None:
    samples = [np.load(score_folder(PROTOCOL, "jitter_ER", model, 0) / "samples.npy") for model in MODELS]
    for other in samples[1:]:
        np.testing.assert_array_equal(samples[0][:, :2], other[:, :2])
    np.testing.assert_array_equal(samples[1][:, 0], samples[1][:, 2])  # identity answers with the H&E


def test_audits_pass_and_roles_share_no_patient(run: Run) -> None:
    for name in COHORTS_OF:
        audit = json.loads((audit_folder(PROTOCOL, name) / "audit.json").read_text())
        assert audit["verdict"] == "pass"
        looked = [finding["check"] for finding in audit["findings"]]
        assert "no look-alike image of two people" in looked, "on phantoms and on real data"
        for fold in audit["folds"]:
            roles = {role["role"]: set(role["patients"]) for role in fold["roles"]}
            assert list(roles) == ["train", "validation", "test"]
            assert len(set.union(*roles.values())) == sum(map(len, roles.values()))
    counts = [role["counts"] for fold in audit["folds"] for role in fold["roles"] if role["role"] == "test"]
    assert sum(one["patches of HER2"] for one in counts) == 8


def test_each_marker_has_its_crops_and_a_view_reads_its_own_rows(run: Run, tmp_path: Path) -> None:
    from protocols.staining.tile_crops import embedding_reader

    cohort = opened(TASK, run.requests("staining")["jitter"])
    assert TASK.crops is not None
    sets = {one.key: one for one in TASK.crops(cohort)}
    assert {key: (len(one.rows), one.whole_view) for key, one in sets.items()} == {"ER": (40, True), "PR": (32, True)}
    store = cohort.store
    tiles = store.tiles(store.rows_of("PR"))
    np.testing.assert_array_equal(sets["PR"].source.read(np.arange(32)), store.reader("he", tiles)(np.arange(32)))
    batches = list(sets["PR"].source.batches(np.array([5, 3, 9]), 2))
    assert [rows.tolist() for rows, _ in batches] == [[0, 1], [2]]
    np.testing.assert_array_equal(batches[1][1][0], sets["PR"].source.read(np.array([9]))[0])
    np.save(tmp_path / "e.npy", np.arange(32, dtype=np.float32)[:, None])
    fold = question(run, "jitter_PR").split.folds[1]
    read = embedding_reader(store, "PR", tmp_path / "e.npy", fold.test)
    asked = store.tiles(store.rows_of("PR", fold.test)).name.tolist()
    expected = [tiles.name.tolist().index(name) for name in asked]
    assert read(np.arange(len(asked)))[:, 0].tolist() == expected


# What a result depends on.
def test_only_what_the_entry_names_is_looked_at(run: Run) -> None:
    request = run.requests("staining")["exact"]
    before = keys.of_cohort(run, request)["data"]
    named = {path.as_posix() for path in TASK.data_files(request)}
    assert {path.partition("/Patient")[0] for path in named} == {
        "data/exact/Images/HandE/ER", "data/exact/Images/IHC/ER", "data/exact/Labels/ER.csv",
    }  # fmt: skip
    assert len(named) == 21  # ten patches of two sides, and the labels
    twin = {path.as_posix() for path in TASK.data_files(run.requests("staining")["jitter"])} - named
    assert sum(path.startswith("data/exact/") for path in twin) == 8  # the registered IHC of PR; ER's is named above
    left = [Path("data/exact/notes.txt"), Path("data/exact/Images/HandE/ER/Thumbs.db"), Path("data/exact/Labels/a.csv")]
    for path in left:
        path.write_text("a stranger")
    try:
        assert keys.of_cohort(run, request)["data"] == before
    finally:
        for path in left:
            path.unlink()


@pytest.mark.parametrize("place", ["data/exact/Images/IHC/ER", "data/exact/Labels"])
def test_a_changed_byte_is_another_cohort(run: Run, place: str) -> None:
    victim = next(path for path in sorted(Path(place).rglob("*")) if path.is_file() and "ER" in path.as_posix())
    whole, before = victim.read_bytes(), keys.of_cohort(run, run.requests("staining")["exact"])["data"]
    victim.write_bytes(whole + b"\n")
    try:
        assert keys.of_cohort(run, run.requests("staining")["exact"])["data"] != before
    finally:
        victim.write_bytes(whole)


@pytest.mark.parametrize("changed", [{"mpp": 0.5}, {"published_in": ["somewhere"]}, {"settings": {"shift_px": 1}}])
def test_what_scoring_alone_reads_moves_scores_alone(run: Run, tmp_path: Path, changed: dict[str, Any]) -> None:
    from suite.config import read_config

    cohorts = {name: {**entry, **(changed if name == "exact" else {})} for name, entry in COHORTS_OF.items()}
    write_params(tmp_path, values(cohorts))
    other = Run(read_config(tmp_path / "params.yaml"))
    mine, theirs = (one.requests("staining")["exact"] for one in (run, other))
    protocol, entry = run.protocols[PROTOCOL], run.models[NETWORK]
    assert keys.of_cohort(run, mine) == keys.of_cohort(other, theirs)
    assert keys.of_fit(run, protocol, entry, mine, 0) == keys.of_fit(other, protocol, entry, theirs, 0)
    assert keys.of_score(run, protocol, mine) != keys.of_score(other, protocol, theirs)


def closure(*parts: str) -> set[str]:
    modules = {getattr(TASK, part).module for part in parts}
    return {Path(name).stem for name, _ in closure_of(*modules).named if name.startswith("protocols/staining/")}


def test_a_mended_score_trains_nothing_anew_and_a_mended_filter_reads_anew() -> None:
    assert not closure("open_store", "fit", "jobs", "boards", "lacks") & {
        "score", "score_board", "filters", "read", "submit", "audit", "checks",
    }  # fmt: skip
    assert not closure("open_store", "score", "describe", "boards") & {"fit", "views", "tile_crops", "filters", "read"}
    assert "filters" in closure("read")


def test_a_cohort_depends_on_its_readers_sources(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    starts: list[str] = []
    monkeypatch.setattr(keys, "code", lambda *given: starts.extend(map(str, given)) or "")
    keys.of_cohort(run, run.requests("staining")["exact"])
    named = {name for name, _ in closure_of(*starts).named}
    assert {"protocols/staining/readers/ihc4bc.py", "protocols/readers/ihc4bc.py"} <= named


@pytest.mark.slow
def test_report_has_a_board_and_figures_a_marker(run: Run) -> None:
    paths = run_report(run)
    boards = json.loads(paths.json.read_text())["leaderboards"]
    assert sorted(board["board"] for board in boards) == sorted(BOARDS)
    drawn = {path.name for path in paths.figures}
    assert {f"ihc_grid_ihc4bc-{board}.png" for board in BOARDS} < drawn
    with_scores = {f"h_scores_ihc4bc-{board}.png" for board in BOARDS if board != "membrane_HER2"}
    assert {name for name in drawn if name.startswith("h_scores") and name.endswith("png")} == with_scores


class KilledError(BaseException):
    """As SIGINT: no handler of errors takes it."""


def test_a_run_killed_in_training_ends_with_the_same_bytes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    before = of_network()
    forget_network()
    save, saved = image_training.save, []

    def killed_after(path: Path, identity: str, step: int, *rest: Any) -> None:
        save(path, identity, step, *rest)
        saved.append(step)
        if len(saved) == 2 + STEPS // SAVED_EVERY:  # in the second fold
            raise KilledError

    monkeypatch.setattr(IhcUNet, "plan", plan)
    monkeypatch.setattr(image_training, "save", killed_after)
    with pytest.raises(KilledError):
        predict_network(run)
    assert saved == [2, 4, 6, 2, 4]
    assert not list(PREDICTIONS.glob(f"*/*/{NETWORK}"))
    left = list((CACHE / "fits").rglob("checkpoint.pt"))
    assert len(left) == 1  # a finished fold's is gone
    assert left[0].parent.name.endswith(".workspace")
    restore, started = image_training.restore, list[int]()
    monkeypatch.setattr(image_training, "save", save)

    def told(*given: Any) -> int:
        started.append(restore(*given))
        return started[-1]

    monkeypatch.setattr(image_training, "restore", told)
    predict_network(run)
    assert started == [4, *[0] * 6]  # one of eight folds was kept, and one went on
    assert of_network() == before
    assert not list((CACHE / "fits").rglob("*.workspace"))


def test_finished_predictions_are_not_made_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    before = of_network()
    monkeypatch.setattr(IhcUNet, "fit", lambda *_: pytest.fail("fitted again"))
    predict_network(run)
    assert of_network() == before


def test_scoring_anew_gives_the_same_bytes(run: Run) -> None:
    before = contents(SCORES)
    for folder in (SCORES, CACHE / "scores"):
        shutil.rmtree(folder)
    run_score(run)
    assert contents(SCORES) == before


@pytest.mark.slow
def test_two_runs_are_the_same_to_the_byte(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(checkout / "data", tmp_path / "data")
    write_params(tmp_path, values())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(IhcUNet, "plan", plan)
    run_all()
    for place in (COHORTS, SPLITS, AUDITS, PREDICTIONS, SCORES):
        first = contents(checkout / place)
        assert first, place
        assert contents(tmp_path / place) == first, place


# What scoring and predicting refuse.
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:200]), "unreadable"),
        (lambda path: path.write_bytes(b""), "unreadable"),
        (lambda path: path.unlink(), "unreadable"),
        (lambda path: np.save(path, np.load(path)[:, :8]), "fold 0: images"),
        (lambda path: np.save(path, np.load(path).astype(np.float32)), "float32"),
        (lambda path: np.save(path, np.load(path)[:-1]), "an array .* expected 24 images"),
        (lambda path: np.save(path, np.repeat(np.load(path), 2, axis=0)), "an array .* expected 24 images"),
    ],
    ids=["cut", "empty", "gone", "smaller", "floats", "too few", "too many"],
)
def test_spoilt_answers_are_one_line(run: Run, tmp_path: Path, spoil: Any, message: str) -> None:
    shutil.copytree(answers("ihc_mean", "exact_ER"), tmp_path / "exact_ER")
    spoil(tmp_path / "exact_ER" / "0000.npy")
    with pytest.raises(UserError, match=message):
        TASK.score(question(run, "exact_ER", scoring=True), tmp_path / "exact_ER")


class Floats:
    """A model of somebody's that forgets to round."""

    card: ClassVar[Card] = Card(
        name="floats", title="Floats", task="staining", licence="none", training_overlap="none", summary="A test."
    )

    def fit(self, train: Any) -> None:
        pass

    def predict(self, test: Any, rows: Any) -> Any:
        return test.he(rows) / 255


def test_a_model_that_answers_with_floats_is_named(run: Run, tmp_path: Path) -> None:
    fit = Fit(question(run, "jitter_ER"), Floats.card, Floats, Settings(), {}, tmp_path)
    with pytest.raises(UserError, match=r"model floats, jitter_ER fold 0: predict returned float64"):
        TASK.fit(fit, "0", tmp_path)
