"""The store and the views: what is listed, tiles equal to a cut by hand, bounded memory, and no way to an IHC image."""

from __future__ import annotations

import gc
import json
import types
from pathlib import Path

import numpy as np
import pytest

from protocols.contract import Settings
from protocols.errors import UserError
from protocols.files import sha256_of
from protocols.images.patch_images import decode
from protocols.staining.contract import PatchInputs, PatchTraining
from protocols.staining.store import IhcStore, Side, write_ihc_store
from protocols.staining.tiles import TileReader, TileSize, tiles_of
from protocols.staining.views import PatchTrainingView, PatchView, patch_view, training_view
from tests.cohorts import folder_hash
from tests.protocols.staining.trees import Tree, field_of, image_path, labels, read, save, stored, write_tree

SETTINGS = Settings()


def test_the_listing_survives_writing(tmp_path: Path) -> None:
    store = stored(tmp_path)
    again = IhcStore(tmp_path / "store", tmp_path / "tree")
    assert (len(again), again.markers, again.phantom) == (24, ("ER", "PR"), True)
    assert len(store) == 24
    assert again.patients == ("1001", "1002", "1003")
    first = again.table.iloc[0]
    assert (first["name"], first["row"], first["width"], first["flag"], first["he_nuclei"]) == (
        "7_1001_0_0_0", 0, 64, "a", 4,
    )  # fmt: skip
    assert first["ihc_sha256"] == sha256_of(tmp_path / "tree" / first["ihc"])
    np.testing.assert_array_equal(again.rows_of("PR"), np.arange(12, 24))
    np.testing.assert_array_equal(again.rows_of("PR", np.array([3, 13, 20])), [13, 20])
    assert {path.name for path in (tmp_path / "store").iterdir()} == {"cohort.json", "patches.parquet", "dab.f32"}


def test_dab_by_patch_with_hand_set_zeros(tmp_path: Path) -> None:
    write_tree(tmp_path, Tree(cases=("1001",), markers=("ER",)))
    rows = [f"7_1001_0_{place}.png,{rest}" for place, rest in
            (("0_0", "a,4,0.1,0.2"), ("0_1", "a,0"), ("1_0", "0,3,0.5"), ("1_1", "a,2,0.7,-0.1"))]  # fmt: skip
    labels(tmp_path, "ER", rows)
    store = write_ihc_store(tmp_path / "s", read(tmp_path, markers=["ER"]), tile_px=64, phantom=False)
    found = [store.dab(row) for row in range(4)]
    assert [one.tolist() for one in found if one is not None] == [
        np.array([0.1, 0.2], np.float32).tolist(), [], [0.0], np.array([0.7, -0.1], np.float32).tolist(),
    ]  # fmt: skip
    measured = store.dab(2, scored=False)
    assert measured is not None
    assert measured.tolist() == [0.5]
    unlabelled = write_ihc_store(tmp_path / "u", read(tmp_path, markers=["ER"], labels=None), tile_px=64, phantom=False)
    assert unlabelled.dab(0) is None
    assert folder_hash(unlabelled.folder) != folder_hash(store.folder)


def test_the_hash_sees_pixels_labels_and_tiles_but_not_the_place(tmp_path: Path) -> None:
    def hash_of(name: str, tile_px: int = 32) -> str:
        folder = tmp_path / f"store {name}"
        return folder_hash(write_ihc_store(folder, read(tmp_path / name), tile_px=tile_px, phantom=True).folder)

    for name in ("a", "b"):
        write_tree(tmp_path / name)
    first = hash_of("a")
    assert hash_of("b") == first
    assert hash_of("b", 16) != first
    path = tmp_path / "b" / "Labels" / "PR.csv"
    text = path.read_text()
    path.write_text(text.replace("0.05", "0.06", 1))
    assert hash_of("b") != first
    path.write_text(text)
    pixels = decode(image_path(tmp_path / "b", "IHC", "PR", "7_1003_0_1_1")).copy()
    pixels[5, 6, 0] ^= 1
    save(image_path(tmp_path / "b", "IHC", "PR", "7_1003_0_1_1"), pixels)
    assert hash_of("b") != first


