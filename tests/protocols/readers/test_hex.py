"""HEX's layout as its release has it, written by hand."""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import pytest

from protocols.errors import UserError
from protocols.expression.cohort import SlideEntry
from protocols.images.crops import CohortCrops
from protocols.images.tile_folder import recognised_by
from protocols.readers.hex_markers import HEX_MARKERS
from protocols.readers.readers import read_slide

from .bundles import picture, write_ome

SIDE = 224
PIXELS = picture(3 * SIDE, 2 * SIDE)
CORNERS = [(column * SIDE, row * SIDE) for row in range(2) for column in range(3)]


def channels(number: int) -> list[str]:
    return [f"mean_intensity_channel{one}" for one in range(1, number + 1)]


def table(number: int = 40) -> pd.DataFrame:
    """Channel c of tile t is (100 t + c) / 1,000."""
    frame = pd.DataFrame({"slide": "3", "index": range(6), "x": [x for x, _ in CORNERS], "y": [y for _, y in CORNERS]})
    for channel, name in enumerate(channels(number), start=1):
        frame[name] = [(100 * tile + channel) / 1000 for tile in range(6)]
    return frame


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "he_patches" / "3"
    folder.mkdir(parents=True)
    for number, (x, y) in enumerate(CORNERS):
        cv2.imwrite(str(folder / f"3_{number}.png"), PIXELS[y : y + SIDE, x : x + SIDE, ::-1])
    return tmp_path


def read(root, frame=None, files=None, **options):
    (table() if frame is None else frame).to_csv(root / "3.csv", index=False)
    files = {"table": "3.csv", "tiles": "he_patches/3"} if files is None else files
    return read_slide("hex", SlideEntry("3", "p", "lung", files, options), root)


def test_there_are_forty_markers_in_the_papers_order():
    assert len(HEX_MARKERS) == len(set(HEX_MARKERS)) == 40
    assert (HEX_MARKERS[0], HEX_MARKERS[2], HEX_MARKERS[23], HEX_MARKERS[39]) == (
        "DAPI", "Pan-Cytokeratin", "Mac2/Galectin-3", "HLA-DR",
    )  # fmt: skip


def test_a_slide_is_read_whole(root):
    shuffled = table()[["slide", "index", "x", "y", *reversed(channels(40))]]
    for frame in (table(), shuffled):
        slide = read(root, frame)
        assert (slide.unit, slide.mpp, slide.genes, slide.counts) == ("tile", 0.25, HEX_MARKERS, None)
        assert slide.units["cell_id"].tolist() == [f"3_{number}" for number in range(6)]
        assert slide.units.loc[4, ["x_px", "y_px"]].tolist() == [224 + 112, 224 + 112]
        assert slide.intensities.dtype == np.float32
        assert slide.intensities[5, 1] == pytest.approx(0.502)
    assert any("upper left corners" in note for note in slide.notes)
    assert any("0.25" in note for note in slide.notes)
    assert any("from 0.001 to 0.54 (float64" in note and "0 to 1" in note for note in slide.notes)


def test_a_crop_is_the_units_own_tile_or_its_middle(root):
    slide = read(root)
    xy = slide.units[["x_px", "y_px"]].to_numpy()
    names = slide.units["cell_id"].to_numpy().astype(str)
    number = np.zeros(6, int)
    order = np.array([4, 0, 4])
    tiles = CohortCrops(number, xy, [(slide.image, slide.mpp)], 56.0, SIDE, names=names)
    for place, tile in enumerate(order):
        x, y = CORNERS[tile]
        np.testing.assert_array_equal(tiles.read(order)[place], PIXELS[y : y + SIDE, x : x + SIDE])
    write_ome(root / "i.ome.tif", PIXELS, mpp=0.25)
    whole = read(root, files={"table": "3.csv", "image": "i.ome.tif"})
    np.testing.assert_array_equal(whole.units[["x_px", "y_px"]], xy)
    for um, pixels in ((56.0, 224), (32.0, 64), (25.0, 100)):
        one = CohortCrops(number, xy, [(slide.image, 0.25)], um, pixels, names=names)
        other = CohortCrops(number, xy, [(whole.image, 0.25)], um, pixels)
        np.testing.assert_array_equal(one.read(order), other.read(order))
        seen = np.concatenate([places for places, _ in one.batches(order, 2)])
        assert seen.tolist() == [0, 1, 2]
    with pytest.raises(UserError, match=r"show 56\.0 µm, crops need 112 µm"):
        CohortCrops(number, xy, [(slide.image, 0.25)], 112.0, 224, names=names).read(order)
    with pytest.raises(UserError, match="units without names"):
        CohortCrops(number, xy, [(slide.image, 0.25)], 56.0, 224).read(order)


