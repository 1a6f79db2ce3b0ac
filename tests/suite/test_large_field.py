"""Whole fields: weights, resolution, blending, glass, memory, the file that comes out, and what goes wrong."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import openslide
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.contract import Settings
from protocols.errors import UserError
from protocols.images.image import SlideImage, open_image
from protocols.metrics.seams import seams
from protocols.phantom.image_file import write_he_image
from protocols.seeds import generator
from suite.tools.large_field import JPEG_PERIOD, field_seams, generate_field, tissue_windows
from suite.tools.stain_slide import model_predict, stain_slide
from suite.tools.windows import FieldReader, axis_matrix, lay_axis
from tests.cohorts import real_data

TILE, OVERLAP = 64, 16
UUID = "00000000-0000-4000-8000-000000000000"


def tissue(height: int, width: int, seed: int = 0) -> np.ndarray:
    """H&E-like: pink everywhere, smooth."""
    coarse = generator(seed, "tissue").normal(0, 25, (height // 16 + 2, width // 16 + 2, 3)).astype(np.float32)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(np.array([200, 110, 170]) + smooth, 0, 255).astype(np.uint8)


def slide(path: Path, image: np.ndarray, mpp: float = 0.5, levels: int = 2) -> Path:
    write_he_image(path, image, mpp=mpp, levels=levels, tile=64, quality=95, name="slide", uuid=UUID)
    return path


def generate(path: Path, out: Path, predict, **options):
    given = {"tile_px": TILE, "overlap_px": OVERLAP, "mpp_model": 0.5, "batch": 4, "compression": "deflate"} | options
    with open_image(path) as image:
        return generate_field(image, predict, out=out, **given)


def pixels(path: Path) -> np.ndarray:
    return tifffile.imread(path, level=0)


def same(windows: np.ndarray) -> np.ndarray:
    return windows


def biased(windows: np.ndarray) -> np.ndarray:
    """Every window darker on its left and at its top: what makes seams."""
    ramp = np.linspace(-15, 15, windows.shape[1])
    bias = ramp[None, :, None, None] + ramp[None, None, :, None]
    return np.clip(windows + bias, 0, 255).astype(np.uint8)


# windows


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 400), st.integers(4, 70), st.data(), st.sampled_from(["cosine", "none"]))
def test_weights_are_a_partition_of_unity(length, tile, data, blending):
    axis = lay_axis(length, tile, data.draw(st.integers(0, tile - 1)), blending)
    total = np.zeros(max(length, tile))
    for start, weight in zip(axis.start, axis.weight, strict=True):
        total[start : start + tile] += weight
    np.testing.assert_allclose(total, 1, atol=1e-12)
    assert axis.start[-1] + tile == max(length, tile)
    assert len(set(axis.start)) == len(axis.start)
    assert (axis.weight >= 0).all()
    assert all(0 < seam < length for seam in axis.seams)


def test_cosine_weights_by_hand():
    axis = lay_axis(14, 8, 2, "cosine")
    assert axis.start == (0, 6)
    rise = (1 - np.cos(np.pi * np.array([0.25, 0.75]))) / 2
    np.testing.assert_allclose(axis.weight[0], [1] * 6 + list(rise[::-1]))
    np.testing.assert_allclose(axis.weight[1], [*rise, 1, 1, 1, 1, 1, 1])
    assert axis.seams == (6, 8)
    hard = lay_axis(14, 8, 2, "none")
    assert hard.weight.tolist() == [[1] * 7 + [0], [0] + [1] * 7]
    assert hard.seams == (7,)


@pytest.mark.parametrize(("source", "target"), [(200, 100), (230, 97), (101, 100), (100, 100), (60, 100)])
def test_resampling_is_opencvs(source, target):
    column = generator(source, "column").integers(0, 256, (source, 1, 3)).astype(np.float32)
    how = cv2.INTER_AREA if source > target else cv2.INTER_LINEAR
    expected = cv2.resize(column, (1, target), interpolation=how)
    for top, bottom in ((0, target), (13, 57), (target - 1, target)):
        first, matrix = axis_matrix(source, target, top, bottom)
        found = matrix @ column[first : first + matrix.shape[1], 0]
        np.testing.assert_allclose(found, expected[top:bottom, 0], atol=2e-2)


@pytest.mark.parametrize(
    ("mpp_model", "level", "copied"),
    [(0.5, 0, True), (1.0, 1, True), (0.66, 0, False), (1.3, 1, False), (0.4, 0, False)],
)
def test_rows_at_the_models_resolution(tmp_path, mpp_model, level, copied):
    path = slide(tmp_path / "s.ome.tif", tissue(160, 208), levels=3)
    with open_image(path) as image:
        reader = FieldReader(image, mpp_model, 32)
        assert (reader.index, reader.copied) == (level, copied)
        assert reader.mpp == pytest.approx(mpp_model, rel=0.01)
        whole = reader.rows(0, reader.height)
        bands = [reader.rows(top, min(top + 11, reader.height)) for top in range(0, reader.height, 11)]
        grid = image.levels[level]
        source = image.read_region(0, 0, grid.width, grid.height, level)
    np.testing.assert_array_equal(np.concatenate(bands), whole)
    how = cv2.INTER_AREA if mpp_model >= 0.5 else cv2.INTER_LINEAR
    expected = cv2.resize(source, (reader.width, reader.height), interpolation=how).astype(int)
    assert np.abs(whole - expected).max() <= 1


# fields


@pytest.mark.parametrize("blending", ["cosine", "none"])
@pytest.mark.parametrize("overlap", [0, 16, 40])
@pytest.mark.parametrize("shape", [(150, 210), (64, 64), (40, 100), (30, 20), (129, 65)])
def test_constant_in_constant_out_exactly(tmp_path, blending, overlap, shape):
    path = slide(tmp_path / "s.ome.tif", tissue(*shape), levels=1)
    colour = np.array([37, 201, 133], np.uint8)
    report = generate(
        path,
        tmp_path / "o.ome.tif",
        lambda windows: np.broadcast_to(colour, windows.shape),
        blending=blending,
        overlap_px=overlap,
    )
    assert (pixels(report.out) == colour).all()
    assert pixels(report.out).shape == (*shape, 3)


@pytest.mark.parametrize("blending", ["cosine", "none"])
@pytest.mark.parametrize("overlap", [0, 16, 50])
def test_a_model_that_changes_nothing_gives_the_slide(tmp_path, blending, overlap):
    path = slide(tmp_path / "s.ome.tif", tissue(230, 170))
    generate(path, tmp_path / "o.ome.tif", same, blending=blending, overlap_px=overlap, batch=3)
    with open_image(path) as image:
        np.testing.assert_array_equal(pixels(tmp_path / "o.ome.tif"), image.read_region(0, 0, 170, 230))


def test_a_ramp_stays_continuous(tmp_path):
    """Each window answers a ramp of its own; blended, no step is larger than the ramps' own slopes allow."""
    path = slide(tmp_path / "s.ome.tif", tissue(64, 400))
    ramp = np.linspace(60, 180, TILE).astype(np.uint8)
    answers = {}
    for blending in ("cosine", "none"):
        report = generate(
            path,
            tmp_path / f"{blending}.ome.tif",
            lambda windows: np.broadcast_to(ramp[:, None], windows.shape),
            blending=blending,
            overlap_px=32,
        )
        answers[blending] = np.abs(np.diff(pixels(report.out)[10, :, 0].astype(int))).max()
    assert answers["none"] > 50
    assert answers["cosine"] <= 6  # 60 grey levels over 32 px: at most π/2 · 60/32 + the slope of 2


