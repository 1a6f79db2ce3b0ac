"""The IHC4BC reader on tiny trees: what it reads, and every way in which an image or a label can be wrong."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from protocols.errors import UserError
from protocols.images.patch_images import DAMAGED, NOT_RGB, SIXTEEN_BIT, TOO_LARGE, TRANSPARENT, decode, read_header
from protocols.readers import ihc4bc
from protocols.readers.ihc4bc_labels import image_name, names_marker
from protocols.staining.cohort import IhcCohort, counted, read_dab, without_overlap
from protocols.staining.filters import BLANK
from tests.protocols.staining.trees import Tree, field_of, image_path, labels, read, save, write_tree

FIRST = "7_1001_0_0_0"


def only(cohort: IhcCohort) -> tuple[str, str]:
    """What and why, of the single thing left out."""
    assert len(cohort.excluded) == 1, cohort.excluded
    return cohort.excluded[0].what, cohort.excluded[0].reason


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_tree(tmp_path, Tree(cases=("1001", "1002"), markers=("ER",), grid=(1, 2)))
    return tmp_path


def test_pairs_places_and_labels(tmp_path: Path) -> None:
    write_tree(tmp_path, Tree(suffix=".jpg"))
    cohort = read(tmp_path)
    assert (len(cohort.patches), cohort.markers, cohort.excluded) == (24, ("ER", "PR"), ())
    assert cohort.patients == ("1001", "1002", "1003")
    patch = cohort.patches[3]
    assert (patch.name, patch.patient, patch.subregion, patch.row, patch.column) == (
        "7_1001_0_1_1", "1001", "7_1001_0", 1, 1,
    )  # fmt: skip
    assert (patch.width, patch.height) == (64, 64)
    assert patch.he == "Images/HandE/ER/Patient_7_1001/Subregion_0/7_1001_0_1_1.jpg"
    assert patch.ihc == patch.he.replace("HandE", "IHC")
    assert patch.label is not None
    assert (patch.label.flag, patch.label.he_nuclei, patch.label.ihc_nuclei) == ("a", 4, 3)
    np.testing.assert_array_equal(read_dab(tmp_path, patch.label), np.array([0.05, 0.2, 0.5], np.float32))


def test_a_missing_partner_on_either_side(root: Path) -> None:
    image_path(root, "IHC", "ER", FIRST).unlink()
    image_path(root, "HandE", "ER", "7_1002_0_0_1").unlink()
    cohort = read(root, markers=["er"])
    assert [(one.what, one.reason) for one in cohort.excluded] == [
        (f"ER patch {FIRST}", ihc4bc.NO_IHC),
        ("ER patch 7_1002_0_0_1", ihc4bc.NO_HE),
    ]
    assert len(cohort.patches) == 2
    assert counted(cohort.excluded) == {ihc4bc.NO_IHC: 1, ihc4bc.NO_HE: 1}


def test_labels_without_any_image_are_counted_once(root: Path) -> None:
    for side in ("HandE", "IHC"):
        for name in (FIRST, "7_1001_0_0_1"):
            image_path(root, side, "ER", name).unlink()
    assert only(read(root, markers=["ER"])) == (f"ER: 2 labels, first {FIRST}", ihc4bc.NO_IMAGE)


def test_partners_may_end_differently_but_a_name_stands_for_one_image(root: Path) -> None:
    path = image_path(root, "IHC", "ER", FIRST)
    save(path.with_suffix(".jpg"), decode(path))
    assert only(read(root, markers=["ER"])) == (f"ER patch {FIRST}", ihc4bc.REPEATED)
    path.unlink()
    assert read(root, markers=["ER"]).patches[0].ihc.endswith(".jpg")


def test_different_sizes(root: Path) -> None:
    save(image_path(root, "IHC", "ER", FIRST), field_of("other", 64, 62))
    what, reason = only(read(root, markers=["ER"]))
    assert (what, reason) == (f"ER patch {FIRST} (64 × 64 and 62 × 64)", ihc4bc.SIZES)


@pytest.mark.parametrize("check", ["full", "headers"])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_truncated_image(tmp_path: Path, suffix: str, check: str) -> None:
    write_tree(tmp_path, Tree(cases=("1001", "1002"), markers=("ER",), suffix=suffix))
    path = image_path(tmp_path, "HandE", "ER", FIRST, suffix)
    path.write_bytes(path.read_bytes()[:-600])
    assert only(read(tmp_path, markers=["ER"], check=check)) == (f"ER patch {FIRST} (H&E)", DAMAGED)
    with pytest.raises(UserError, match=r"truncated or damaged.*fetch"):
        decode(path)


def test_damage_in_the_middle_is_found_by_decoding_alone(tmp_path: Path) -> None:
    write_tree(tmp_path, Tree(cases=("1001", "1002"), markers=("ER",), suffix=".jpg"))
    path = image_path(tmp_path, "IHC", "ER", FIRST, ".jpg")
    data = bytearray(path.read_bytes())
    data[-900:-700] = b"\xff\xc3" * 100
    path.write_bytes(bytes(data))
    assert read(tmp_path, markers=["ER"], check="headers").excluded == ()
    assert only(read(tmp_path, markers=["ER"])) == (f"ER patch {FIRST} (IHC)", DAMAGED)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xd8\xff", b"\xff\xd8\xff\xe0\x00\x10", b"<html>", b"\x89PNG\r\n\x1a\n"]
)
def test_what_is_no_image_at_all(root: Path, content: bytes) -> None:
    image_path(root, "HandE", "ER", FIRST).write_bytes(content)
    assert only(read(root, markers=["ER"])) == (f"ER patch {FIRST} (H&E)", DAMAGED)


def test_alpha_is_dropped_where_it_hides_nothing(root: Path) -> None:
    path = image_path(root, "HandE", "ER", FIRST)
    before = decode(path)
    opaque = np.dstack([before, np.full((64, 64), 255, np.uint8)])
    save(path, opaque)
    assert read(root, markers=["ER"]).excluded == ()
    np.testing.assert_array_equal(decode(path), before)
    opaque[3, 4, 3] = 254
    save(path, opaque)
    assert only(read(root, markers=["ER"])) == (f"ER patch {FIRST} (H&E)", TRANSPARENT)


def png(width: int, height: int, bits: int, colour: int) -> bytes:
    """A PNG written by hand, since Pillow writes no 16-bit RGB."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    channels = {0: 1, 2: 3, 3: 1, 6: 4}[colour]
    line = b"\0" + bytes(width * channels * bits // 8)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(line * height))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (png(64, 64, 16, 2), SIXTEEN_BIT),
        (png(64, 64, 16, 0), SIXTEEN_BIT),
        (png(64, 64, 8, 0), NOT_RGB),
        (png(64, 64, 8, 3), NOT_RGB),
        (png(9000, 2, 8, 2), TOO_LARGE),
        (png(0, 0, 8, 2), DAMAGED),
    ],
)
def test_images_of_another_kind(root: Path, image: bytes, reason: str) -> None:
    image_path(root, "IHC", "ER", FIRST).write_bytes(image)
    assert only(read(root, markers=["ER"])) == (f"ER patch {FIRST} (IHC)", reason)


