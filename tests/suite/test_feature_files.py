"""Slides to files of features: layout, values, resuming, refusals, the command, and the way back as a cohort's bags."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import typer
from typer.testing import CliRunner

from protocols.bulk.super_tiles import read_slide_tiles
from protocols.contract import Settings
from protocols.errors import UserError
from protocols.files import sha256_of
from protocols.images.crops import CohortCrops
from protocols.images.tiling import TileRows
from protocols.images.tissue_tiles import RULES, tile_slide
from protocols.readers.bag_files import read_bag
from protocols.readers.patient_tables import read_slides
from protocols.settings import TileSettings
from suite.tools import feature_files
from suite.tools.feature_files import write_features
from suite.tools.features_command import register
from tests.cohorts import real_data

TILE = TileSettings(um=32.0, pixels=32, tissue="all")
SETTINGS = Settings(threads=1)
FILE = Path("TCGA-GBM") / "a" / "a.h5"


def slide(path: Path, seed: int, side: int = 256, mpp: float = 0.5) -> Path:
    """A slide of noise: 256 pixels are 4 x 4 tiles of 32 µm."""
    image = np.random.default_rng(seed).integers(0, 256, (side, side, 3)).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    at = (1e4 / mpp, 1e4 / mpp)
    tifffile.imwrite(path, image, tile=(128, 128), photometric="rgb", resolution=at, resolutionunit="CENTIMETER")
    return path


@pytest.fixture
def slides(tmp_path: Path) -> list[Path]:
    return [slide(tmp_path / f"{name}.tif", seed) for seed, name in enumerate("abc")]


def write(slides: list[Path], out: Path, **changes: object) -> list[Path]:
    asked = {"encoder": "resnet50", "tile": TILE, "super_tiles": 4, "settings": SETTINGS, "project": "TCGA-GBM"}
    return write_features(slides, out, **asked | changes)  # type: ignore[arg-type]


def test_layout(slides: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    files = write(slides[:1], out)
    assert files == [out / FILE]
    assert [path for path in out.rglob("*") if path.is_file()] == files, "nothing is left lying about"
    with h5py.File(files[0]) as content:
        assert {key: (content[key].shape, content[key].dtype) for key in content} == {
            "resnet_features": ((16, 256), np.float32),
            "cluster_features": ((4, 256), np.float32),
            "coords": ((16, 2), np.int64),
        }
        assert [h5py.h5g.get_objinfo(content.id, key.encode()).mtime for key in content] == [0, 0, 0], "no times"
        assert content["coords"][:5].tolist() == [[0, 0], [64, 0], [128, 0], [192, 0], [0, 64]]
        found = dict(content.attrs)
    assert {key: found[key] for key in ("encoder", "weights_source", "mpp", "tile_um", "seed", "tissue_rule")} == {
        "encoder": "resnet50",
        "weights_source": "random",
        "mpp": pytest.approx(0.5),
        "tile_um": 32.0,
        "seed": 0,
        "tissue_rule": "all",
    }
    assert (found["tiles"], found["fewer_than_places"], found["absent_super_tiles"]) == (16, 0, 0)


def test_super_tiles_are_means_of_scikit_learns_clusters(slides: list[Path], tmp_path: Path) -> None:
    """As released: KMeans with random_state 0 on features; the means of its labels, here to rounding."""
    from sklearn.cluster import KMeans

    with h5py.File(write(slides[:1], tmp_path / "out")[0]) as content:
        features, means = content["resnet_features"][:], content["cluster_features"][:]
    label = KMeans(4, random_state=0, n_init=1).fit_predict(features.astype(np.float64))
    expected = [features[label == cluster].mean(axis=0) for cluster in range(4)]
    np.testing.assert_allclose(means, expected, rtol=1e-5, atol=1e-6)


def test_a_slide_of_few_tiles_is_kept_and_counted(slides: list[Path], tmp_path: Path) -> None:
    with h5py.File(write(slides[:1], tmp_path / "out", super_tiles=20)[0]) as content:
        features, means = content["resnet_features"][:], content["cluster_features"][:]
        assert (content.attrs["fewer_than_places"], content.attrs["absent_super_tiles"]) == (1, 4)
    assert (means[:16] == features).all()
    assert not means[16:].any()


def test_bytes_depend_on_the_slide_alone(slides: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Together, in groups or alone: one file, byte for byte."""
    together = [sha256_of(file) for file in write(slides, tmp_path / "together")]
    monkeypatch.setattr(feature_files, "SLIDES_AT_ONCE", 2)
    assert [sha256_of(file) for file in write(slides, tmp_path / "groups")] == together
    assert [sha256_of(write([one], tmp_path / "alone")[0]) for one in slides] == together
    assert len(set(together)) == 3


