"""IHC images drawn elsewhere: scored like a model's own, and every way to hand in a wrong folder is one clear line."""

from __future__ import annotations

import json
import shutil
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from protocols.cohorts.patch_images import decode
from protocols.contract import CropArray
from protocols.errors import UserError
from protocols.ihc.splitting import read_ihc_split
from protocols.records import RECORD_FILE, ScoreRecord
from suite.config import Config, read_config
from suite.ihc.cohorts import Board, stored
from suite.ihc.scoring import score_board
from suite.ihc.submissions import score_ihc_submission
from suite.ihc.units import COLUMNS, image_units
from suite.places import SPLITS, SUBMISSIONS
from suite.stages import ihc
from tests.protocols.ihc.trees import Tree, write_tree

ROOT = Path(__file__).resolve().parents[2]
TILE = 32


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run's cohort and split, of five patients with two markers."""
    root = tmp_path_factory.mktemp("checkout")
    tree = Tree(cases=("1001", "1002", "1003", "1004", "1005"), grid=(1, 2))
    write_tree(root / "tree", tree)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        ihc.run(config_of(root), "tiny")
        yield root


@pytest.fixture
def config(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.chdir(checkout)
    return config_of(checkout)


def config_of(root: Path) -> Config:
    config = read_config(ROOT / "params.yaml")
    entry = config.ihc.cohorts["phantom_jitter"].model_copy(
        update={"root": root / "tree", "aligned": None, "truth": None, "markers": ["ER", "PR"]}
    )
    of = config.ihc.model_copy(update={"cohorts": {"tiny": entry}, "tile_px": TILE, "folds": 2, "shift_px": 1})
    return config.model_copy(update={"ihc": of, "workers": 1})


def drawn(config: Config, out: Path, markers: tuple[str, ...] = ("ER", "PR")) -> Path:
    """Every test tile's own H&E, handed in as its IHC."""
    for marker in markers:
        (out / "tiny" / marker).mkdir(parents=True)
        store = stored(config, "tiny")
        tiles = store.tiles(store.rows_of(marker))
        for name, image in zip(tiles.name, store.reader("he", tiles)(np.arange(len(tiles))), strict=True):
            Image.fromarray(image).save(out / "tiny" / marker / f"{name}.png")
    return out


def handed(config: Config, folder: Path, model: str = "mine") -> list[ScoreRecord]:
    return score_ihc_submission(config, "ihc4bc", model, folder, "a note")


def test_a_folder_is_scored_as_the_models_arrays_are(config: Config, tmp_path: Path) -> None:
    records = handed(config, drawn(config, tmp_path / "mine"))
    assert [record.board for record in records] == ["tiny_ER", "tiny_PR"]
    store, (split, _) = stored(config, "tiny"), read_ihc_split(SPLITS / "ihc4bc" / "tiny")
    for board, record in zip((Board("tiny", "ER"), Board("tiny", "PR")), records, strict=True):
        (tmp_path / board.name).mkdir()
        for k, fold in enumerate(split.folds):
            tiles = store.tiles(store.rows_of(board.marker, fold.test))
            np.save(tmp_path / board.name / f"{k:04d}.npy", store.reader("he", tiles)(np.arange(len(tiles))))
        own = score_board(config, board, tmp_path / board.name)
        assert (record.headline, record.summary, record.per_patient) == (own.headline, own.summary, own.per_patient)
        assert record.counts["tiles"] == 40
        written = json.loads((SUBMISSIONS / "ihc4bc" / "mine" / board.name / RECORD_FILE).read_text())
        assert written["card"]["summary"] == "a note"
        assert (written["task"], written["status"], written["profile"]) == ("image", "scored", "predictions only")


def test_one_marker_may_be_handed_in_and_replaces_what_was_there(config: Config, tmp_path: Path) -> None:
    handed(config, drawn(config, tmp_path / "both"))
    before = (SUBMISSIONS / "ihc4bc" / "mine" / "tiny_ER" / RECORD_FILE).read_text()
    folder = drawn(config, tmp_path / "one", ("ER",))
    (folder / ".DS_Store").write_bytes(b"left by a file manager")
    assert [record.board for record in handed(config, folder)] == ["tiny_ER"]
    assert not (SUBMISSIONS / "ihc4bc" / "mine" / "tiny_PR").exists()
    assert (SUBMISSIONS / "ihc4bc" / "mine" / "tiny_ER" / RECORD_FILE).read_text() == before


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
def test_a_malformed_submission_is_one_clear_line(config: Config, tmp_path: Path, how: str, says: str) -> None:
    folder = drawn(config, tmp_path / "mine", ("ER",))
    spoil(folder / "tiny" / "ER" / "7_1002_0_0_1_1_0.png", how)
    with pytest.raises(UserError, match=says) as caught:
        handed(config, folder, "malformed")
    assert "\n" not in str(caught.value)
    assert not (SUBMISSIONS / "ihc4bc" / "malformed").exists()


def test_a_failed_one_leaves_what_was_handed_in_before(config: Config, tmp_path: Path) -> None:
    folder = drawn(config, tmp_path / "mine", ("ER",))
    handed(config, folder, "kept")
    spoil(folder / "tiny" / "ER" / "7_1002_0_0_1_1_0.png", "cut")
    with pytest.raises(UserError):
        handed(config, folder, "kept")
    assert (SUBMISSIONS / "ihc4bc" / "kept" / "tiny_ER" / RECORD_FILE).exists()


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "../other", ".hidden"])
def test_a_name_that_leads_elsewhere_is_refused(config: Config, tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="is no name"):
        handed(config, tmp_path, name)


def test_other_mistakes_are_named(config: Config, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'ihc_unet' is a model of params"):
        handed(config, tmp_path, "ihc_unet")
    with pytest.raises(UserError, match="no such folder"):
        handed(config, tmp_path / "nowhere")
    with pytest.raises(UserError, match="no marker's folder"):
        handed(config, tmp_path)
    with pytest.raises(UserError, match="unknown"):
        score_ihc_submission(config, "ihc4b", "mine", tmp_path, "")


def test_images_are_read_when_scored_and_not_kept(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from suite.ihc import submissions

    tiles = np.array([f"t{k}" for k in range(400)])
    image = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    for tile in tiles:
        Image.fromarray(image).save(tmp_path / f"{tile}.png")
    decoded: list[Path] = []

    def counted(path: Path) -> CropArray:
        decoded.append(path)
        return decode(path)

    monkeypatch.setattr(submissions, "decode", counted)
    read = submissions._reader(tmp_path)(0, tiles)
    assert decoded == []
    read(np.arange(4))
    tracemalloc.start()
    for start in range(0, len(tiles), 4):
        np.testing.assert_array_equal(read(np.arange(start, start + 4))[0], image)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(decoded) == 404
    assert peak < 20 * image.nbytes  # all at once would be 400


def test_units_say_what_to_draw_and_what_may_be_learned_from(config: Config) -> None:
    table = image_units(config)
    assert tuple(table.columns) == COLUMNS
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
    store = stored(config, "tiny")
    tiles = store.tiles(store.rows_of(row["marker"]))
    at = np.flatnonzero(tiles.name == row["tile"])
    patch = np.asarray(Image.open(row["ihc"]).convert("RGB"))
    cut = patch[TILE * row["row"] :, TILE * row["column"] :][:TILE, :TILE]
    np.testing.assert_array_equal(store.reader("ihc", tiles)(at)[0], cut)
    assert Path(row["he"]).is_file()