def test_grey_jpeg_and_header_of_progressive_jpeg(tmp_path: Path) -> None:
    Image.fromarray(field_of("grey", 40, 50)[:, :, 0]).save(tmp_path / "grey.jpg")
    Image.fromarray(field_of("p", 40, 50)).save(tmp_path / "progressive.jpg", progressive=True, exif=b"Exif\0\0" * 9)
    assert read_header(tmp_path / "grey.jpg").problem == NOT_RGB
    header = read_header(tmp_path / "progressive.jpg")
    assert (header.width, header.height, header.problem) == (50, 40, None)


@pytest.mark.parametrize("colour", [(255, 255, 255), (236, 233, 240), (0, 0, 0), (190, 120, 160)])
def test_a_blank_patch(root: Path, colour: tuple[int, int, int]) -> None:
    save(image_path(root, "IHC", "ER", FIRST), np.full((64, 64, 3), colour, np.uint8))
    assert only(read(root, markers=["ER"])) == (f"ER patch {FIRST} (IHC)", BLANK)
    assert read(root, markers=["ER"], check="headers").excluded == ()


def test_names_and_folders(root: Path) -> None:
    folder = image_path(root, "HandE", "ER", FIRST).parent
    for side in ("HandE", "IHC"):
        other = root / "Images" / side / "ER" / "Patient_7_1001"
        for path in ("Subregion_0/overview.png", "Subregion_0/7_1009_0_0_0.png", "Subregion_3/7_1001_2_0_0.png"):
            save(other / path, field_of(path, 64, 64))
    (folder / "._hidden.png").write_bytes(b"x")
    (folder / "Thumbs.db").write_bytes(b"x")
    cohort = read(root, markers=["ER"])
    assert {one.what: one.reason for one in cohort.excluded} == {
        "ER patch overview": ihc4bc.UNNAMED,
        "ER patch 7_1009_0_0_0": ihc4bc.MISPLACED,
        "ER patch 7_1001_2_0_0": ihc4bc.MISPLACED,
    }


