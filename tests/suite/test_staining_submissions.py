"""IHC images drawn elsewhere: scored like a model's own, and every way to hand in a wrong folder is one clear line."""

from __future__ import annotations

import shutil
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from protocols.contract import CropArray
from protocols.errors import UserError
from protocols.images.patch_images import decode
from protocols.records import RECORD_FILE, ScoreRecord
from protocols.staining.answers import fold_file
from protocols.staining.task import TASK
from protocols.staining.units import COLUMNS
from protocols.task import Question
from suite.engine.ask import run_ask
from suite.engine.questions import question_of
from suite.engine.read import run_read
from suite.engine.run import Run
from suite.engine.submit import handed_in, submit
from suite.engine.units import write_units
from suite.places import CACHE, SUBMISSIONS, submission_folder
from tests.protocols.staining.trees import Tree, write_tree
from tests.suite.engine_run import params, the_run, write_params

TILE = 32
PROTOCOL = "ihc4bc"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run's cohort and split, of five patients with two markers."""
    root = tmp_path_factory.mktemp("checkout")
    write_tree(root / "tree", Tree(cases=("1001", "1002", "1003", "1004", "1005"), grid=(1, 2)))
    tiny = {"root": str(root / "tree"), "markers": ["ER", "PR"], "mpp": 1.0}
    told = params(
        protocols=[PROTOCOL],
        models=["ihc_unet"],
        tasks={"staining": {"folds": 2, "tile_px": TILE, "shift_px": 1}},
        cohorts={"staining": {"tiny": tiny}},
    )
    write_params(root, told)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        run_read(the_run())
        run_ask(the_run())
        yield root


