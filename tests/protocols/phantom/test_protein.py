"""Slides of the protein phantom: HEX's layout, values against their law, what must not show, the same bytes again."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import tifffile
from scipy.stats import pearsonr, spearmanr

from protocols.errors import UserError
from protocols.phantom.protein import describe
from protocols.phantom.protein_markers import MARKERS, TABLE, marker_laws
from protocols.phantom.protein_settings import MINI_PROTEIN, ProteinSettings, protein_preset
from protocols.phantom.protein_slides import development, external, generate_slides, other_scanner
from protocols.phantom.protein_tiles import TileLaw, oracle_values, tile_law, tile_reachable_r, written_values
from protocols.phantom.tissue import SlideName, Tissue, make_tissue
from protocols.readers.hex_markers import HEX_MARKERS
from tests.protocols.phantom.tiny import hashes

SEED = 3
TINY = replace(
    MINI_PROTEIN,
    profile="tiny",
    patients=2,
    tiles=2,
    external_patients=2,
    external_tiles=2,
    replicate_draws=6,
)
BROAD = replace(MINI_PROTEIN, patients=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("protein") / "phantom_codex"
    generate_slides(out, TINY, SEED, development(TINY))
    generate_slides(out / "tma", TINY, SEED, external(TINY))
    return out


@pytest.fixture(scope="module")
def tissue() -> Tissue:
    return make_tissue(BROAD.slide, SEED, development(BROAD).names[0])


@pytest.fixture(scope="module")
def law(tissue: Tissue) -> TileLaw:
    return tile_law(BROAD, SEED, tissue, marker_laws(BROAD, SEED), BROAD.tiles)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_the_markers_are_those_that_the_reader_of_hexs_layout_names() -> None:
    assert MARKERS == HEX_MARKERS


def test_the_development_set_lies_in_hex_s_layout(folder: Path) -> None:
    manifest = rows(folder / "slides.csv")
    assert [row["slide"] for row in manifest] == ["codex-p01-s1", "codex-p02-s1"]
    assert len({row["patient"] for row in manifest}) == 2
    genes = pq.read_table(folder / "truth" / "genes.parquet").to_pylist()
    for row in manifest:
        table = rows(folder / row["table"])
        assert list(table[0])[:5] == ["slide", "index", "x", "y", "mean_intensity_channel1"]
        assert len(table[0]) == 44
        assert 1 <= len(table) <= 4
        assert {line["slide"] for line in table} == {row["slide"]}
        with tifffile.TiffFile(folder / row["image"]) as tif:
            height, width, _ = tif.pages[0].shape
            assert 'PhysicalSizeX="0.25"' in (tif.pages[0].description or "")
        assert all(int(line["x"]) + 224 <= width and int(line["y"]) + 224 <= height for line in table)
        ids = [f"{row['slide']}_{line['index']}" for line in table]
        for which in ("oracle", "cells"):
            truth = pq.read_table(folder / "truth" / which / f"{row['slide']}.parquet").to_pydict()
            assert truth["cell_id"] == ids
        stated = [one for one in genes if one["slide"] == row["slide"]]
        assert [one["gene"] for one in stated] == list(MARKERS)
        assert all((one["reachable_r"] == 0) == (one["visible_share"] == 0) for one in stated)


def test_the_external_set_is_of_others_and_partly_annotated(folder: Path) -> None:
    inner, outer = rows(folder / "slides.csv"), rows(folder / "tma" / "slides.csv")
    assert not {row["patient"] for row in inner} & {row["patient"] for row in outer}
    assert {(row["unit"], row["markers"]) for row in outer} == {("tile", "markers.txt")}
    assert (folder / "tma" / "markers.txt").read_text().split("\n") == [*MARKERS, ""]
    annotated, bare = (rows(folder / "tma" / row["table"]) for row in outer)
    assert list(annotated[0]) == ["cell_id", "x", "y", "cell_type", *MARKERS]
    assert all(line["cell_type"] for line in annotated)
    assert not any(line["cell_type"] for line in bare)
    assert all(int(line["x"]) % 224 == 112 for line in annotated)


def test_twice_the_same_bytes_and_a_part_has_those_of_the_whole(folder: Path, tmp_path: Path) -> None:
    generate_slides(tmp_path / "again", TINY, SEED, development(TINY), only=["codex-p02-s1"])
    whole, again = hashes(folder), hashes(tmp_path / "again")
    assert {name for name in whole if "tma" not in name} - set(again) == {"images/codex-p01-s1.ome.tif"}
    assert all(whole[name] == digest for name, digest in again.items())


def test_a_quarter_of_the_markers_is_invisible_and_laws_are_standardised() -> None:
    assert len(MARKERS) == 40
    assert len(set(MARKERS)) == 40
    assert sum(share == 0 for _, share, _ in TABLE) == 10
    assert MARKERS[:3] == ("DAPI", "CD8", "Pan-Cytokeratin")
    assert MARKERS[-1] == "HLA-DR"
    rng = np.random.default_rng(0)
    kind, states = rng.integers(12, size=60_000), rng.standard_normal((60_000, 4))
    for one in marker_laws(MINI_PROTEIN, SEED):
        stated = one.visible_share * one.amplitude**2
        assert one.visible(kind, states).var() == pytest.approx(stated, rel=0.08, abs=1e-12)


def test_values_agree_with_their_expectation(law: TileLaw) -> None:
    rng = np.random.default_rng(0)
    mean = np.mean([law.draw(rng) for _ in range(1000)], axis=0)
    np.testing.assert_allclose(mean, law.expected(), rtol=0.15)
    assert abs(mean / law.expected() - 1).mean() < 0.02


def test_the_oracle_reaches_what_it_states_on_the_written_values(tissue: Tissue, law: TileLaw) -> None:
    oracle, values = oracle_values(law), written_values(law, SEED, tissue.name)
    assert values.min() > 0
    assert values.max() < 255 / 256
    stated = tile_reachable_r(law, oracle, SEED, tissue.name)
    seen = law.share > 0
    found = np.array([pearsonr(oracle[:, j], values[:, j])[0] for j in np.flatnonzero(seen)])
    assert found.mean() == pytest.approx(stated[seen].mean(), abs=0.04)
    levels = [stated[law.share == share].mean() for share in (0.3, 0.6, 0.8)]
    assert 0.4 < levels[0] < levels[1] < levels[2] < 0.95
    assert not stated[~seen].any()
    assert not np.ptp(oracle[:, ~seen], axis=0).any()


def test_invisible_markers_know_nothing_of_the_tissue(law: TileLaw) -> None:
    """The same hidden draws in another tissue of as many cells give the same values, to the last bit; and neither the
    mean nor the spread follows the number of cells."""
    hidden = law.share == 0
    moved = replace(law, visible=law.visible[::-1] + 1.0, area=2 * law.area)
    first, second = (one.draw(np.random.default_rng(5)) for one in (law, moved))
    np.testing.assert_array_equal(first[:, hidden], second[:, hidden])
    assert not np.isclose(first[:, ~hidden], second[:, ~hidden]).any()
    count = np.bincount(law.tiles.of, minlength=len(law.tiles))
    rng = np.random.default_rng(6)
    draws = np.log(np.stack([law.draw(rng)[:, hidden] for _ in range(400)]))
    assert abs(spearmanr(count, draws.mean(axis=(0, 2)))[0]) < 0.3
    assert abs(spearmanr(count, draws.std(axis=0).mean(axis=1))[0]) < 0.3


def test_another_scanner_has_gains_and_offsets_of_its_own(tissue: Tissue, law: TileLaw) -> None:
    outside = tile_law(BROAD, SEED, tissue, marker_laws(BROAD, SEED), BROAD.tiles, external=True)
    assert np.log(outside.gain / law.gain).std() == pytest.approx(BROAD.external_gain, rel=0.35)
    assert (outside.offset > 0).all()
    assert not law.offset.any()
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    shifted = other_scanner(ramp)
    assert (np.diff(shifted[0].astype(int), axis=0) >= 0).all()
    assert shifted[0, 255].tolist() == [247, 235, 242]


def test_a_slide_does_not_depend_on_who_else_is_made() -> None:
    name = SlideName("nsclc", "codex-p02", "codex-p02-s1")
    assert name == development(TINY).names[1] == development(replace(TINY, patients=9)).names[1]


def test_the_description_is_json_and_bad_settings_are_refused() -> None:
    told = json.loads(json.dumps(describe(MINI_PROTEIN, 0)))
    assert told["channels"]["mean_intensity_channel11"] == "CD66b"
    with pytest.raises(UserError, match="positive"):
        ProteinSettings(positive=384)
    with pytest.raises(UserError, match="mini"):
        protein_preset("mni")
