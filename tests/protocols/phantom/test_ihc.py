"""The IHC phantom: its tree, its truth against the images, the stated movements, and what the H&E may show."""

from __future__ import annotations

import csv
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.ndimage import map_coordinates

from protocols.errors import UserError
from protocols.phantom import ihc
from protocols.phantom.ihc import generate_ihc, patch_images, reachable_correlation, region_images
from protocols.phantom.ihc_cells import (
    Cells,
    dab_of,
    flag_of,
    h_score,
    hidden_latent,
    latent_threshold,
    patches_of,
    region_cells,
    regions_of,
    within,
)
from protocols.phantom.ihc_render import (
    dense_displacement,
    displacement_grid,
    ihc_stains,
    patch_corner,
    patch_displacement,
    region_elastic,
)
from protocols.phantom.ihc_settings import FULL_IHC, MINI_IHC, THRESHOLDS, IhcSettings, ihc_preset

SEED = 3
TINY = replace(
    MINI_IHC,
    profile="tiny",
    markers=(("ER", 5), ("Her2", 1)),
    columns=2,
    candidates=2,
    reachable_draws=10,
    edge_every=4,
)
Array = np.ndarray[Any, Any]
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ihc") / "phantom_ihc"
    generate_ihc(out, TINY, SEED)
    return out


@pytest.fixture(scope="module")
def patches(folder: Path) -> Rows:
    return table(folder, "patches")


@pytest.fixture(scope="module")
def cells() -> Cells:
    return region_cells(TINY, SEED, regions_of(TINY, SEED)[0])


def table(folder: Path, name: str) -> Rows:
    rows: Rows = pq.read_table(folder / "truth" / f"{name}.parquet").to_pylist()
    return rows


def image(folder: Path, which: str, path: str) -> Array:
    return np.asarray(imagecodecs.imread(folder / which / path))


def psnr(a: Array, b: Array) -> float:
    return float(10 * np.log10(255**2 / ((a.astype(float) - b.astype(float)) ** 2).mean()))


def digests(root: Path) -> dict[str, str]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_tree_is_that_of_the_real_data(folder: Path, patches: Rows) -> None:
    trees = {}
    for which in ("jitter", "exact"):
        for kind in ("HandE", "IHC"):
            root = folder / which / "Images" / kind
            trees[which, kind] = {path.relative_to(root).as_posix() for path in root.rglob("*.jpg")}
    assert all(tree == {patch["path"] for patch in patches} for tree in trees.values())
    marker, patient, subregion, name = patches[0]["path"].split("/")
    assert (marker, subregion) == ("ER", "Subregion_0")
    prefix, case, region, row, column = name.removesuffix(".jpg").split("_")
    assert patient == f"Patient_{prefix}_{case}"
    assert (region, row, column) == ("0", "0", "0")
    assert len(patches) == 6 * TINY.rows * TINY.columns
    for which in ("jitter", "exact"):
        assert [path.name for path in (folder / which / "Labels").iterdir()] == ["ER.csv"]
    for path in (patch["path"] for patch in patches[::7]):
        he = [(folder / which / "Images" / "HandE" / path).read_bytes() for which in ("jitter", "exact")]
        assert he[0] == he[1]
        assert image(folder, "jitter/Images/IHC", path).shape == (TINY.patch_px, TINY.patch_px, 3)


def test_a_patient_alone_has_the_same_bytes(folder: Path, patches: Rows, tmp_path: Path) -> None:
    generate_ihc(tmp_path, TINY, SEED, only=[patches[-5]["patient"]])
    again, whole = digests(tmp_path), digests(folder)
    assert sum(path.endswith(".jpg") for path in again) == 4 * TINY.rows * TINY.columns
    assert again == {path: whole[path] for path in again}
    assert set(whole) - set(again) == {path for path in whole if path.endswith(".jpg")} - set(again)