def test_against_the_whole_field_in_memory(tmp_path):
    """The stream gives what a plain loop over all windows with sums as large as the slide gives."""
    image = tissue(200, 230)
    image[:, 120:] = 255
    path = slide(tmp_path / "s.ome.tif", image)
    report = generate(path, tmp_path / "o.ome.tif", biased, overlap_px=24)
    with open_image(path) as opened:
        seen = opened.read_region(0, 0, 230, 200)
        reader = FieldReader(opened, 0.5, TILE)
        across, down = lay_axis(230, TILE, 24, "cosine"), lay_axis(200, TILE, 24, "cosine")
        kept = tissue_windows(reader, across, down, "saturation")
    total, weight = np.zeros((200, 230, 3)), np.zeros((200, 230, 1))
    for row, y in enumerate(down.start):
        for column, x in enumerate(across.start):
            if kept[row, column]:
                share = np.outer(down.weight[row], across.weight[column])[..., None]
                total[y : y + TILE, x : x + TILE] += share * biased(seen[None, y : y + TILE, x : x + TILE])[0]
                weight[y : y + TILE, x : x + TILE] += share
    expected = np.where(weight > 0, total / np.maximum(weight, 1e-9), 255)
    assert np.abs(pixels(report.out) - expected).max() <= 0.501
    assert report.glass == (~kept).sum() > 0


