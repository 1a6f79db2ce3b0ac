from __future__ import annotations

import gzip

import cv2
import numpy as np
import pandas as pd
import pytest

from protocols.errors import UserError
from protocols.expression.cohort import SlideEntry
from protocols.readers import arrays
from protocols.readers.readers import read_slide

from .bundles import picture


@pytest.fixture
def section(tmp_path):
    """A 3 × 2 ST section: 40 px per 200 µm step, so 5 µm per px; spot (x, y) lies at (40x + 10, 40y + 20)."""
    cv2.imwrite(str(tmp_path / "i.png"), picture(200, 160))
    grid = [(x, y) for x in (1, 2, 3) for y in (1, 2)]
    spots = pd.DataFrame(grid, columns=["x", "y"])
    spots["new_x"], spots["new_y"] = spots["x"] + 0.1, spots["y"] - 0.05
    spots["pixel_x"], spots["pixel_y"] = 40 * spots["new_x"] + 10, 40 * spots["new_y"] + 20
    spots["selected"] = 1
    counts = pd.DataFrame(
        np.arange(18).reshape(6, 3), index=[f"{x}x{y}" for x, y in grid], columns=["ESR1", "CD3E", "ERBB2"]
    )
    return tmp_path, counts, spots


def read(section, name="c.tsv.gz", entry_files=None, **options):
    root, counts, spots = section
    counts.to_csv(root / name, sep="\t" if ".tsv" in name else ",")
    spots.to_csv(root / "s.tsv", sep="\t", index=False)
    files = {"counts": name, "spots": "s.tsv", "image": "i.png"} | (entry_files or {})
    return read_slide("spot_table", SlideEntry("s", "p", "breast", files, options), root)


@pytest.mark.parametrize("name", ["c.tsv.gz", "c.tsv", "c.csv", "c.csv.gz"])
def test_a_section_is_read_whole(section, name):
    slide = read(section, name)
    assert slide.unit == "spot"
    assert slide.units["cell_id"].tolist() == ["1x1", "1x2", "2x1", "2x2", "3x1", "3x2"]
    assert slide.units.loc[3, ["x_px", "y_px"]].tolist() == pytest.approx([40 * 2.1 + 10, 40 * 1.95 + 20])
    assert slide.counts.toarray().tolist() == np.arange(18).reshape(6, 3).tolist()
    assert slide.mpp == pytest.approx(5.0)


def test_genes_in_rows_are_detected_by_the_spots_ids(section):
    root, counts, spots = section
    upright = read(section)
    turned = read((root, counts.T, spots))
    assert turned.genes == upright.genes
    assert (turned.counts != upright.counts).nnz == 0
    assert any("transposed" in note for note in turned.notes)


def test_the_order_of_the_spot_table_does_not_matter(section):
    root, counts, spots = section
    shuffled = read((root, counts, spots.sample(frac=1, random_state=0)))
    pd.testing.assert_frame_equal(shuffled.units, read(section).units)


def test_pixel_scale_scales_positions_and_mpp(section):
    whole, half = read(section), read(section, pixel_scale="2/4")
    np.testing.assert_allclose(half.units["x_px"], whole.units["x_px"] / 2)
    assert half.mpp == pytest.approx(10.0)


def test_a_stated_mpp_wins_and_disagreement_is_noted(section):
    slide = read(section, mpp="4")
    assert slide.mpp == 4
    assert any("5.0000" in note for note in slide.notes)
    assert read(section, mpp="5.1").notes == ()


def test_another_pitch_is_another_mpp(section):
    assert read(section, pitch_um="100").mpp == pytest.approx(2.5)


def test_spots_of_one_table_only_are_left_out_and_counted(section):
    root, counts, spots = section
    slide = read((root, counts.drop("1x1"), spots[spots["x"] < 3]))
    assert slide.units["cell_id"].tolist() == ["1x2", "2x1", "2x2"]
    assert any("2 spots have counts but no position, 1 a position but no counts" in note for note in slide.notes)


def test_unselected_spots_are_left_out(section):
    root, counts, spots = section
    spots.loc[0, "selected"] = 0
    assert "1x1" not in set(read((root, counts, spots)).units["cell_id"])


def test_no_genes_are_left_out_and_ensembl_ids_stay(section):
    root, counts, spots = section
    counts.columns = ["ENSG00000000003", "__ambiguous[A+B]", "CD3E"]
    slide = read((root, counts, spots))
    assert slide.genes == ("ENSG00000000003", "CD3E")
    assert any("1 columns such as __ambiguous" in note for note in slide.notes)
    assert any("1 of 2 genes are named by Ensembl id" in note for note in slide.notes)


def test_gene_names_translate_ensembl_ids(section):
    root, counts, spots = section
    counts.columns = ["ENSG00000000003.14", "ENSG00000000999", "CD3E"]
    (root / "names.tsv").write_text("ENSG00000000003\tTSPAN6\nENSG00000000005\tCD3E\n")
    slide = read((root, counts, spots), entry_files={"gene_names": "names.tsv"})
    assert slide.genes == ("TSPAN6", "CD3E")
    assert any("1 gene ids are unknown" in note for note in slide.notes)
    (root / "names.tsv").write_text("ENSG00000000007\tX\n")
    with pytest.raises(UserError, match="none of 3 gene ids is known"):
        read((root, counts, spots), entry_files={"gene_names": "names.tsv"})