def test_an_interrupted_folder_is_not_taken_for_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "phantom.json").write_text("{}")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ihc, "write_truth", killed)
    with pytest.raises(KeyboardInterrupt):
        generate_ihc(tmp_path, replace(TINY, markers=(("ER", 1),)), SEED, only=[])
    assert not (tmp_path / "phantom.json").exists()


def test_h_score_by_hand() -> None:
    od = np.array([0.0, 0.0599, 0.06, 0.2, 0.26, 0.45, 0.46, 0.9])
    assert h_score(od) == pytest.approx(100 * (0 + 0 + 1 + 1 + 2 + 2 + 3 + 3) / 8)
    assert h_score(np.full(3, 0.46)) == 300
    assert np.isnan(h_score(np.zeros(0)))
    levels = 1 / (1 + np.exp(-TINY.od_slope * latent_threshold(TINY)))
    np.testing.assert_allclose(TINY.od_maximum * levels, THRESHOLDS)


def test_truth_and_labels_agree_with_the_table_of_cells(folder: Path, patches: Rows) -> None:
    every, grids = table(folder, "cells"), np.load(folder / "truth" / "displacement.npy")
    labels = {which: read_labels(folder / which / "Labels" / "ER.csv") for which in ("jitter", "exact")}
    side, differing = TINY.patch_px, 0
    for number, patch in enumerate(patches):
        if patch["marker"] != "ER":
            continue
        near = [cell for cell in every if (cell["marker"], cell["patient"]) == ("ER", patch["patient"])]
        corner = np.array([patch["column"], patch["row"]]) * side / 2
        xy = np.array([[cell["x_um"], cell["y_um"]] for cell in near]) / TINY.mpp - corner
        od = np.array([cell["dab_od"] for cell in near])
        inside = ((xy >= -0.5) & (xy < side - 0.5)).all(axis=1)
        # Places are rounded to 1/64 µm: a cell on the rim may change sides.
        assert abs(inside.sum() - patch["cells"]) <= 1
        classes = np.searchsorted(THRESHOLDS, od[inside], side="right")
        assert patch["h_score"] == pytest.approx(100 * classes.mean(), abs=300 / patch["cells"] + 1)
        assert patch["positive_share"] == pytest.approx((classes > 0).mean(), abs=1.5 / patch["cells"])
        flag, count, values = labels["exact"][patch["name"]]
        assert (flag, count) == (patch["flag"], patch["cells"])
        assert h_score(values) == pytest.approx(patch["h_score"], abs=0.01)
        moved = labels["jitter"][patch["name"]][2]
        pixel = np.clip(np.round(xy), 0, side - 1).astype(int)
        there = xy + dense_displacement(grids[number], side)[:, pixel[:, 1], pixel[:, 0]].T / TINY.mpp
        surely, perhaps = (((there >= m) & (there < side - m)).all(axis=1) for m in (1.0, -2.0))
        assert surely.sum() <= len(moved) <= perhaps.sum()
        assert all(np.abs(moved - value).min() < 1e-3 for value in od[surely])
        assert all(np.abs(od[perhaps] - value).min() < 1e-3 for value in moved)
        differing += int(len(moved) != len(values))
    assert differing > 3


def read_labels(path: Path) -> dict[str, tuple[str, int, Array]]:
    with path.open(newline="") as file:
        return {
            row[0].removesuffix(".png"): (row[1], int(row[2]), np.array(row[3:], dtype=float))
            for row in csv.reader(file)
        }


def measured_od(ihc_image: Array, vectors: Array, white: Array, centres: Array, radii: Array) -> Array:
    """Mean DAB by colour deconvolution inside each nucleus, written without the package's own code."""
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    whole = np.vstack([vectors, np.cross(vectors[0], vectors[1])])
    dab = (-np.log10(np.maximum(ihc_image, 1) / white) @ np.linalg.inv(whole))[..., 1]
    y, x = np.mgrid[: ihc_image.shape[0], : ihc_image.shape[1]]
    return np.array(
        [
            dab[np.hypot(x - cx, y - cy) <= max(0.75 * radius, 0.8)].mean()
            for (cx, cy), radius in zip(centres, radii, strict=True)
        ]
    )