def test_tiles_are_a_grid_without_overlap(tmp_path: Path) -> None:
    names = tiles_of("7_1_0_0_0", 70, 40, TileSize(16, 32))
    assert names == [("7_1_0_0_0_0_0", 0, 0), ("7_1_0_0_0_0_1", 0, 1)]
    assert tiles_of("small", 31, 40, TileSize(32, 32)) == []
    store = stored(tmp_path)
    tiles = store.tiles(np.array([5, 0]))
    assert len(tiles) == 8
    assert tiles.name[:5].tolist() == [f"{store.name_of[5]}_{r}_{c}" for r in (0, 1) for c in (0, 1)] + [
        f"{store.name_of[0]}_0_0"
    ]
    assert len(store.tiles(np.zeros(0, np.int64))) == 0


def test_a_tile_is_cut_from_its_patch_in_any_order_and_company(tmp_path: Path) -> None:
    store = stored(tmp_path)
    tiles = store.tiles(store.rows_of("ER"))
    sides: tuple[Side, ...] = ("he", "ihc")
    for side in sides:
        reader = store.reader(side, tiles)
        rows = np.array([17, 2, 2, 40, 3])
        images = reader(rows)
        assert images.shape == (5, 32, 32, 3)
        for row, image in zip(rows, images, strict=True):
            whole = decode(store.root / str(store.table[side].iloc[tiles.patch[row]]))
            top, left = (tiles.corner[row] * 32).tolist()
            np.testing.assert_array_equal(image, whole[top : top + 32, left : left + 32])
            np.testing.assert_array_equal(image, reader(np.array([row]))[0])
        assert reader.decodes == 3


def test_downscaling_is_the_mean_of_each_block(tmp_path: Path) -> None:
    store = stored(tmp_path, tile_px=16, source_px=64)
    tiles = store.tiles(np.array([0]))
    image = store.reader("he", tiles)(np.array([0]))[0]
    whole = decode(store.root / str(store.table["he"].iloc[0])).astype(np.float64)
    expected = whole.reshape(16, 4, 16, 4, 3).mean(axis=(1, 3))
    assert np.abs(image - expected).max() <= 0.5


def test_the_cache_stays_within_its_bytes(tmp_path: Path) -> None:
    store = stored(tmp_path)
    tiles = store.tiles(np.arange(len(store)))
    reader = store.reader("he", tiles, cache_bytes=3 * 64 * 64 * 3)
    reader(np.arange(len(tiles)))
    assert (reader.decodes, reader.resident_bytes) == (24, 3 * 64 * 64 * 3)
    tiny = store.reader("he", tiles, cache_bytes=1)
    tiny(np.arange(8))
    assert (tiny.decodes, tiny.resident_bytes) == (2, 64 * 64 * 3)


def test_an_image_that_changed_or_went_is_one_line(tmp_path: Path) -> None:
    store = stored(tmp_path)
    path = store.root / str(store.table["he"].iloc[0])
    reader = store.reader("he", store.tiles(np.array([0])))
    with pytest.raises(IndexError):
        reader(np.array([4]))
    save(path, field_of("larger", 64, 96))
    with pytest.raises(UserError, match=r"96 × 64 px; expected 64 × 64 px as when the cohort was read"):
        reader(np.array([0]))
    path.unlink()
    with pytest.raises(UserError, match="the image is gone"):
        reader(np.array([0]))


def test_bad_tiles_and_folders(tmp_path: Path) -> None:
    write_tree(tmp_path)
    cohort = read(tmp_path)
    for tile_px, source_px in ((0, None), (64, 32)):
        with pytest.raises(UserError, match="no enlargement"):
            write_ihc_store(tmp_path / "s", cohort, tile_px=tile_px, source_px=source_px, phantom=True)
    with pytest.raises(UserError, match="no patch of tiny is 65 px wide and high"):
        write_ihc_store(tmp_path / "s", cohort, tile_px=65, phantom=True)
    with pytest.raises(UserError, match="no cohort here"):
        IhcStore(tmp_path / "s", tmp_path)