def test_flags(root: Path) -> None:
    rows = [f"{FIRST}.png,d", "7_1001_0_0_1.png,0,5,0.2,0.3", "7_1002_0_0_0.png,A,5.0,0.2,,", "7_1002_0_0_1,a,0"]
    labels(root, "ER", rows)
    cohort = read(root, markers=["ER"])
    assert only(cohort) == (f"ER patch {FIRST}", ihc4bc.DISCARDED)
    assert [(p.label.flag, p.label.he_nuclei, p.label.ihc_nuclei) for p in cohort.patches if p.label] == [
        ("0", 5, 2), ("a", 5, 1), ("a", 0, 0),
    ]  # fmt: skip
    kept = read(root, markers=["ER"], keep_discarded=True)
    assert (len(kept.patches), kept.excluded) == (4, ())


def test_patients_and_patches_without_labels(root: Path) -> None:
    labels(root, "ER", [f"{FIRST}.png,a,4,0.1"])
    reasons = {one.what: one.reason for one in read(root, markers=["ER"]).excluded}
    assert reasons == {
        "ER patch 7_1001_0_0_1": ihc4bc.NO_LABEL,
        "ER patch 7_1002_0_0_0": ihc4bc.NO_PATIENT,
        "ER patch 7_1002_0_0_1": ihc4bc.NO_PATIENT,
    }
    assert len(read(root, markers=["ER"], labels=None).patches) == 4


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (",x,4,0.1", "unknown flag 'x'"),
        (",a", "no number of H&E nuclei"),
        (",a,4.5,0.1", "4.5 H&E nuclei"),
        (",a,4,0.1,nan", "a DAB value is not finite"),
        (",a,4,0.1,,0.2", "could not convert string to float: b''"),
    ],
)
def test_rows_that_cannot_be_read_are_named_with_why(root: Path, row: str, why: str) -> None:
    others = [f"7_{case}.png,a,4,0.1" for case in ("1001_0_0_1", "1002_0_0_0", "1002_0_0_1")]
    labels(root, "ER", [*others, f"{FIRST}.png{row}"])
    assert only(read(root, markers=["ER"])) == (f"ER patch {FIRST} ({why})", ihc4bc.BAD_LABEL)


def test_label_files_may_lie_in_folders_and_have_a_header(root: Path) -> None:
    path = root / "Labels" / "ER.csv"
    rows = path.read_text().splitlines()
    path.unlink()
    for number, lines in enumerate((rows[:1], rows[1:])):
        target = root / "Labels" / "ER" / f"part{number}.csv"
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(b"\xef\xbb\xbfname,flag,nuclei,dab\r\n\r\n" + "".join(f"x/{r}\r\n" for r in lines).encode())
    cohort = read(root, markers=["ER"])
    assert (len(cohort.patches), cohort.excluded) == (4, ())
    label = cohort.patches[-1].label
    assert label is not None
    np.testing.assert_allclose(read_dab(root, label), [0.05, 0.1, 0.5])
    (root / "Labels" / "ER" / "again.csv").write_text(f"{rows[0]}\n")
    with pytest.raises(UserError, match=rf"{FIRST} has a second row.*remove one"):
        read(root, markers=["ER"])


def test_her2_needs_no_dab_labels(tmp_path: Path) -> None:
    write_tree(tmp_path, Tree(markers=("HER2",)))
    (tmp_path / "Labels" / "Her2.csv").unlink()
    cohort = read(tmp_path, markers=["Her2"])
    assert cohort.markers == ("HER2",)
    assert {patch.label for patch in cohort.patches} == {None}