def test_deconvolution_of_the_images_recovers_the_h_score(folder: Path, patches: Rows) -> None:
    sections = {(row["marker"], row["patient"]): row for row in table(folder, "sections")}
    true, known, published, coarse = [], [], [], []
    for region in regions_of(TINY, SEED)[:5]:
        cells, row = region_cells(TINY, SEED, region), sections["ER", region.patient]
        vectors = np.array([[row[f"{stain}_{c}"] for c in "rgb"] for stain in ("haematoxylin", "dab")])
        white = np.array([row[f"white_{c}"] for c in "rgb"])
        for patch in patches_of(TINY, SEED, cells):
            if flag_of(TINY, cells, patch) == "d":
                continue
            here = patch.he_cells
            centres = (cells.tissue.xy[here] - patch_corner(TINY, patch.row, patch.column)) / TINY.mpp
            radii = cells.tissue.radius[here] / TINY.mpp
            shown = image(folder, "exact/Images/IHC", f"{region.folder}/{patch.name}.jpg")
            true.append(h_score(cells.od[here]))
            known.append(h_score(measured_od(shown, vectors, white, centres, radii)))
            ruifrok = np.array([[0.65, 0.70, 0.29], [0.268, 0.570, 0.776]])
            published.append(h_score(measured_od(shown, ruifrok, np.array([243.0, 241.0, 244.0]), centres, radii)))
            halved = imagecodecs.jpeg8_decode(imagecodecs.jpeg8_encode(shown, level=75, subsampling="420"))
            coarse.append(h_score(measured_od(halved, vectors, white, centres, radii)))
    assert np.ptp(true) > 60
    assert np.corrcoef(true, known)[0, 1] > 0.99
    assert np.corrcoef(true, published)[0, 1] > 0.97
    assert np.mean(np.subtract(known, true)) == pytest.approx(0, abs=5)
    # Why colour is stored in full: at half resolution, DAB bleeds into negative nuclei.
    assert np.mean(np.subtract(coarse, true)) > 10


def test_displacement_moves_the_section_as_stated(folder: Path, patches: Rows) -> None:
    grids, gains = np.load(folder / "truth" / "displacement.npy"), []
    assert grids.dtype == np.float16
    assert grids.shape == (len(patches), 2, TINY.displacement_nodes, TINY.displacement_nodes)
    pixel = np.mgrid[: TINY.patch_px, : TINY.patch_px]
    for number in range(0, len(patches), 3):
        moved, exact = (image(folder, f"{which}/Images/IHC", patches[number]["path"]) for which in ("jitter", "exact"))
        if patches[number]["displacement_rms_um"] < 1:
            continue
        x, y = dense_displacement(grids[number], TINY.patch_px) / TINY.mpp
        back = np.stack(
            [
                map_coordinates(moved[..., c].astype(float), pixel + np.stack([y, x]), order=1, mode="nearest")
                for c in range(3)
            ],
            axis=-1,
        )
        gains.append(psnr(exact[4:-4, 4:-4], back[4:-4, 4:-4]) - psnr(exact, moved))
    assert len(gains) >= 4
    assert min(gains) > 6