def test_patches_smaller_than_a_tile_are_named(tmp_path: Path) -> None:
    write_tree(tmp_path)
    for side in ("HandE", "IHC"):
        save(image_path(tmp_path, side, "ER", "7_1001_0_0_0"), field_of(side, 40, 64))
    store = write_ihc_store(tmp_path / "s", read(tmp_path), tile_px=48, phantom=True)
    assert len(store) == 23
    assert [(one.what, one.reason) for one in store.excluded] == [("ER patch 7_1001_0_0_0", "smaller than a tile")]


def test_views_implement_the_contract(tmp_path: Path) -> None:
    store = stored(tmp_path)
    train, validation = np.array([0, 1, 12]), np.array([4, 16])
    view = training_view(store, "ER", train, validation, SETTINGS, workspace=tmp_path)
    asked: PatchTraining = view
    assert (asked.marker, asked.pixels, len(asked), asked.workspace) == ("ER", 32, 12, tmp_path)
    assert sorted(set(asked.patient.tolist())) == ["1001", "1002"]
    np.testing.assert_array_equal(view.validation, [False] * 8 + [True] * 4)
    rows = np.array([9, 0])
    whole = [decode(store.root / str(store.table["ihc"].iloc[row])) for row in (4, 0)]
    np.testing.assert_array_equal(asked.ihc(rows), [whole[0][:32, 32:], whole[1][:32, :32]])
    test: PatchInputs = patch_view(store, "PR", np.arange(24), SETTINGS)
    assert (len(test), str(test.patch[0])) == (48, "7_1001_0_0_0_0_0")
    for ask in (test.embedding, test.oracle):
        with pytest.raises(UserError, match="was called without"):
            ask(rows)
    with pytest.raises(UserError, match="without IHC images"):
        PatchTrainingView("ER", test.patch, test.patient, 32, SETTINGS, view.he_reader).ihc(rows)


def test_the_oracle_reads_the_registered_twin(tmp_path: Path) -> None:
    store = stored(tmp_path)
    write_tree(tmp_path / "exact", Tree(cases=("1003", "1002", "1001")))
    twin = field_of("twin", 64, 64)
    save(image_path(tmp_path / "exact", "IHC", "ER", "7_1001_0_0_0"), twin)
    view = patch_view(store, "ER", np.array([0]), SETTINGS, oracle_root=tmp_path / "exact")
    np.testing.assert_array_equal(view.oracle(np.array([1]))[0], twin[:32, 32:])


def reachable(start: object) -> list[object]:
    """Everything of this package's making that an object leads to: attributes, containers, closures."""
    seen: dict[int, object] = {}
    open_ends = [start]
    while open_ends:
        one = open_ends.pop()
        if id(one) in seen or isinstance(one, type | types.ModuleType | types.BuiltinFunctionType):
            continue
        seen[id(one)] = one
        if isinstance(one, types.FunctionType):
            open_ends += [cell.cell_contents for cell in one.__closure__ or ()]
        else:
            open_ends += gc.get_referents(one)
    return list(seen.values())


def test_nothing_in_a_patch_view_leads_to_an_ihc_image(tmp_path: Path) -> None:
    store = stored(tmp_path)
    view = patch_view(store, "ER", np.arange(24), SETTINGS)
    view.he(np.array([0, 5]))
    found = reachable(view)
    assert sum(isinstance(one, TileReader) for one in found) == 1
    assert not [one for one in found if isinstance(one, IhcStore | PatchTrainingView)]
    texts = [one for one in found if isinstance(one, str)]
    assert any("/HandE/" in text for text in texts)
    assert not [text for text in texts if "/IHC/" in text]
    assert not hasattr(view, "ihc")
    training = training_view(store, "ER", np.arange(8), np.array([9]), SETTINGS)
    assert isinstance(training, PatchView)
    assert any("/IHC/" in one for one in reachable(training) if isinstance(one, str))  # the search does find it


def test_cohort_json_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored(tmp_path)
    monkeypatch.setattr("protocols.staining.store.sha256_of", lambda path: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_ihc_store(tmp_path / "new", read(tmp_path / "tree"), tile_px=32, phantom=True)
    with pytest.raises(UserError, match="no cohort here"):
        IhcStore(tmp_path / "new", tmp_path / "tree")
    assert "root" not in json.dumps(sorted(path.name for path in (tmp_path / "store").iterdir()))
