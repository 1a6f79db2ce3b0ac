"""The stages of virtual staining on a tiny phantom, one after the other, as DVC runs them."""

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
import yaml
from PIL import Image

from baselines.staining.ihc_unet import IhcUNet
from baselines.training import images as image_training
from baselines.training.image_pairs import Plan
from protocols.contract import Card
from protocols.errors import UserError
from protocols.ihc.splitting import patient_folds, read_ihc_split
from protocols.ihc.store import IhcStore
from protocols.metrics.image_similarity import PSNR_CAP_DB, psnr
from protocols.phantom.ihc import generate_ihc
from protocols.phantom.ihc_settings import MINI_IHC
from protocols.records import ScoreRecord
from suite.config import Config, read_config
from suite.ihc.cohorts import stored
from suite.places import AUDITS, CACHE, IHC, PREDICTIONS, SCORED, SCORES, SPLITS, UNFINISHED
from suite.stages import ihc, ihc_predict, inputs, report, score_protocol
from tests.protocols.ihc.trees import stored as stored_tree

ROOT = Path(__file__).resolve().parents[2]
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
COHORTS: dict[str, dict[str, Any]] = {
    "jitter": {"root": "data/jitter", "markers": ["ER", "PR"], "aligned": "data/exact", "truth": "data/truth"},
    "exact": {"root": "data/exact", "markers": ["ER"], "aligned": "data/exact", "truth": "data/truth"},
    # As a real cohort of HER2: no label a patch, no registered twin.
    "membrane": {"root": "data/jitter", "markers": ["her-2"], "labels": None},
}


def plan(_model: IhcUNet, _profile: str) -> Plan:
    return Plan(2, 1e-3, steps=STEPS, crop=0, anneal=True, save_every=SAVED_EVERY)


def write_params(folder: Path) -> None:
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["ihc"] = {
        "protocols": [PROTOCOL],
        "folds": 2,
        "tile_px": TILE,
        "shift_px": 2,
        "cohorts": {name: {"mpp": 1.0, **entry} for name, entry in COHORTS.items()},
        "models": MODELS,
    }
    values["survival"]["protocols"] = values["bulk"]["protocols"] = []
    values |= {"models": [], "protocols": [], "workers": 1}
    (folder / "params.yaml").write_text(yaml.safe_dump(values))