def test_glass_is_white_not_predicted_and_counted(tmp_path):
    image = np.full((320, 384, 3), 255, np.uint8)
    image[20:90, 30:100] = tissue(70, 70)
    path = slide(tmp_path / "s.ome.tif", image)
    asked = []

    def dark(windows: np.ndarray) -> np.ndarray:
        asked.append(len(windows))
        return np.full_like(windows, 50)

    report = generate(path, tmp_path / "o.ome.tif", dark, overlap_px=0)
    assert sum(asked) == report.predicted == 4
    assert max(asked) <= 4
    assert len(asked) == report.batches
    assert report.windows == 30
    assert report.glass == 26
    stained = pixels(report.out)
    assert (stained[:128, :128] == 50).all()
    assert (stained[128:] == 255).all()
    assert (stained[:, 128:] == 255).all()
    everything = generate(path, tmp_path / "all.ome.tif", dark, tissue_rule="all", overlap_px=0)
    assert (everything.predicted, everything.glass) == (30, 0)


def test_tissue_beside_glass_keeps_its_full_stain(tmp_path):
    """A glass window has no say in the blend: it would wash out the rim that it overlaps."""
    image = np.full((64, 240, 3), 255, np.uint8)
    image[:, :60] = tissue(64, 60)
    path = slide(tmp_path / "s.ome.tif", image, levels=1)
    report = generate(path, tmp_path / "o.ome.tif", lambda windows: np.full_like(windows, 50), overlap_px=32)
    stained = pixels(report.out)
    assert (stained[:, :60] == 50).all()
    assert (stained[:, 200:] == 255).all()
    assert set(np.unique(stained)) == {50, 255}


def test_blending_reduces_seams(tmp_path):
    """A model with a bias by position in its window has seams; blended, no more than the H&E itself has there."""
    path = slide(tmp_path / "s.ome.tif", tissue(300, 300))
    ratio, at_the_cuts = {}, {}
    cuts = lay_axis(300, TILE, 24, "none").seams
    for blending, predict in (("none", biased), ("cosine", biased), ("cosine", same)):
        name = f"{blending}-{predict.__name__}"
        report = generate(path, tmp_path / f"{name}.ome.tif", predict, blending=blending, overlap_px=24)
        at_the_cuts[name] = seams(pixels(report.out), cuts, cuts).ratio
        with open_image(report.out) as image:
            ratio[name] = field_seams(image, report)
            region = image.read_region(0, 0, 300, 300)
        whole = seams(region, report.x_seams, report.y_seams, period=JPEG_PERIOD)
        assert ratio[name].ratio == pytest.approx(whole.ratio, rel=0.03)
    assert ratio["none-biased"].ratio > 3 + 3 * ratio["none-biased"].standard_error
    assert ratio["cosine-biased"].ratio == pytest.approx(ratio["cosine-same"].ratio, abs=0.05)
    assert at_the_cuts["cosine-biased"] < at_the_cuts["none-biased"] / 3