@pytest.fixture
def run(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(checkout)
    return the_run()


def question(run: Run, marker: str) -> Question:
    board = {one.part: one for one in run.boards}[marker]
    return question_of(run, run.protocols[PROTOCOL], board, scoring=True)


def drawn(run: Run, out: Path, markers: tuple[str, ...] = ("ER", "PR")) -> Path:
    """Every test tile's own H&E, handed in as its IHC."""
    for marker in markers:
        (out / "tiny" / marker).mkdir(parents=True)
        store = question(run, marker).cohort.store
        tiles = store.tiles(store.rows_of(marker))
        for name, image in zip(tiles.name, store.reader("he", tiles)(np.arange(len(tiles))), strict=True):
            Image.fromarray(image).save(out / "tiny" / marker / f"{name}.png")
    return out


def handed(run: Run, folder: Path, model: str | None = "mine") -> list[ScoreRecord]:
    return submit(run, run.protocols[PROTOCOL], handed_in(run.config, TASK, folder, model, "a note"))


def test_a_folder_is_scored_as_the_models_arrays_are(run: Run, tmp_path: Path) -> None:
    records = handed(run, drawn(run, tmp_path / "mine"))
    assert [record.board for record in records] == ["tiny_ER", "tiny_PR"]
    for marker, record in zip(("ER", "PR"), records, strict=True):
        asked, arrays = question(run, marker), tmp_path / marker
        store = asked.cohort.store
        arrays.mkdir()
        for k, fold in enumerate(asked.split.folds):
            tiles = store.tiles(store.rows_of(marker, fold.test))
            np.save(arrays / fold_file(k), store.reader("he", tiles)(np.arange(len(tiles))))
        own = TASK.score(asked, arrays)
        whole = {"psnr_answered": own.headline.mean, "answered_share": 1.0}
        assert (record.headline, record.summary) == (own.headline, {**own.summary, **whole})
        assert record.per_patient == own.per_patient
        assert record.counts["tiles"] == 40
        written = ScoreRecord.read(submission_folder(PROTOCOL, record.board, "mine"))
        assert written.card["summary"] == "a note"
        assert (written.task, written.status, written.profile) == ("staining", "scored", "predictions only")
    assert not list((CACHE / "submissions").iterdir())  # what was laid out is gone


def test_tiles_named_in_missing_csv_are_the_worst_images(run: Run, tmp_path: Path) -> None:
    folder = drawn(run, tmp_path / "mine", ("ER",))
    (whole,) = handed(run, folder)
    place = folder / "tiny" / "ER"
    gone = sorted(path.stem for path in place.glob("*.png"))[::4]
    (place / "missing.csv").write_text("tile\n" + "\n".join(gone) + "\n")
    with pytest.raises(UserError, match=rf"{len(gone)} tiles are in missing\.csv and have an image"):
        handed(run, folder)
    for name in gone:
        (place / f"{name}.png").unlink()
    (found,) = handed(run, folder)
    assert found.summary["answered_share"] == 0.75
    assert found.notes[0].startswith("10 of 40 tiles were declared missing")
    units = pd.read_parquet(submission_folder(PROTOCOL, found.board, "mine") / "units.parquet").set_index("tile")
    whole_units = units[~units["unanswered"]]
    assert found.summary["psnr_answered"] == pytest.approx(whole_units.groupby("patient")["psnr"].mean().mean())
    assert (found.headline.mean or 0) < (whole.headline.mean or 0)
    # By hand: every value of the image is at the end of 0 to 255 that is farther from the truth.
    store = question(run, "ER").cohort.store
    tiles = store.tiles(store.rows_of("ER"))
    truth = store.reader("ihc", tiles)(np.arange(len(tiles)))[tiles.name.tolist().index(gone[0])].astype(float)
    error = np.maximum(truth, 255 - truth) ** 2
    assert units.loc[gone[0], "psnr"] == pytest.approx(10 * np.log10(255**2 / error.mean()))
    assert units.loc[gone[0], "psnr"] < 10 * np.log10(255**2 / (255 / 2) ** 2)
    (place / "missing.csv").write_text("tile\nnobody\n")
    with pytest.raises(UserError, match="1 names are no test tiles, first nobody"):
        handed(run, folder)
    (place / "missing.csv").unlink()
    with pytest.raises(UserError, match=r"10 test tiles have no image.*name them in missing\.csv"):
        handed(run, folder)


def test_what_is_laid_out_are_the_very_pixels_in_the_folds_order(run: Run, tmp_path: Path) -> None:
    place, out, asked = drawn(run, tmp_path / "mine", ("ER",)) / "tiny" / "ER", tmp_path / "out", question(run, "ER")
    out.mkdir()
    TASK.lay_out(asked, place, out, "mine")
    assert sorted(path.name for path in out.iterdir()) == ["0000.npy", "0001.npy"]
    store = asked.cohort.store
    for k, fold in enumerate(asked.split.folds):
        images = np.load(out / fold_file(k))
        names = store.tiles(store.rows_of("ER", fold.test)).name
        assert (images.shape, images.dtype) == ((len(names), TILE, TILE, 3), np.uint8)
        for name, image in zip(names.tolist(), images, strict=True):
            np.testing.assert_array_equal(image, np.asarray(Image.open(place / f"{name}.png")))


def test_one_marker_may_be_handed_in_and_replaces_what_was_there(run: Run, tmp_path: Path) -> None:
    handed(run, drawn(run, tmp_path / "both"))
    before = (submission_folder(PROTOCOL, "tiny_ER", "mine") / "units.parquet").read_bytes()
    folder = drawn(run, tmp_path / "one", ("ER",))
    (folder / ".DS_Store").write_bytes(b"left by a file manager")
    assert [record.board for record in handed(run, folder)] == ["tiny_ER"]
    assert not submission_folder(PROTOCOL, "tiny_PR", "mine").exists()
    assert (submission_folder(PROTOCOL, "tiny_ER", "mine") / "units.parquet").read_bytes() == before


def replaced_by_folder(tile: Path) -> None:
    tile.unlink()
    tile.mkdir()


def spoil(tile: Path, how: str) -> None:
    image = np.asarray(Image.open(tile))
    marker = tile.parent
    actions: dict[str, Callable[[], object]] = {
        "missing": tile.unlink,
        "stranger": lambda: shutil.copy(tile, marker / "7_9999_0_0_0_0_0.png"),
        "other kind": lambda: (marker / "notes.txt").write_text("hello"),
        "larger": lambda: Image.fromarray(np.tile(image, (2, 2, 1))).save(tile),
        "grey": lambda: Image.fromarray(image[..., 0]).save(tile),
        "alpha": lambda: Image.fromarray(image).convert("RGBA").save(tile),
        "palette": lambda: Image.fromarray(image).quantize(16).save(tile),
        "16 bit": lambda: Image.fromarray(image[..., 0].astype(np.uint16) * 256).save(tile),
        "jpeg": lambda: Image.fromarray(image).save(tile, format="JPEG"),
        "empty": lambda: tile.write_bytes(b""),
        "cut": lambda: tile.write_bytes(tile.read_bytes()[: tile.stat().st_size // 2]),
        "folder": lambda: replaced_by_folder(tile),
        "cohort": lambda: marker.parent.rename(marker.parent.with_name("tinny")),
        "marker": lambda: marker.rename(marker.with_name("ERR")),
        "beside": lambda: (marker.parent.parent / "readme.md").write_text("hello"),
    }
    actions[how]()


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("missing", "1 test tiles have no image, first 7_1002_0_0_1_1_0.png"),
        ("stranger", "1 files are no test tiles, first 7_9999_0_0_0_0_0.png"),
        ("other kind", "1 files are no test tiles, first notes.txt"),
        ("larger", r"7_1002_0_0_1_1_0.png: 64 × 64 px; expected PNG, 8-bit RGB, 32 × 32 px"),
        ("grey", "7_1002_0_0_1_1_0.png: grey image; expected PNG, 8-bit RGB"),
        ("alpha", "7_1002_0_0_1_1_0.png: RGBA image"),
        ("palette", "7_1002_0_0_1_1_0.png: (palette|4-bit) image"),
        ("16 bit", "7_1002_0_0_1_1_0.png: 16-bit image"),
        ("jpeg", "7_1002_0_0_1_1_0.png: not a PNG file"),
        ("empty", "7_1002_0_0_1_1_0.png: not a PNG file"),
        ("cut", "7_1002_0_0_1_1_0.png"),
        ("folder", "7_1002_0_0_1_1_0.png: not a file"),
        ("cohort", "unknown cohort 'tinny'.*did you mean 'tiny'"),
        ("marker", "unknown marker 'ERR'.*did you mean 'ER'"),
        ("beside", "unknown cohort 'readme.md'"),
    ],
)
def test_a_malformed_submission_is_one_clear_line(run: Run, tmp_path: Path, how: str, says: str) -> None:
    folder = drawn(run, tmp_path / "mine", ("ER",))
    spoil(folder / "tiny" / "ER" / "7_1002_0_0_1_1_0.png", how)
    with pytest.raises(UserError, match=says) as caught:
        handed(run, folder, "malformed")
    assert "\n" not in str(caught.value)
    assert not list(SUBMISSIONS.glob("*/*/malformed"))


def test_a_failed_one_leaves_what_was_handed_in_before(run: Run, tmp_path: Path) -> None:
    folder = drawn(run, tmp_path / "mine", ("ER", "PR"))
    handed(run, folder, "kept")
    spoil(folder / "tiny" / "PR" / "7_1002_0_0_1_1_0.png", "cut")
    with pytest.raises(UserError):
        handed(run, folder, "kept")
    for board in ("tiny_ER", "tiny_PR"):
        assert (submission_folder(PROTOCOL, board, "kept") / RECORD_FILE).exists()


def test_no_image_is_decoded_before_every_name_and_header_was_found_right(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from protocols.staining import submit as module

    folder = drawn(run, tmp_path / "mine", ("ER",))
    spoil(folder / "tiny" / "ER" / "7_1005_0_0_1_1_1.png", "grey")  # the last by name
    monkeypatch.setattr(module, "decode", lambda path: pytest.fail(f"decoded {path}"))
    with pytest.raises(UserError, match="grey image"):
        handed(run, folder)


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "../other", ".hidden"])
def test_a_name_that_leads_elsewhere_is_refused(run: Run, tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"model '.*' is (no plain name|empty)|ends in a dot"):
        handed(run, tmp_path, name)


