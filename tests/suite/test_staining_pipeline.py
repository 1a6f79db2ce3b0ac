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
from baselines.staining.parts.pairs import Plan
from baselines.training import image_training
from protocols.contract import Card, Settings
from protocols.errors import UserError
from protocols.metrics.image_similarity import PSNR_CAP_DB, psnr
from protocols.phantom.ihc import generate_ihc
from protocols.phantom.ihc_settings import MINI_IHC
from protocols.records import ScoreRecord
from protocols.splits import read_split
from protocols.staining.splits import patient_folds
from protocols.staining.store import IhcStore
from protocols.staining.task import TASK
from protocols.task import Fit, Question
from suite.engine import keys
from suite.engine.ask import run_ask
from suite.engine.closure import closure_of
from suite.engine.inputs import run_inputs
from suite.engine.predict import cells_of, predict_cells
from suite.engine.questions import opened, question_of
from suite.engine.read import run_read
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
    answers_folder,
    audit_folder,
    score_folder,
    split_folder,
)
from tests.protocols.staining.trees import stored as stored_tree
from tests.suite.engine_run import params, run_all, the_run, write_params

PROTOCOL, NETWORK = "ihc4bc", "ihc_unet"
TINY = replace(
    MINI_IHC,
    profile="tiny",
    markers=(("ER", 5), ("PR", 4), ("Her2", 4)),
    rows=1,
    columns=2,
    patch_px=64,
    candidates=1,
    reachable_draws=2,
    edge_every=99,
    blurred_every=99,
)
TILE, STEPS, SAVED_EVERY = 32, 6, 2
MODELS = ["ihc_oracle", "ihc_identity", "ihc_mean", NETWORK]
BOARDS = ["jitter_ER", "jitter_PR", "exact_ER", "membrane_HER2"]
COHORTS_OF: dict[str, dict[str, Any]] = {
    "jitter": {"root": "data/jitter", "markers": ["ER", "PR"], "aligned": "data/exact", "truth": "data/truth"},
    "exact": {"root": "data/exact", "markers": ["ER"], "aligned": "data/exact", "truth": "data/truth"},
    # As a real cohort of HER2: no label a patch, no registered twin.
    "membrane": {"root": "data/jitter", "markers": ["her-2"], "labels": None},
}


def plan(_model: IhcUNet, _profile: str) -> Plan:
    return Plan(2, 1e-3, steps=STEPS, crop=0, anneal=True, save_every=SAVED_EVERY)


def values(cohorts: dict[str, dict[str, Any]] = COHORTS_OF, **changes: Any) -> dict[str, Any]:
    given = {name: {"mpp": 1.0, **entry} for name, entry in cohorts.items()}
    told = {
        "protocols": [PROTOCOL],
        "models": MODELS,
        "tasks": {"staining": {"folds": 2, "tile_px": TILE, "shift_px": 2}},
        "cohorts": {"staining": given},
    }
    return params(**{**told, **changes})


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


def record(model: str, board: str) -> ScoreRecord:
    return ScoreRecord.read(score_folder(PROTOCOL, board, model, 0))


def answers(model: str, board: str) -> Path:
    return answers_folder(PROTOCOL, board, model, 0)


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
        assert ("no shared tissue in two roles, by look" in looked) == ("truth" in COHORTS_OF[name])
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