def test_unknown_patients_are_kept_without_a_name(tmp_path: Path) -> None:
    write_tree(tmp_path, Tree(cases=("1001", "unknown"), markers=("ER",)))
    assert {patch.patient for patch in read(tmp_path, markers=["ER"]).patches} == {"1001", ""}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"markers": ["EP"]}, r"unknown marker 'EP'.*did you mean"),
        ({"markers": ["PR"]}, r"HandE: no folder of PR"),
        ({"images": "Imagse"}, r"Imagse/HandE: no such folder.*correct the root"),
        ({"markers": ["ER"], "labels": "Lables"}, r"Lables: no folder of labels.*without them"),
        ({"markers": ["ER"], "check": "fast"}, r"check 'fast'; expected full or headers"),
        ({"markers": ["ER"], "stride_share": 0.0}, r"stride_share 0"),
    ],
)
def test_a_layout_that_cannot_be_read_is_one_line(root: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read(root, **options)
    assert "\n" not in str(caught.value)


def test_layouts_without_images_or_labels(root: Path) -> None:
    with pytest.raises(UserError, match=r"no such folder.*as the root"):
        read(root.parent, markers=["ER"])
    (root / "Labels" / "ER.csv").rename(root / "Labels" / "everything.csv")
    with pytest.raises(UserError, match=r"no label file of ER among 1 CSV files"):
        read(root, markers=["ER"])
    labels(root, "ER", ["7_1.png,q,4", "7_2.png,q,4"])
    with pytest.raises(UserError, match=r"none of 1 rows of ER can be read"):
        read(root, markers=["ER"])
    labels(root, "ER", ["7_1_0_0_0.png,a,4"])
    with pytest.raises(UserError, match=r"none of the patches can be used \(patient missing from labels"):
        read(root, markers=["ER"])
    for side in ("HandE", "IHC"):
        for path in (root / "Images" / side).rglob("*.png"):
            path.unlink()
    with pytest.raises(UserError, match=r"ER: no image of ER"):
        read(root, markers=["ER"])


def test_without_overlap_every_pixel_counts_once(tmp_path: Path) -> None:
    write_tree(tmp_path, Tree(cases=("1001",), markers=("ER",), grid=(3, 4)))
    cohort = read(tmp_path, markers=["ER"])
    thinned = without_overlap(cohort)
    assert [(one.row, one.column) for one in thinned.patches] == [(0, 0), (0, 2), (2, 0), (2, 2)]
    assert counted(thinned.excluded) == {"overlaps a patch that is kept": 8}


def test_workers_change_nothing(tmp_path: Path) -> None:
    write_tree(tmp_path)
    save(image_path(tmp_path, "IHC", "PR", FIRST), np.full((64, 64, 3), 255, np.uint8))
    one, four = (read(tmp_path, workers=workers) for workers in (1, 4))
    assert (one.patches, one.excluded) == (four.patches, four.excluded)


def test_memory_does_not_hold_pixels_or_dab(tmp_path: Path) -> None:
    """A 512 px pair is 1.6 MB decoded; 12 pairs and 120,000 DAB values must leave next to nothing behind."""
    write_tree(tmp_path, Tree(cases=("1001", "1002", "1003"), markers=("ER",), side=512))
    path = tmp_path / "Labels" / "ER.csv"
    path.write_text("".join(f"{line}{',0.25' * 10_000}\n" for line in path.read_text().splitlines()))
    read(tmp_path, markers=["ER"])  # imports
    tracemalloc.start()
    cohort = read(tmp_path, markers=["ER"])
    left, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(cohort.patches) == 12
    assert left < 200_000
    assert peak < 12 * 512 * 512 * 3


def test_words_of_label_files() -> None:
    assert names_marker(Path("labels_ER.csv"), "ER")
    assert names_marker(Path("Ki67/all.csv"), "Ki67")
    assert not names_marker(Path("HER2.csv"), "ER")
    assert not names_marker(Path("number.csv"), "ER")
    assert [image_name(text) for text in ("a_1.PNG", "x\\y\\a_1.jpg", " a_1 ", "a.1")] == ["a_1", "a_1", "a_1", "a.1"]