def test_amplitudes_are_as_stated() -> None:
    regions = regions_of(replace(TINY, markers=(("ER", 40),)), SEED)
    along = np.linspace(0, TINY.patch_um, 7)
    points = np.stack(np.meshgrid(along, along), axis=-1).reshape(-1, 2)
    rigid, elastic = [], []
    for region in regions:
        fields = region_elastic(TINY, SEED, region.name)
        for row, column in np.ndindex(2, 2):
            movement = patch_displacement(TINY, SEED, region.name, row, column, fields)
            rigid.append([*movement.shift, np.degrees(movement.rotation)])
            stiff = replace(movement, amplitude=0.0)
            at = patch_corner(TINY, row, column) + points
            elastic.append(movement.at(at) - stiff.at(at))
            back = movement.source(at + movement.at(at))
            np.testing.assert_allclose(back, at, atol=1e-4)
            grid = dense_displacement(displacement_grid(TINY, movement, row, column), TINY.patch_px)
            pixels = patch_corner(TINY, row, column) + np.array([[0.0, 0.0], [50.0, 31.0]]) * TINY.mpp
            stored = np.stack([grid[:, 0, 0], grid[:, 31, 50]])
            np.testing.assert_allclose(stored, movement.at(pixels), atol=0.03)
    spread = np.std(rigid, axis=0)
    # A normal cut at 2 SD has 0.88 of its deviation, or 0.95 where clipped values stay at the bound.
    np.testing.assert_allclose(spread, np.array([TINY.shift_um, TINY.shift_um, TINY.rotation_deg]) * 0.95, rtol=0.2)
    assert np.sqrt(np.mean(np.square(elastic))) == pytest.approx(TINY.elastic_um, rel=0.2)


def test_patches_overlap_by_half_and_agree_there(cells: Cells) -> None:
    he, section = region_images(TINY, SEED, cells)
    by_place = {(patch.row, patch.column): patch for patch in patches_of(TINY, SEED, cells)}
    half = TINY.patch_px // 2
    first, second = (patch_images(TINY, he, section, by_place[0, column]) for column in (0, 1))
    np.testing.assert_array_equal(first["he"][:, half:], second["he"][:, :half])
    np.testing.assert_array_equal(first["exact"][:-8, half:-8], second["exact"][:-8, : half - 8])
    # The registration of each patch is its own, so the moved patches do not agree.
    assert psnr(first["jitter"][:, half:], second["jitter"][:, :half]) < 30


def test_nuclear_dab_lies_in_nuclei_and_membranous_dab_around_them(cells: Cells) -> None:
    tissue, mpp = cells.tissue, TINY.fine_mpp
    stained = np.full(len(tissue), 0.5)
    y, x = np.mgrid[: TINY.section.image_px, : TINY.section.image_px] * mpp
    nuclei = np.flatnonzero((tissue.ratio < 1.5) & ((tissue.xy > 20) & (tissue.xy < tissue.side_um - 20)).all(axis=1))
    for membrane in (False, True):
        _, dab = ihc_stains(TINY, SEED, tissue, stained, membrane=membrane)
        means = []
        for i in nuclei[:40]:
            away = np.hypot(x - tissue.xy[i, 0], y - tissue.xy[i, 1])
            means.append(dab[away < (0.45 if membrane else 1.0) * tissue.radius[i]].mean())
        if membrane:
            assert np.median(means) < 0.1
            assert np.percentile(dab, 99) > 0.45
        else:
            assert np.mean(means) == pytest.approx(0.5, abs=0.06)
    _, unstained = ihc_stains(TINY, SEED, tissue, 0 * stained, membrane=False)
    assert unstained.max() < THRESHOLDS[0]


def test_expected_h_score_is_the_mean_of_imagined_outcomes(cells: Cells) -> None:
    here, law = within(TINY, cells.tissue.xy, 0, 0), cells.region.law
    imagined = []
    for draw in range(600):
        od, _ = dab_of(TINY, law, cells.latent_visible, hidden_latent(TINY, SEED, cells.region, len(cells.od), draw))
        imagined.append(h_score(od[here]))
    expected = 100 * cells.above[here].sum(axis=1).mean()
    assert np.mean(imagined) == pytest.approx(expected, abs=4 * np.std(imagined) / np.sqrt(600))