def test_features_belong_to_their_places(slides: list[Path], tmp_path: Path) -> None:
    """A planted fault would show: the slide with one tile repainted differs in that tile's row alone."""
    image = tifffile.imread(slides[0])
    image[64:128, 128:192] = 255  # row 1, column 2: tile 6
    other = tmp_path / "other.tif"
    tifffile.imwrite(other, image, photometric="rgb", resolution=(2e4, 2e4), resolutionunit="CENTIMETER")
    before, after = (
        read_bag(write([path], tmp_path / name)[0], "resnet50") for name, path in (("x", slides[0]), ("y", other))
    )
    assert np.flatnonzero((before != after).any(axis=1)).tolist() == [6]


def test_what_is_there_is_kept(slides: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = write(slides[:2], tmp_path / "out")
    times = [file.stat().st_mtime_ns for file in first]
    embedded = []
    embed = feature_files._embed
    monkeypatch.setattr(feature_files, "_embed", lambda paths, *rest: embedded.extend(paths) or embed(paths, *rest))
    files = write(slides, tmp_path / "out")
    assert embedded == slides[2:]
    assert [file.stat().st_mtime_ns for file in files[:2]] == times


def test_an_interrupted_run_leaves_no_half_file(
    slides: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def stops(features: object, *rest: object) -> None:
        calls.append(features)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return means(features, *rest)

    means = feature_files.group_means
    monkeypatch.setattr(feature_files, "group_means", stops)
    with pytest.raises(KeyboardInterrupt):
        write(slides, tmp_path / "out")
    assert [path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*") if path.is_file()] == [FILE]
    monkeypatch.setattr(feature_files, "group_means", means)
    assert all(file.exists() for file in write(slides, tmp_path / "out"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"encoder": "uni"}, "made with encoder resnet50; expected uni"),
        ({"tile": TILE.model_copy(update={"tissue": "otsu"})}, "made with tissue_rule all; expected otsu"),
        ({"super_tiles": 5}, "made with super_tiles 4; expected 5"),
        ({"settings": replace(SETTINGS, seed=1)}, "made with seed 0; expected 1"),
        ({"mpp": 0.25}, "made with mpp_source the slide's file; expected given"),
        (
            {"settings": replace(SETTINGS, weights={"resnet50": {"path": "w.pt", "sha256": "0" * 64}})},
            "made with weights_source random; expected w.pt",
        ),
    ],
)
def test_features_of_another_recipe_are_refused(
    slides: list[Path], tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    write(slides[:1], tmp_path / "out")
    with pytest.raises(UserError, match=said):
        write(slides[:1], tmp_path / "out", **changes)


def test_what_is_refused(slides: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(UserError, match="did you mean 'uni'"):
        write(slides, out, encoder="unni")
    with pytest.raises(UserError, match="did you mean 'sequoia_paper'"):
        write(slides, out, tile=TileSettings(tissue="sequoia_papr"))
    with pytest.raises(UserError, match="2 slides named a"):
        write([slides[0], slide(tmp_path / "other" / "a.tif", 1)], out)
    with pytest.raises(UserError, match="no slides"):
        write([], out)
    with pytest.raises(UserError, match="the name of a folder"):
        write(slides, out, project="../TCGA")
    with pytest.raises(UserError, match="room for a tile of 500 µm"):
        write(slides, out, tile=TileSettings(um=500.0))
    with pytest.raises(UserError, match=r"missing\.tif"):
        write([tmp_path / "missing.tif"], out)
    assert not out.exists()


def test_mpp_given(slides: list[Path], tmp_path: Path) -> None:
    with h5py.File(write(slides[:1], tmp_path / "out", mpp=0.25)[0]) as content:
        assert (content.attrs["mpp"], content.attrs["mpp_source"]) == (0.25, "given")
        assert content["coords"].shape == (4, 2)


@pytest.mark.parametrize(("encoder", "key"), [("uni", "uni_features"), ("ctranspath", "features")])
def test_back_as_a_cohorts_bag(slides: list[Path], tmp_path: Path, encoder: str, key: str) -> None:
    """slides.csv lists the file as a bag; what the cohort's models then read are these tiles."""
    out = tmp_path / "out"
    write(slides[:1], out, encoder=encoder)
    (out / "slides.csv").write_text(f"slide,patient,path,kind,encoder\na,p,{FILE.as_posix()},bag,{encoder}\n")
    listed = tuple(read_slides(out / "slides.csv", out))
    none = TileRows(np.zeros(0, np.int32), np.zeros((0, 2)), {})
    (one,) = read_slide_tiles(listed, out, encoder, none, None)
    with h5py.File(out / FILE) as content:
        assert (one.features == content[key][:]).all()
    assert one.xy is None


def test_the_command(slides: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # no params.yaml here
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    options = "--encoder uni --out out --tile-um 32 --pixels 32 --tissue all --super-tiles 20 --project TCGA-GBM"
    found = CliRunner().invoke(app, ["features", *map(str, slides[:1]), *options.split()])
    assert found.exit_code == 0, found.output
    assert "uni: random weights (profile mini)" in found.output
    assert "out/TCGA-GBM/a/a.h5: 16 tiles of 16 with tissue (all), 4 super-tiles are empty" in found.output
    assert read_bag(tmp_path / "out" / FILE, "uni").shape == (16, 96)


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("encoder", "key", "width", "rules"),
    [("resnet50", "resnet_features", 256, ["sequoia_paper"]), ("uni", "uni_features", 96, list(RULES))],
)
def test_real_svs(tmp_path: Path, encoder: str, key: str, width: int, rules: list[str]) -> None:
    """CMU-1-Small-Region under every rule: the tiles that each keeps of 88, and their features read back."""
    path = real_data("svs") / "CMU-1-Small-Region.svs"
    kept = {"saturation": 33, "otsu": 26, "sequoia_paper": 20, "sequoia_released": 20, "all": 88}
    assert set(rules) <= set(kept)
    for rule in rules:
        tile = TileSettings(tissue=rule)
        (file,) = write([path], tmp_path / rule, encoder=encoder, tile=tile, super_tiles=25, project="CMU")
        features = read_bag(file, encoder)
        with h5py.File(file) as content:
            assert content["cluster_features"].shape == (25, width)
            assert (content.attrs["tiles"], content.attrs["tiles_in_grid"]) == (kept[rule], 88)
            assert content.attrs["absent_super_tiles"] == max(25 - kept[rule], 0)
            assert content.attrs["mpp"] == pytest.approx(0.499)
            assert (content[key][:] == features).all()
            assert content["coords"].shape == (kept[rule], 2)
        assert features.shape == (kept[rule], width)
        assert features.std(axis=0).max() > 0.01


@pytest.mark.realdata
def test_coordinates_point_at_the_pixels() -> None:
    """A crop around a tile's centre is the slide's own square of pixels from its corner on."""
    from protocols.images.image import open_image

    path = real_data("svs") / "CMU-1-Small-Region.svs"
    found = tile_slide(path, um=128, tissue="sequoia_paper", max_tiles=4000, seed=0)
    side = round(128 / found.mpp)
    crop = CohortCrops(np.zeros(1, int), found.centres[:1], [(path, found.mpp)], 128.0, side).read(np.arange(1))[0]
    x, y = np.rint(found.centres[0] - 128 / found.mpp / 2).astype(int)
    with open_image(path) as image:
        near = [image.read_region(x + dx, y + dy, side, side) for dx in (-1, 0, 1) for dy in (-1, 0, 1)]
    assert any((crop == one).all() for one in near)