def test_other_mistakes_are_named(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'ihc_unet' is a model of params"):
        handed(run, tmp_path, "ihc_unet")
    with pytest.raises(UserError, match="no such folder"):
        handed(run, tmp_path / "nowhere")
    with pytest.raises(UserError, match="give --model"):
        handed(run, tmp_path, None)
    with pytest.raises(UserError, match="no marker's folder"):
        handed(run, tmp_path)


def test_images_are_decoded_a_few_at_a_time_and_not_kept(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from protocols.staining import submit as module

    image = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    names = np.array([f"t{k}" for k in range(400)])
    for name in names:
        Image.fromarray(image).save(tmp_path / f"{name}.png")
    out = tmp_path / "out"
    out.mkdir()

    class Store:
        """Of one fold with 400 tiles."""

        markers = ("ER",)
        tile: Any = type("Tile", (), {"pixels": 128})

        def rows_of(self, _marker: str, rows: Any) -> Any:
            return rows

        def tiles(self, _rows: Any) -> Any:
            return type("Tiles", (), {"name": names})

    asked = question(run, "ER")
    one = type(asked.split)(asked.split.folds[:1])
    asked = Question(asked.protocol, asked.board, replace(asked.cohort, store=Store()), {}, one, 0)
    decoded: list[Path] = []

    def counted(path: Path) -> CropArray:
        decoded.append(path)
        return decode(path)

    monkeypatch.setattr(module, "decode", counted)
    monkeypatch.setattr(module, "_seen", lambda _: [tmp_path / f"{name}.png" for name in names])
    tracemalloc.start()
    module.lay_out(asked, tmp_path, out, "mine")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(decoded) == 400
    assert peak < 100 * image.nbytes  # all at once would be 400; pieces of 32 are held twice
    np.testing.assert_array_equal(np.load(out / fold_file(0), mmap_mode="r")[399], image)


def test_units_say_what_to_draw_and_what_may_be_learned_from(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "units.csv"
    rows = write_units(run, run.protocols[PROTOCOL], out)
    table = pd.read_csv(out, keep_default_na=False)
    assert len(table) == rows == 160
    assert tuple(table.columns) == COLUMNS
    assert set(table["cohort"]) == {"tiny"}
    assert set(table["marker"]) == {"ER", "PR"}
    tested = table[table["role"] == "test"]
    assert (tested["ihc"] == "").all()
    assert not tested.duplicated(["cohort", "marker", "tile"]).any()
    assert len(tested) == 80
    assert set(table["role"]) == {"train", "validation", "test"}
    for _, fold in table.groupby(["marker", "fold"]):
        assert len(fold) == 40
        assert not set(fold.loc[fold["role"] == "test", "patient"]) & set(fold.loc[fold["role"] != "test", "patient"])
    row = table[table["role"] == "train"].iloc[-1]
    store = question(run, str(row["marker"])).cohort.store
    tiles = store.tiles(store.rows_of(row["marker"]))
    at = np.flatnonzero(tiles.name == row["tile"])
    patch = np.asarray(Image.open(row["ihc"]).convert("RGB"))
    cut = patch[TILE * row["row"] :, TILE * row["column"] :][:TILE, :TILE]
    np.testing.assert_array_equal(store.reader("ihc", tiles)(at)[0], cut)
    assert Path(row["he"]).is_file()