def run_to_scores(config: Config) -> None:
    for name in config.ihc.cohorts:
        ihc.run(config, name)
    inputs.run(config)
    for model in config.ihc.models:
        ihc_predict.run(config, model)
    score_protocol.run(config, PROTOCOL)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("checkout")
    generate_ihc(folder / "data", TINY, seed=0)
    write_params(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(IhcUNet, "plan", plan)
        run_to_scores(read_config())
        yield folder


@pytest.fixture
def config(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.chdir(checkout)
    return read_config()


def record(model: str, board: str) -> ScoreRecord:
    return ScoreRecord.read(SCORES / PROTOCOL / model / board)


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_boards_of_every_model(config: Config) -> None:
    assert sorted(path.name for path in (SCORES / PROTOCOL / NETWORK).iterdir()) == sorted(BOARDS)
    for board in BOARDS:
        made = record(NETWORK, board)
        patients = 5 if board.endswith("_ER") else 4
        assert (made.status, made.task, made.board) == ("scored", "image", board)
        assert made.counts["patients"] == made.headline.n_patients == len(made.per_patient) == patients
        assert (made.counts["patches"], made.counts["tiles"]) == (2 * patients, 8 * patients)  # every patch, once
        assert made.headline.mean == pytest.approx(np.mean(list(made.per_patient.values())))
    oracle = record("ihc_oracle", "exact_ER")
    assert (oracle.headline.mean, oracle.counts["identical_tiles"]) == (PSNR_CAP_DB, oracle.counts["tiles"])
    assert (record("ihc_oracle", "jitter_ER").headline.mean or PSNR_CAP_DB) < 30
    assert record("ihc_oracle", "jitter_ER").summary["psnr_registered"] == PSNR_CAP_DB
    assert record("ihc_identity", "exact_ER").summary["psnr"] == record("ihc_identity", "exact_ER").headline.mean


def test_the_oracle_is_skipped_where_nothing_is_registered(config: Config) -> None:
    made = record("ihc_oracle", "membrane_HER2")
    assert (made.status, made.reason) == ("skipped", "needs a registered truth, and a real cohort has none")
    assert made.headline.mean is None
    assert not (PREDICTIONS / PROTOCOL / "ihc_oracle" / "membrane_HER2").exists()


def test_a_membrane_marker_has_no_h_score(config: Config) -> None:
    made = record(NETWORK, "membrane_HER2")
    assert not [key for key in made.summary if key.startswith("h_score")]
    assert made.image["h_score"] == {}
    assert (made.summary["psnr_registered"], made.cohort["phantom"]) == (None, False)


def test_scores_are_of_the_right_tile(config: Config) -> None:
    """Row by row: an answer is compared with the tile of its own name."""
    units = pd.read_parquet(SCORES / PROTOCOL / NETWORK / "jitter_PR" / "units.parquet")
    split, _ = read_ihc_split(SPLITS / PROTOCOL / "jitter")
    store = stored(config, "jitter")
    paths = dict(zip(store.name_of, store.table["ihc"], strict=True))
    for k, fold in enumerate(split.folds):
        answers = np.load(PREDICTIONS / PROTOCOL / NETWORK / "jitter_PR" / f"{k:04d}.npy")
        rows = units[units["fold"] == fold.name]
        assert len(rows) == len(answers)
        for answer, (name, score) in zip(answers, rows[["tile", "psnr"]].itertuples(index=False), strict=True):
            patch, row, column = re.fullmatch(r"(.+)_(\d)_(\d)", name).groups()  # type: ignore[union-attr]
            with Image.open(store.root / str(paths[patch])) as image:
                whole = np.asarray(image)
            top, left = TILE * int(row), TILE * int(column)
            truth = whole[top : top + TILE, left : left + TILE]
            assert psnr(answer[None], truth[None])[0] == pytest.approx(score, rel=1e-12)


def test_the_same_samples_of_every_model(config: Config) -> None:
    samples = [np.load(SCORES / PROTOCOL / model / "jitter_ER" / "samples.npy") for model in MODELS]
    for other in samples[1:]:
        np.testing.assert_array_equal(samples[0][:, :2], other[:, :2])
    np.testing.assert_array_equal(samples[1][:, 0], samples[1][:, 2])  # identity answers with the H&E


def test_audits_pass_and_roles_share_no_patient(config: Config) -> None:
    for name in COHORTS:
        audit = json.loads((AUDITS / PROTOCOL / f"{name}.json").read_text())
        assert audit["verdict"] == "pass"
        looked = [finding["check"] for finding in audit["findings"]]
        assert ("no shared tissue in two roles, by look" in looked) == ("truth" in COHORTS[name])
        for fold in audit["folds"]:
            roles = [set(fold[f"{role}_patients"]) for role in ("train", "validation", "test")]
            assert len(set.union(*roles)) == sum(map(len, roles))


@pytest.mark.slow
def test_report_has_a_board_and_figures_a_marker(config: Config) -> None:
    paths = report.run(config)
    boards = json.loads(paths.json.read_text())["leaderboards"]
    assert sorted(board["board"] for board in boards) == sorted(BOARDS)
    drawn = {path.name for path in paths.figures}
    assert {f"ihc_grid_{board}.png" for board in BOARDS} < drawn
    with_scores = {f"h_scores_{board}.png" for board in BOARDS if board != "membrane_HER2"}
    assert {name for name in drawn if name.startswith("h_scores") and name.endswith("png")} == with_scores


class KilledError(BaseException):
    """As SIGINT: no handler of errors takes it."""


def test_a_run_killed_in_training_ends_with_the_same_bytes(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = PREDICTIONS / PROTOCOL / NETWORK
    before = contents(folder)
    shutil.rmtree(UNFINISHED)
    shutil.rmtree(folder)
    save, saved = image_training.save, []

    def killed_after(path: Path, identity: str, step: int, *rest: Any) -> None:
        save(path, identity, step, *rest)
        saved.append(step)
        if len(saved) == 2 + STEPS // SAVED_EVERY:  # in the second fold
            raise KilledError

    monkeypatch.setattr(image_training, "save", killed_after)
    with pytest.raises(KilledError):
        ihc_predict.run(config, NETWORK)
    assert saved == [2, 4, 6, 2, 4]
    assert not (folder / "manifest.json").exists()
    left = [path for path in UNFINISHED.rglob("checkpoint.pt") if path.is_file()]
    assert [path.parent.name for path in left] == ["workspace-0001"]  # a finished fold's is gone
    restore, started = image_training.restore, list[int]()
    monkeypatch.setattr(image_training, "save", save)

    def told(*given: Any) -> int:
        started.append(restore(*given))
        return started[-1]

    monkeypatch.setattr(image_training, "restore", told)
    ihc_predict.run(config, NETWORK)
    assert started == [4, *[0] * 6]  # one of eight folds was kept, and one went on
    assert contents(folder) == before
    assert not list(UNFINISHED.rglob("workspace-*"))


def test_finished_predictions_are_not_made_again(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(PREDICTIONS / PROTOCOL / NETWORK)
    monkeypatch.setattr(IhcUNet, "fit", lambda *_: pytest.fail("fitted again"))
    ihc_predict.run(config, NETWORK)
    assert contents(PREDICTIONS / PROTOCOL / NETWORK) == before


def test_scoring_anew_gives_the_same_bytes(config: Config) -> None:
    before = contents(SCORES)
    shutil.rmtree(SCORED)
    score_protocol.run(config, PROTOCOL)
    assert contents(SCORES) == before


@pytest.mark.slow
def test_two_runs_are_the_same_to_the_byte(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    shutil.copytree(checkout / "data", tmp_path / "data")
    write_params(tmp_path)
    monkeypatch.chdir(tmp_path)
    run_to_scores(read_config())
    for place in (IHC, SPLITS, AUDITS, PREDICTIONS, SCORES):
        first = contents(checkout / place)
        assert first, place
        assert contents(tmp_path / place) == first, place


# Faults, planted in a copy of the tree.
@pytest.fixture
def copied(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """A checkout of its own with one cohort, whose tree may be spoilt."""
    shutil.copytree(checkout / "data", tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    shutil.copy(checkout / "params.yaml", tmp_path)
    return read_config()


def patches(side: str, marker: str = "ER") -> list[Path]:
    return sorted((Path("data/jitter/Images") / side / marker).rglob("*.jpg"))


def in_other_roles(checkout: Path) -> tuple[int, int]:
    """Two ER patches, by their place among the sorted files, that a fold puts in different roles."""
    split, _ = read_ihc_split(checkout / SPLITS / PROTOCOL / "jitter")
    store = IhcStore(checkout / IHC / "jitter", checkout / "data" / "jitter")
    names = [path.stem for path in sorted((checkout / "data/jitter/Images/HandE/ER").rglob("*.jpg"))]
    first, second = (store.rows_of("ER", rows)[0] for rows in (split.folds[0].train, split.folds[0].test))
    return names.index(str(store.name_of[first])), names.index(str(store.name_of[second]))


def test_an_image_copied_to_another_patient_stops_the_stage(config: Config, checkout: Path, copied: Config) -> None:
    one, other = in_other_roles(checkout)
    shutil.copyfile(patches("HandE")[one], patches("HandE")[other])
    with pytest.raises(UserError, match=r"no image in two roles: fold 0: ER patch .* has the bytes of ER patch"):
        ihc.run(copied, "jitter")
    audit = json.loads((AUDITS / PROTOCOL / "jitter.json").read_text())  # the whole report is there
    assert audit["verdict"] == "fail"
    assert {finding["check"] for finding in audit["findings"] if finding["verdict"] == "fail"} == {
        "no image in two roles", "no image of two patients", "no shared tissue in two roles, by look",
    }  # fmt: skip


def test_a_copy_of_other_bytes_stops_it_by_look(config: Config, checkout: Path, copied: Config) -> None:
    one, other = in_other_roles(checkout)
    with Image.open(patches("HandE")[one]) as image:
        image.save(patches("HandE")[other], quality=60)
    with pytest.raises(UserError, match="no shared tissue in two roles, by look"):
        ihc.run(copied, "jitter")


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


def test_unusable_patches_are_counted_by_name(
    config: Config, copied: Config, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    expected = spoil_patches()
    ihc.run(copied, "jitter")
    found = {item.what.split()[2]: item.reason for item in stored(copied, "jitter").excluded}
    assert found == expected
    told = capsys.readouterr().out
    for reason in expected.values():
        assert f"left out: 1 patches: {reason}" in told
    audit = json.loads((AUDITS / PROTOCOL / "jitter.json").read_text())
    assert {item["reason"] for item in audit["excluded"]} == set(expected.values())
    assert len(stored(copied, "jitter").rows_of("ER")) == 10 - 3


def test_more_of_them(config: Config, copied: Config) -> None:
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
    ihc.run(copied, "jitter")
    store = stored(copied, "jitter")
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


def test_patches_of_nobody_known_are_named_and_no_patient(config: Config, copied: Config) -> None:
    """Of the PR patient with the last name, whose case becomes "unknown" in folders, names and labels."""
    case = patches("HandE", "PR")[-1].stem.split("_")[1]
    for path in sorted(Path("data/jitter/Images").rglob("*.jpg")):
        if f"_{case}_" in path.name:
            to = Path(*(part.replace(case, "unknown") for part in path.parts))
            to.parent.mkdir(parents=True, exist_ok=True)
            path.rename(to)
    for table in Path("data/jitter/Labels").glob("*.csv"):
        table.write_text(table.read_text().replace(f"_{case}_", "_unknown_"))
    markers = copied.ihc.cohorts["jitter"].model_copy(update={"markers": ["ER"]})
    section = copied.ihc.model_copy(update={"cohorts": {"jitter": markers}, "models": ["ihc_identity"]})
    only = copied.model_copy(update={"ihc": section})
    run_to_scores(only)
    made = record("ihc_identity", "jitter_ER")
    assert made.headline.n_patients == made.cohort["n_patients"] == 4
    assert {item["reason"] for item in made.excluded} == {"patient unknown"}
    assert len(made.excluded) == 2


def test_a_cohort_without_its_folder_is_one_line(config: Config) -> None:
    gone = config.ihc.cohorts["exact"].model_copy(update={"root": Path("nowhere")})
    section = config.ihc.model_copy(update={"cohorts": {"exact": gone}})
    with pytest.raises(UserError, match=r"no such folder.*ihc\.cohorts\.exact\.root"):
        ihc.run(config.model_copy(update={"ihc": section}), "exact")


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
def test_spoilt_answers_are_one_line(config: Config, tmp_path: Path, spoil: Any, message: str) -> None:
    from suite.ihc.cohorts import boards
    from suite.ihc.scoring import score_board

    shutil.copytree(PREDICTIONS / PROTOCOL / "ihc_mean" / "exact_ER", tmp_path / "exact_ER")
    spoil(tmp_path / "exact_ER" / "0000.npy")
    board = next(one for one in boards(config) if one.name == "exact_ER")
    with pytest.raises(UserError, match=message):
        score_board(config, board, tmp_path / "exact_ER")


def test_answers_to_another_split_are_refused(config: Config, tmp_path: Path) -> None:
    from suite.stages.ihc_score import cell

    manifest = PREDICTIONS / PROTOCOL / "ihc_mean" / "manifest.json"
    text = manifest.read_text()
    for what in ("split", "cohort"):
        values = json.loads(text)
        values["boards"]["jitter_PR"][what] = "0ther"
        manifest.write_text(json.dumps(values))
        try:
            with pytest.raises(UserError, match=f"made for another {what}.*predict again"):
                cell(config, PROTOCOL, "ihc_mean", tmp_path)
        finally:
            manifest.write_text(text)


class Floats:
    """A model of somebody's that forgets to round."""

    card: ClassVar[Card] = Card(
        name="floats", title="Floats", task="image", licence="none", training_overlap="none", summary="A test."
    )

    def fit(self, train: Any) -> None:
        pass

    def predict(self, test: Any, rows: Any) -> Any:
        return test.he(rows) / 255


def test_a_model_that_answers_with_floats_is_named(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    from suite.ihc.cohorts import boards

    monkeypatch.setattr(ihc_predict, "load_model_class", lambda *_: Floats)
    monkeypatch.setattr(ihc_predict, "read_inputs", lambda _: {"card": {}, "patches": {}})
    monkeypatch.setattr(ihc_predict, "weight_parts", lambda *_: ())
    board = next(one for one in boards(config) if one.name == "jitter_ER")
    task = ihc_predict.BoardTask(config, "floats", board, 0, str(CACHE / "floats"))
    with pytest.raises(UserError, match=r"model floats, jitter_ER fold 0: predict returned float64"):
        ihc_predict.run_fold(task)
    assert not (CACHE / "floats" / "0000.npy").exists()
    shutil.rmtree(CACHE / "floats")