@pytest.mark.parametrize("compression", ["jpeg", "deflate"])
def test_the_file(tmp_path, compression):
    path = slide(tmp_path / "s.ome.tif", tissue(700, 1100), mpp=0.25)
    report = generate(path, tmp_path / "deep" / "o.ome.tif", same, mpp_model=0.5, compression=compression)
    assert (report.width, report.height, report.mpp, report.level) == (550, 350, 0.5, 1)
    with tifffile.TiffFile(report.out) as tiff:
        assert tiff.is_ome
        assert len(tiff.pages.first.subifds) == 1
        assert [level.shape for level in tiff.series[0].levels] == [(350, 550, 3), (175, 275, 3)]
        assert 'PhysicalSizeX="0.5"' in tiff.ome_metadata
    with open_image(path) as image, open_image(report.out) as stained, openslide.OpenSlide(str(report.out)) as other:
        truth = image.read_region(0, 0, 550, 350, level=1).astype(int)
        assert np.abs(stained.read_region(0, 0, 550, 350) - truth).mean() < 2.5
        assert other.dimensions == (550, 350)
        assert float(other.properties["openslide.mpp-x"]) == pytest.approx(0.5)
        region = np.asarray(other.read_region((0, 0), 0, (550, 350)))[..., :3]
        assert np.abs(region - truth).mean() < 2.5
    again = generate(path, tmp_path / "again" / "o.ome.tif", same, mpp_model=0.5, compression=compression, batch=7)
    assert again.out.read_bytes() == report.out.read_bytes()


class Pink(SlideImage):
    """A slide of any height without a file behind it."""

    def __init__(self, height: int) -> None:
        level = type("Level", (), {"width": 512, "height": height, "tile_width": 512, "tile_height": 64})()
        super().__init__(Path("pink.tif"), [level], 0.5, lambda: None)

    def read_region(self, x, y, w, h, level=0, fill=255):
        return np.full((h, w, 3), (220, 120, 180), np.uint8)


@pytest.mark.parametrize("mpp_model", [0.5, 0.7])
def test_memory_does_not_grow_with_the_height(tmp_path, mpp_model):
    def peak(height: int) -> int:
        tracemalloc.start()
        try:
            generate_field(
                Pink(height),
                same,
                out=tmp_path / "o.ome.tif",
                tile_px=TILE,
                overlap_px=OVERLAP,
                mpp_model=mpp_model,
                batch=4,
            )
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(64)
    low, high = peak(2048), peak(8192)
    assert high < 1.15 * low


def test_ctrl_c_leaves_nothing_behind(tmp_path):
    path = slide(tmp_path / "s.ome.tif", tissue(300, 200))
    calls = []

    def interrupted(windows: np.ndarray) -> np.ndarray:
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return windows

    with pytest.raises(KeyboardInterrupt):
        generate(path, tmp_path / "out" / "o.ome.tif", interrupted)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (lambda windows: windows[:, ::2], r"answered \(4, 32, 64, 3\) uint8"),
        (lambda windows: windows.astype(np.float32) / 255, "float32"),
        (lambda windows: windows[:1], "answered"),
        (lambda windows: None, "NoneType"),
    ],
)
def test_a_wrong_answer_is_named(tmp_path, answer, what):
    path = slide(tmp_path / "s.ome.tif", tissue(100, 220))
    with pytest.raises(UserError, match=what):
        generate(path, tmp_path / "out" / "o.ome.tif", answer)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"overlap_px": TILE}, "overlap"),
        ({"overlap_px": -1}, "overlap"),
        ({"batch": 0}, "batch"),
        ({"blending": "cosin"}, "'cosine'"),
        ({"tissue_rule": "otzu"}, "'otsu'"),
        ({"compression": "jpg"}, "'jpeg'"),
        ({"mpp_model": 0.0}, "above 0"),
    ],
)
def test_settings_that_cannot_work(tmp_path, options, what):
    path = slide(tmp_path / "s.ome.tif", tissue(100, 100))
    with pytest.raises(UserError, match=what):
        generate(path, tmp_path / "out" / "o.ome.tif", same, **options)
    assert not (tmp_path / "out").exists()