def test_repeated_genes_are_added_up(section):
    root, counts, spots = section
    counts.columns = ["A", "B", "A"]
    slide = read((root, counts, spots))
    assert slide.genes == ("A", "B")
    assert slide.counts.toarray()[1].tolist() == [3 + 5, 4]


def test_a_header_without_the_corner_cell_is_understood(section):
    root, counts, _ = section
    expected = read(section)
    body = "\n".join(
        "\t".join(map(str, (spot, *row))) for spot, row in zip(counts.index, counts.to_numpy(), strict=True)
    )
    (root / "r.tsv").write_text("ESR1\tCD3E\tERBB2\n" + body + "\n")
    files = {"counts": "r.tsv", "spots": "s.tsv", "image": "i.png"}
    slide = read_slide("spot_table", SlideEntry("s", "p", "breast", files), root)
    assert (slide.counts != expected.counts).nnz == 0


def test_visium_tables_use_the_hexagonal_grid(tmp_path):
    cv2.imwrite(str(tmp_path / "i.png"), picture(200, 160))
    row, col = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 2, 1, 3, 0, 2])
    um = np.c_[col * 50.0, row * 50.0 * np.sqrt(3)]
    spots = pd.DataFrame({"": [f"B{i}-1" for i in range(6)], "row": row, "col": col})
    spots["px_col"], spots["px_row"] = um.T / 2.5 + 20
    spots["imagecol"], spots["imagerow"] = um.T * 4 + 80
    spots.to_csv(tmp_path / "s.csv", index=False)
    pd.DataFrame(np.ones((6, 2), int), index=spots[""], columns=["A", "B"]).to_csv(tmp_path / "c.csv")
    entry = SlideEntry("s", None, "breast", {"counts": "c.csv", "spots": "s.csv", "image": "i.png"})
    slide = read_slide("spot_table", entry, tmp_path)
    assert slide.mpp == pytest.approx(2.5)
    np.testing.assert_allclose(slide.units[["x_px", "y_px"]], um / 2.5 + 20)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c, s: (c - 100, s), "negative"),
        (lambda c, s: (c + 0.5, s), "not whole"),
        (lambda c, s: (c.rename(index={"1x1": "1x2"}), s), "more than once"),
        (lambda c, s: (c, pd.concat([s, s.iloc[:1]])), "more than once"),
        (lambda c, s: (c.add_prefix("a", axis=0), s), "no spot of the spot table has counts"),
        (lambda c, s: (c.assign(label="tumour"), s), "holds text"),
        (lambda c, s: (c, s.drop(columns="pixel_y")), "no column 'pixel_x'|no column 'pixel_y'"),
        (lambda c, s: (c, s.assign(pixel_x=s["pixel_x"] * 10)), "lie outside the image"),
        (lambda c, s: (c, s.assign(pixel_x="left")), "no finite position|do not span"),
        (lambda c, s: (c.iloc[:2], s), "do not span the array"),
        (lambda c, s: (c * 0, s), "empty"),
        (lambda c, s: (c.set_axis(["A", "B", "3"], axis=1), s), "gene ids are unknown"),
    ],
)
def test_each_fault_gets_one_clear_line(section, edit, message):
    root, counts, spots = section
    with pytest.raises(UserError, match=message) as caught:
        read((root, *edit(counts, spots)))
    assert "\n" not in str(caught.value)


def test_truncated_tables_and_images_are_named(section):
    root, _, _ = section
    read(section)
    entry = SlideEntry("s", "p", "b", {"counts": "c.tsv.gz", "spots": "s.tsv", "image": "i.png"}, {"mpp": "5"})
    whole = (root / "c.tsv.gz").read_bytes()
    (root / "c.tsv.gz").write_bytes(whole[:-20])
    with pytest.raises(UserError, match=r"c\.tsv\.gz.*truncated"):
        read_slide("spot_table", entry, root)
    (root / "c.tsv.gz").write_bytes(gzip.compress(b"\tA\tB\n1x1\t1\t2\n1x2\t3\n"))
    with pytest.raises(UserError, match=r"c\.tsv\.gz.*not finite"):
        read_slide("spot_table", entry, root)
    (root / "c.tsv.gz").write_bytes(whole)
    (root / "i.png").write_bytes((root / "i.png").read_bytes()[:-30])
    with pytest.raises(UserError, match=r"i\.png"):
        read_slide("spot_table", entry, root)


def test_the_pitch_gives_the_scale_whatever_the_rotation():
    grid = np.array([[x, y] for x in range(4) for y in range(5)], float)
    angle = np.deg2rad(20)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    scale = arrays.fit_scale(arrays.square_grid_um(grid, 200), grid @ turn.T * 250 + 7, where="test")
    assert scale.mpp == pytest.approx(200 / 250)
    assert scale.anisotropy == pytest.approx(0, abs=1e-9)