def test_nothing_hidden_makes_the_score_reachable_and_nothing_visible_leaves_the_type() -> None:
    seen = replace(TINY, cell_visible_share=1.0, patient_visible_share=1.0, candidates=1, markers=(("ER", 3),))
    drawn = [(c := region_cells(seen, SEED, region), patches_of(seen, SEED, c)) for region in regions_of(seen, SEED)]
    for known, _ in drawn:
        np.testing.assert_array_equal(known.above, known.od[:, None] >= np.array(THRESHOLDS))
    assert reachable_correlation(seen, SEED, drawn, "ER")["r"] == 1.0
    hidden = replace(seen, cell_visible_share=0.0, patient_visible_share=0.0)
    unknown = region_cells(hidden, SEED, regions_of(hidden, SEED)[0])
    for kind in np.unique(unknown.tissue.kind):
        assert np.ptp(unknown.latent_visible[unknown.tissue.kind == kind]) == 0


def test_h_and_e_shows_the_visible_factor_and_nothing_of_the_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    from protocols.phantom import ihc_cells

    region = regions_of(TINY, SEED)[0]
    before = region_cells(TINY, SEED, region)
    with monkeypatch.context() as patched:
        patched.setattr(ihc_cells, "hidden_latent", lambda *_: np.zeros(len(before.od)))
        after = region_cells(TINY, SEED, region)
    assert not np.array_equal(after.od, before.od)
    np.testing.assert_array_equal(after.tissue.radius, before.tissue.radius)
    np.testing.assert_array_equal(after.latent_visible, before.latent_visible)
    with monkeypatch.context() as patched:
        patched.setattr(ihc_cells, "visible_factor", lambda *_: 2.0)
        large = region_cells(TINY, SEED, region)
    tumour = np.isin(large.tissue.kind, ihc_cells.TUMOUR)
    assert not np.array_equal(large.tissue.radius[tumour], before.tissue.radius[tumour])
    np.testing.assert_array_equal(large.tissue.radius[~tumour], before.tissue.radius[~tumour])


def test_flags_and_edges(folder: Path, patches: Rows) -> None:
    for patch in patches:
        if patch["glass_share"] > TINY.discarded_glass or patch["out_of_focus"]:
            assert patch["flag"] == "d"
        else:
            assert patch["flag"] == ("0" if patch["h_score"] < TINY.forced_zero_below else "a")
    assert {patch["flag"] for patch in patches} >= {"a", "d"}
    edged = max(patches, key=lambda patch: float(patch["glass_share"]))
    assert edged["glass_share"] > 0.3
    for kind in ("HandE", "IHC"):
        shown = image(folder, f"exact/Images/{kind}", edged["path"])
        assert (shown.min(axis=2) > 225).mean() == pytest.approx(edged["glass_share"], abs=0.1)


def test_out_of_focus_patches_are_smoother() -> None:
    settings = replace(TINY, blurred_every=4)
    known = region_cells(settings, SEED, regions_of(settings, SEED)[0])
    he, section = region_images(settings, SEED, known)
    last = patches_of(settings, SEED, known)[-1]
    assert last.blurred
    shown, sharp = (
        patch_images(settings, he, section, patch)["he"].astype(float) for patch in (last, replace(last, blurred=False))
    )
    assert np.abs(np.diff(shown, axis=0)).mean() < 0.6 * np.abs(np.diff(sharp, axis=0)).mean()


def test_description_tells_all(folder: Path) -> None:
    told = json.loads((folder / "phantom.json").read_text())
    assert (told["format"], told["seed"]) == ("slide2omics-phantom-ihc", SEED)
    assert told["settings"]["patch_px"] == TINY.patch_px
    reachable = json.loads((folder / "truth" / "reachable.json").read_text())
    assert set(reachable) == {"ER", "Her2"}
    assert 0 < reachable["ER"]["imagined_r_p05"] <= reachable["ER"]["imagined_r_median"] < 1


def test_settings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UserError, match="border_um"):
        replace(MINI_IHC, shift_um=8.0)
    with pytest.raises(UserError, match="patch_px"):
        IhcSettings(patch_px=95)
    with pytest.raises(UserError, match="PR"):
        IhcSettings(markers=(("RE", 3),))
    with pytest.raises(UserError, match="mini"):
        ihc_preset("mni")
    assert FULL_IHC.patch_px == 3000
    assert FULL_IHC.section.image_px == 4740