def test_outputs_that_cannot_be(tmp_path):
    path = slide(tmp_path / "s.ome.tif", tissue(100, 100))
    before = path.read_bytes()
    for out in (path, tmp_path / "o.tif"):
        with pytest.raises(UserError, match="choose another output"):
            generate(path, out, same)
    assert path.read_bytes() == before


def test_slides_that_cannot_be_stained(tmp_path):
    with pytest.raises(UserError, match="none of 4 windows holds tissue"):
        generate(slide(tmp_path / "w.ome.tif", np.full((100, 100, 3), 255, np.uint8)), tmp_path / "o.ome.tif", same)
    cv2.imwrite(str(tmp_path / "p.png"), tissue(100, 100))
    with pytest.raises(UserError, match="does not say its resolution"):
        generate(tmp_path / "p.png", tmp_path / "o.ome.tif", same)
    report = generate(tmp_path / "p.png", tmp_path / "o.ome.tif", same, mpp=0.5)
    assert (report.width, report.mpp) == (100, 0.5)


@pytest.mark.realdata
def test_a_real_slide(tmp_path):
    """Windows whitened by their own mean, as instance normalisation does: plain to see uncut, gone when blended."""

    def whitened(windows: np.ndarray) -> np.ndarray:
        mean = windows.mean(axis=(1, 2), keepdims=True)
        spread = windows.std(axis=(1, 2), keepdims=True) + 5
        return np.clip((windows - mean) / spread * 30 + 170, 0, 255).astype(np.uint8)

    found = {}
    for blending, predict in (("none", whitened), ("cosine", whitened), ("cosine", same)):
        report = generate(
            real_data("svs") / "CMU-1-Small-Region.svs",
            tmp_path / f"{blending}-{predict.__name__}.ome.tif",
            predict,
            tile_px=128,
            overlap_px=32,
            mpp_model=1.0,
            batch=16,
            blending=blending,
            compression="jpeg",
        )
        assert (report.width, report.height) == (1108, 1481)
        assert 0.2 < report.glass / report.windows < 0.6
        with open_image(report.out) as image:
            found[f"{blending}-{predict.__name__}"] = field_seams(image, report)
    assert found["none-whitened"].ratio > 1.5
    assert found["cosine-whitened"].ratio < 1.1
    assert found["cosine-same"].ratio == pytest.approx(1, abs=0.1)


# models


class Half:
    """Darkens what it sees; with an encoder, by what that says."""

    def __init__(self, *, encoded: bool) -> None:
        self.encoded = encoded

    def predict(self, test, rows):
        assert test.marker == "ER"
        assert test.pixels == TILE
        assert len(test.patch) == len(test.patient) == len(test) == len(rows)
        seen = test.he(rows)
        return (seen * test.embedding(rows)[:, 0, None, None, None]).astype(np.uint8) if self.encoded else seen // 2


@pytest.mark.parametrize("encoded", [False, True])
def test_a_model_stains_a_slide(tmp_path, encoded):
    path = slide(tmp_path / "s.ome.tif", tissue(150, 150))
    report = stain_slide(
        path,
        Half(encoded=encoded),
        tmp_path / "o.ome.tif",
        marker="ER",
        tile_px=TILE,
        mpp_model=0.5,
        embed=lambda windows: np.full((len(windows), 1), 0.5, np.float32),
        compression="deflate",
    )
    assert report.overlap_px == 16
    with open_image(path) as image:
        np.testing.assert_array_equal(pixels(report.out), image.read_region(0, 0, 150, 150) // 2)


def test_a_model_with_an_encoder_needs_one(tmp_path):
    predict = model_predict(Half(encoded=True), marker="ER", settings=Settings())
    with pytest.raises(UserError, match="no encoder was given"):
        predict(np.zeros((2, TILE, TILE, 3), np.uint8))