def test_what_x_and_y_mean_is_an_option(root):
    slide = read(root, xy="centre")
    assert slide.units.loc[4, ["x_px", "y_px"]].tolist() == [224, 224]
    assert any("centres of tiles" in note for note in slide.notes)


def test_other_numbers_of_channels_are_named_by_the_option_or_by_number(root):
    assert read(root, table(3)).genes == ("channel1", "channel2", "channel3")
    assert read(root, table(3), markers="DAPI;CD8;Ki67").genes == ("DAPI", "CD8", "Ki67")
    (root / "names.txt").write_text("DAPI\nCD8\nKi67\n")
    assert read(root, table(3), markers="names.txt").genes == ("DAPI", "CD8", "Ki67")
    with pytest.raises(UserError, match=r"names 2 markers.*expected 3"):
        read(root, table(3), markers="DAPI;CD8")
    with pytest.raises(UserError, match="below the cohort's root"):
        read(root, table(3), markers="../names.txt")
    with pytest.raises(UserError, match=r"occur more than once, e.g. 'CD8'"):
        read(root, table(3), markers="DAPI;CD8;CD8")


def test_rows_without_a_picture_are_left_out_and_told(root):
    (root / "he_patches/3/3_1.png").unlink()
    (root / "he_patches/3/3_5.png").rename(root / "he_patches/3/3_77.png")
    slide = read(root)
    assert slide.units["cell_id"].tolist() == ["3_0", "3_2", "3_3", "3_4"]
    assert slide.intensities[1, 0] == pytest.approx(0.201)
    assert any("2 of 6 tiles have no picture" in note for note in slide.notes)
    assert any("1 pictures have no row" in note for note in slide.notes)


def test_a_table_of_many_slides_gives_the_one_that_is_asked_for(root):
    other = table().assign(slide="4")
    slide = read(root, pd.concat([other, table()]))
    assert len(slide.units) == 6
    assert any("6 rows are of other slides" in note for note in slide.notes)
    with pytest.raises(UserError, match=r"no row of the slide '3'.*the table has 4, 5"):
        read(root, pd.concat([other, table().assign(slide="5")]))


def test_two_copies_of_a_slide_are_recognised_by_the_same_bytes(root):
    copy = root / "he_patches" / "9"
    copy.mkdir()
    for path in (root / "he_patches/3").iterdir():
        (copy / path.name.replace("3_", "9_")).write_bytes(path.read_bytes())
    one, other = recognised_by(root / "he_patches/3"), recognised_by(copy)
    assert one.read_bytes() == other.read_bytes()
    assert recognised_by(one) == one


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda t: t.drop(columns="index"), "no column 'index'"),
        (lambda t: t.rename(columns={"x": "X"}), "no column 'x'"),
        (lambda t: t.iloc[:0], "no rows"),
        (lambda t: t.assign(index=0), "tile ids occur more than once"),
        (lambda t: t.assign(x=0, y=0), "1 places have more than one tile"),
        (lambda t: t.assign(x="left"), "no finite position"),
        (lambda t: t.drop(columns=channels(40)), "no column mean_intensity_channel1"),
        (lambda t: t.drop(columns="mean_intensity_channel7"), "not numbered 1 to 39"),
        (lambda t: t.assign(mean_intensity_channel2=-1.0), "6 values of 'CD8' are negative"),
        (lambda t: t.assign(mean_intensity_channel2=np.nan), "6 values of 'CD8' are not finite"),
        (lambda t: t.assign(mean_intensity_channel2="much"), "mean_intensity_channel2 holds text"),
        (lambda t: t.assign(mean_intensity_channel2="0,5"), "decimal commas"),
        (lambda t: t.assign(**dict.fromkeys(channels(40), 0.0)), "the slide is empty"),
        (lambda t: t.assign(slide="8"), r"no row of the table has a tile, e.g. 8_0.png"),
    ],
)
def test_each_fault_gets_one_clear_line(root, edit, message):
    with pytest.raises(UserError, match=message) as caught:
        read(root, edit(table()))
    assert "\n" not in str(caught.value)


def test_faults_of_tiles_are_named(root):
    with pytest.raises(UserError, match="tiles and image are both given or both missing"):
        read(root, files={"table": "3.csv"})
    folder = root / "he_patches/3"
    cv2.imwrite(str(folder / "3_2.png"), PIXELS[:100, :100])
    with pytest.raises(UserError, match=r"3_2\.png.*100 × 100 px"):
        read(root)
    (folder / "3_2.png").write_bytes((folder / "3_1.png").read_bytes()[:-40])
    with pytest.raises(UserError, match=r"3_2\.png.*damaged"):
        read(root)
    (root / "none").mkdir()
    with pytest.raises(UserError, match="no tile in it"):
        read(root, files={"table": "3.csv", "tiles": "none"})