# Faults, planted in a copy of the tree.
@pytest.fixture
def copied(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A checkout of its own with one cohort, whose tree may be spoilt."""
    shutil.copytree(checkout / "data", tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path, values({"jitter": COHORTS_OF["jitter"]}))
    return the_run()


def patches(side: str, marker: str = "ER") -> list[Path]:
    return sorted((Path("data/jitter/Images") / side / marker).rglob("*.jpg"))


def store_of(run: Run, name: str = "jitter") -> IhcStore:
    store: IhcStore = opened(TASK, run.requests("staining")[name]).store
    return store


def in_other_roles(checkout: Path) -> tuple[int, int]:
    """Two ER patches, by their place among the sorted files, that a fold puts in different roles."""
    split, _ = read_split(checkout / split_folder(PROTOCOL, "jitter"))
    store = IhcStore(checkout / COHORTS / "staining" / "jitter", checkout / "data" / "jitter")
    names = [path.stem for path in sorted((checkout / "data/jitter/Images/HandE/ER").rglob("*.jpg"))]
    first, second = (store.rows_of("ER", rows)[0] for rows in (split.folds[0].train, split.folds[0].test))
    return names.index(str(store.name_of[first])), names.index(str(store.name_of[second]))


def test_an_image_copied_to_another_patient_stops_the_run(checkout: Path, copied: Run) -> None:
    one, other = in_other_roles(checkout)
    shutil.copyfile(patches("HandE")[one], patches("HandE")[other])
    run_read(copied)
    with pytest.raises(UserError, match=r"no image in two roles: fold 0: ER patch .* has the bytes of ER patch"):
        run_ask(copied)
    audit = json.loads((audit_folder(PROTOCOL, "jitter") / "audit.json").read_text())  # the whole report is there
    assert audit["verdict"] == "fail"
    assert {finding["check"] for finding in audit["findings"] if finding["verdict"] == "fail"} == {
        "no image in two roles", "no image of two patients", "no shared tissue in two roles, by look",
    }  # fmt: skip


def test_a_copy_of_other_bytes_stops_it_by_look(checkout: Path, copied: Run) -> None:
    one, other = in_other_roles(checkout)
    with Image.open(patches("HandE")[one]) as image:
        image.save(patches("HandE")[other], quality=60)
    run_read(copied)
    with pytest.raises(UserError, match="no shared tissue in two roles, by look"):
        run_ask(copied)


def resaved(path: Path, pixels: np.ndarray[Any, Any], mode: str | None = None) -> None:
    path.unlink()
    Image.fromarray(pixels, mode).save(path.with_suffix(".png"))


def spoil_patches() -> dict[str, str]:
    """One fault a patch; returns the reason that each must be given, by name."""
    he, ihc_side = patches("HandE"), patches("IHC")
    pixels = [np.asarray(Image.open(path)) for path in he]
    names = [path.stem for path in he]
    clear = np.dstack([pixels[2], np.full(pixels[2].shape[:2], 128, np.uint8)])
    ihc_side[0].unlink()
    resaved(he[2], clear)
    import cv2

    deep = he[4].with_suffix(".png")
    cv2.imwrite(str(deep), pixels[4].astype(np.uint16) * 257)
    he[4].unlink()
    return {names[0]: "no IHC partner", names[2]: "transparent image", names[4]: "16-bit image"}


def test_unusable_patches_are_counted_by_name(copied: Run, capsys: pytest.CaptureFixture[str]) -> None:
    expected = spoil_patches()
    run_read(copied)
    told = capsys.readouterr().out
    run_ask(copied)
    store = store_of(copied)
    found = {item.what.split()[2]: item.reason for item in store.excluded}
    assert found == expected
    for reason in expected.values():
        assert f"left out: 1 patches: {reason}" in told
    audit = json.loads((audit_folder(PROTOCOL, "jitter") / "audit.json").read_text())
    assert {item["reason"] for item in audit["excluded"]} == set(expected.values())
    assert len(store.rows_of("ER")) == 10 - 3


def test_more_of_them(copied: Run) -> None:
    he, ihc_side = patches("HandE"), patches("IHC")
    pixels = np.asarray(Image.open(he[0]))
    resaved(ihc_side[0], pixels[:40])
    he[2].write_bytes(he[2].read_bytes()[:900])
    resaved(ihc_side[4], np.full_like(pixels, 255))
    opaque = np.dstack([np.asarray(Image.open(ihc_side[5])), np.full(pixels.shape[:2], 255, np.uint8)])
    resaved(ihc_side[5], opaque)  # hides nothing: used
    table = Path("data/jitter/Labels/ER.csv")
    last = he[-1].stem.split("_")[1]
    table.write_text("".join(line for line in table.read_text().splitlines(True) if last not in line))
    run_read(copied)
    store = store_of(copied)
    found = {item.what.split()[2]: item.reason for item in store.excluded}
    assert found == {
        he[0].stem: "H&E and IHC differ in size",
        he[2].stem: "image damaged",
        he[4].stem: "blank patch",
        he[-2].stem: "patient missing from labels",
        he[-1].stem: "patient missing from labels",
    }
    assert he[5].stem in store.name_of[store.rows_of("ER")].tolist()
    assert len(store.patients) == 4


def test_too_few_patients_to_train_stop_and_test_is_one_line(tmp_path: Path) -> None:
    """Of three, a half of two would leave one: none to stop on."""
    store = stored_tree(tmp_path)  # three patients
    with pytest.raises(UserError, match=r"3 patients of ER for 2 folds.*4 for 2 folds"):
        patient_folds(store, folds=2)
    assert len(patient_folds(store, folds=3).folds) == 3


def test_patches_of_nobody_known_are_named_and_no_patient(copied: Run, tmp_path: Path) -> None:
    """Of the PR patient with the last name, whose case becomes "unknown" in folders, names and labels."""
    case = patches("HandE", "PR")[-1].stem.split("_")[1]
    for path in sorted(Path("data/jitter/Images").rglob("*.jpg")):
        if f"_{case}_" in path.name:
            to = Path(*(part.replace(case, "unknown") for part in path.parts))
            to.parent.mkdir(parents=True, exist_ok=True)
            path.rename(to)
    for table in Path("data/jitter/Labels").glob("*.csv"):
        table.write_text(table.read_text().replace(f"_{case}_", "_unknown_"))
    alone = {key: value for key, value in COHORTS_OF["jitter"].items() if key != "aligned"} | {"markers": ["ER"]}
    write_params(tmp_path, values({"jitter": alone}, models=["ihc_identity"]))
    run_all()
    made = record("ihc_identity", "jitter_ER")
    assert made.headline.n_patients == made.cohort["n_patients"] == 4
    assert {item["reason"] for item in made.excluded} == {"patient unknown"}
    assert len(made.excluded) == 2


def test_a_cohort_without_its_folder_is_one_line(copied: Run, tmp_path: Path) -> None:
    write_params(tmp_path, values({"exact": {**COHORTS_OF["exact"], "root": "nowhere"}}))
    with pytest.raises(UserError, match=r"no such file or folder.*cohorts\.staining\.exact\.root"):
        run_read(the_run())


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"markers": ["ERR"]}, r"unknown marker 'ERR'.*did you mean 'ER'"),
        ({"mpp": None}, "mpp"),
        ({"mpp": 0}, "mpp"),
        ({"filters": {"max_boarder": 0.1}}, r"unknown key 'max_boarder'.*did you mean 'max_border'"),
        ({"settings": {"tile_px": 128}}, "no patch of jitter is 128 px wide and high"),
        ({"settings": {"tile_px": 64, "source_px": 32}}, "no enlargement"),
    ],
)
def test_a_wrong_entry_is_one_line(copied: Run, tmp_path: Path, entry: dict[str, Any], message: str) -> None:
    told = values()
    told["cohorts"] = {"staining": {"jitter": {"mpp": 1.0, **COHORTS_OF["jitter"], **entry}}}
    write_params(tmp_path, told)
    with pytest.raises(UserError, match=message) as caught:
        run_read(the_run())
    assert "\n" not in str(caught.value)


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


def test_a_twin_that_lacks_an_image_is_named_by_whoever_reads_it(copied: Run) -> None:
    run_read(copied)
    run_ask(copied)
    gone = sorted(Path("data/exact/Images/IHC/ER").rglob("*.jpg"))[0]
    gone.unlink()
    predict_cells(copied, cells_of(copied, run_inputs(copied), ("ihc_identity",)))
    with pytest.raises(UserError, match=f"{gone.name}: the image is gone"):
        predict_cells(copied, cells_of(copied, run_inputs(copied), ("ihc_oracle",)))


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
