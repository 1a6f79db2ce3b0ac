from __future__ import annotations

from itertools import combinations

import cv2
import numpy as np
import pytest

from protocols.errors import UserError
from protocols.identity.inverted_file import ALIKE, MIRRORED, NEIGHBOURS, like_points
from protocols.identity.look_alike import (
    AGREE,
    ENOUGH,
    POINTS,
    Fingerprint,
    LookAlike,
    find_look_alikes,
    fingerprint,
    read_fingerprints,
    write_fingerprints,
)
from tests.cohorts import real_data
from tests.protocols.identity.copies import KINDS, PLACES, jpeg, patches, scaled, stain_shifted

GLASS = 238


def everybody() -> list[Fingerprint]:
    return [fingerprint(image) for patient in patches() for image in patient]


@pytest.fixture(scope="module")
def prints() -> list[Fingerprint]:
    return everybody()


def pairs(found: list[LookAlike]) -> set[tuple[int, int]]:
    return {(one.first, one.second) for one in found}


@pytest.mark.parametrize("kind", KINDS)
def test_a_copied_patient_is_found(kind, prints):
    """Five patients under new ids: each is found, and all but a few of their patches."""
    copies = [fingerprint(KINDS[kind](image)) for patient in patches() for image in patient]
    number, each = len(prints), len(PLACES)
    found = pairs(find_look_alikes(prints + copies, [0] * number + [1] * number))
    hit = [(place, place + number) in found for place in range(number)]
    assert all(any(hit[start : start + each]) for start in range(0, number, each)), "a patient is missed"
    assert np.mean(hit) >= 0.95
    for first, second in found:  # whatever else looks alike overlaps: the same patient's next patch
        assert first // each == (second - number) // each


def test_patients_are_not_taken_for_each_other(prints):
    owner = np.repeat(np.arange(len(patches())), len(PLACES))
    assert find_look_alikes(prints, owner) == []


def test_neighbours_alarm_only_where_they_overlap(prints):
    """Patches of a region move by half their side: the third of a row shares nothing with the first."""
    found = pairs(find_look_alikes(prints, range(len(prints))))
    each = len(PLACES)
    for first, second in found:
        assert first // each == second // each, "of two patients"
        (row, column), (other_row, other_column) = PLACES[first % each], PLACES[second % each]
        assert max(abs(row - other_row), abs(column - other_column)) == 1
    apart = [(a, b) for a, b in combinations(range(len(prints)), 2) if a // each == b // each]
    apart = [(a, b) for a, b in apart if abs(PLACES[a % each][1] - PLACES[b % each][1]) == 2]
    assert len(apart) == 5 * 4
    assert not found & set(apart)


def test_everything_at_once_and_half_the_resolution(prints):
    images = [image for patient in patches() for image in patient]
    worst = [jpeg(stain_shifted(scaled(np.rot90(image)[:, ::-1]))) for image in images]
    found = pairs(find_look_alikes(prints + [fingerprint(image) for image in worst], np.arange(60) // 30))
    assert np.mean([(place, place + 30) in found for place in range(30)]) > 0.85
    large = [cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC) for image in images]
    found = pairs(find_look_alikes(prints + [fingerprint(image) for image in large], np.arange(60) // 30))
    assert np.mean([(place, place + 30) in found for place in range(30)]) > 0.85


@pytest.mark.parametrize("size", [(48, 48), (1, 1), (1000, 50), (64, 3000)])
def test_what_shows_nothing_is_not_recognisable(size):
    rng = np.random.default_rng(0)
    glass = np.full((*size, 3), GLASS, np.uint8)
    dusty = np.repeat(rng.integers(0, 256, (*size, 1), dtype=np.uint8), 3, axis=2)
    printed = [fingerprint(image) for image in (glass, glass, np.zeros_like(glass), dusty, dusty)]
    assert not any(one.recognisable for one in printed)
    assert printed[0].points.shape == (0, 2)
    assert printed[0].descriptors.shape == (0, 128)
    assert find_look_alikes(printed, range(5)) == []


def test_print_on_glass_is_nobodys_mark():
    """A frame of fiducial dots is equal on all slides of a make, and says nothing of who lies between them."""
    framed, tinted = [], []
    for patient in patches()[:2]:
        slide = np.full((300, 300, 3), GLASS, np.uint8)
        slide[100:196, 100:196] = patient[0]
        rng = np.random.default_rng(1)
        for x, y in rng.integers(8, 292, (120, 2)).tolist():
            if not (80 < x < 216 and 80 < y < 216):
                cv2.circle(slide, (x, y), 4, (90, 90, 90), 2)
        framed.append(fingerprint(slide))
        tinted.append(fingerprint(stain_shifted(slide)))
    assert all(one.recognisable for one in framed)
    for one in (*framed, *tinted):
        assert ((one.points > 90) & (one.points < 206)).all()
    assert find_look_alikes(framed, [0, 1]) == []
    assert pairs(find_look_alikes(framed + tinted, [0, 1, 2, 3])) == {(0, 2), (1, 3)}


def test_points_lie_in_the_image_as_given():
    """A large image is shrunk and a small one enlarged; their points are told in their own pixels."""
    small = patches()[0][0]
    large = cv2.resize(small, None, fx=8, fy=8, interpolation=cv2.INTER_CUBIC)
    for image in (small, large, small[:50, :60]):
        one = fingerprint(image)
        assert ENOUGH <= len(one.points) <= POINTS
        assert (one.points >= -0.5).all()
        assert (one.points <= np.array(image.shape[1::-1]) - 0.5).all()
        assert np.ptp(one.points, axis=0).min() > 0.6 * min(image.shape[:2])


def test_a_biopsy_on_a_wide_slide_is_found():
    """Tissue a tenth of the slide: its points come from around it, in the slide's pixels."""
    slides = []
    for patient in patches()[:3]:
        slide = np.full((1000, 800, 3), GLASS, np.uint8)
        slide[700:796, 100:196] = patient[0]
        slides.append(slide)
    turned = [jpeg(stain_shifted(np.rot90(slide))) for slide in slides]
    prints = [fingerprint(slide) for slide in slides + turned]
    for one in prints[:3]:
        assert len(one.points) > 60
        assert (np.abs(one.points - (147.5, 747.5)) < 80).all()
    assert pairs(find_look_alikes(prints, range(6))) == {(0, 3), (1, 4), (2, 5)}


def test_a_fingerprint_is_the_same_with_any_threads():
    image = np.ascontiguousarray(np.tile(patches()[0][0], (3, 3, 1)))
    before = cv2.getNumThreads()
    try:
        told = []
        for threads in (1, 2, 4):
            cv2.setNumThreads(threads)
            told.append(fingerprint(image))
            assert cv2.getNumThreads() == threads
    finally:
        cv2.setNumThreads(before)
    for one in told[1:]:
        np.testing.assert_array_equal(one.points, told[0].points)
        np.testing.assert_array_equal(one.descriptors, told[0].descriptors)


def test_the_answer_is_sorted_and_the_same_again(prints):
    again = everybody()
    for one, other in zip(prints, again, strict=True):
        np.testing.assert_array_equal(one.points, other.points)
        np.testing.assert_array_equal(one.descriptors, other.descriptors)
    cv2.setRNGSeed(7)
    found = find_look_alikes(prints + again, np.arange(60) // 30)
    assert found == find_look_alikes(prints + again, ["b"] * 30 + ["a"] * 30) == sorted(found)
    assert all(one.first < one.second and one.matched >= AGREE for one in found)


def test_a_file_holds_them_whole(tmp_path, prints):
    given = [*prints[:2], Fingerprint(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.uint8)), *prints[2:4]]
    for name, some in (("a", given), ("b", given), ("none", []), ("empty", given[2:3])):
        write_fingerprints(tmp_path / name, some)
        read = read_fingerprints(tmp_path / name)
        assert [len(one.points) for one in read] == [len(one.points) for one in some]
        for one, other in zip(some, read, strict=True):
            np.testing.assert_array_equal(one.points, other.points)
            np.testing.assert_array_equal(one.descriptors, other.descriptors)
            assert one.points.dtype == np.float32
            assert one.descriptors.dtype == np.uint8
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    (tmp_path / "a").write_bytes((tmp_path / "b").read_bytes()[:2000])
    with pytest.raises(UserError, match="truncated or damaged"):
        read_fingerprints(tmp_path / "a")
    with pytest.raises(UserError, match="fingerprints file is missing"):
        read_fingerprints(tmp_path / "nowhere")


def test_what_does_not_fit_is_refused(prints):
    for wrong in (np.zeros((64, 64), np.uint8), np.zeros((64, 64, 3), np.float32), np.zeros((64, 64, 4), np.uint8)):
        with pytest.raises(ValueError, match="is not uint8"):
            fingerprint(wrong)
    with pytest.raises(ValueError, match="30 fingerprints of 2 owners"):
        find_look_alikes(prints, [0, 1])
    assert find_look_alikes([], []) == []
    assert find_look_alikes(prints, [3] * 30) == []


def test_many_copies_of_one_image_are_all_linked():
    """More copies than neighbours are kept: every one is still in some pair, and together they are one group."""
    one = fingerprint(patches()[0][0])
    number = 3 * NEIGHBOURS
    found = find_look_alikes([one] * number, range(number))
    groups = list(range(number))
    for pair in found:
        old, new = groups[pair.second], groups[pair.first]
        groups = [new if group == old else group for group in groups]
    assert set(groups) == {0}


def test_mirrored_descriptors_are_those_of_the_mirrored_image():
    """OpenCV's own of the mirrored image, at the mirrored places."""
    green = np.ascontiguousarray(cv2.resize(patches()[0][0], None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)[:, :, 1])
    sift = cv2.SIFT_create()
    points, descriptors = sift.detectAndCompute(green, None)
    _, theirs = sift.detectAndCompute(np.ascontiguousarray(green[:, ::-1]), None)
    nearest = [np.sqrt(((theirs - row) ** 2).sum(axis=1)).min() for row in descriptors[:, MIRRORED]]
    unmirrored = [np.sqrt(((theirs - row) ** 2).sum(axis=1)).min() for row in descriptors]
    assert len(points) > 50
    assert np.median(nearest) < 50 < 150 < np.median(unmirrored)
    np.testing.assert_array_equal(MIRRORED[MIRRORED], np.arange(128))


def test_cells_find_what_comparing_all_finds(prints):
    """Against every distance, taken in whole numbers: nothing too much, and nearly all of it."""
    some = prints[:6] + [fingerprint(jpeg(image)) for image in patches()[0]]
    image = np.repeat(np.arange(12), [len(one.points) for one in some])
    owner = (image >= 6).astype(np.int64)
    descriptors = np.concatenate([one.descriptors for one in some])
    whole = descriptors.astype(np.int64)
    square = (whole**2).sum(axis=1)[:, None] + (whole**2).sum(axis=1) - 2 * whole @ whole.T
    right = set(zip(*np.nonzero((square < ALIKE**2) & (owner[:, None] < owner)), strict=True))
    plain = [like for like in like_points(descriptors, image, owner, 1) if not like.mirrored]
    found = {pair for like in plain for pair in zip(like.rows_of_first, like.rows_of_second, strict=True)}
    assert found <= right
    assert len(found) > 0.9 * len(right) > 500
    assert all((image[like.rows_of_first] == like.first).all() for like in plain)
    assert all((image[like.rows_of_second] == like.second).all() for like in plain)


@pytest.mark.realdata
def test_neighbouring_tiles_of_a_real_section_are_not_alike():
    """HER2ST, a quarter of its resolution: some 60,000 pairs of tiles of one patient as if each had an owner."""
    tiles = []
    for section in ("C2", "C3"):
        path = real_data("her2st") / "images" / f"{section}.jpg"
        image = cv2.imread(str(path), cv2.IMREAD_REDUCED_COLOR_4)[:, :, ::-1]
        for top in range(0, image.shape[0] - 96, 96):
            for left in range(0, image.shape[1] - 96, 96):
                tile = np.ascontiguousarray(image[top : top + 96, left : left + 96])
                if (tile[:, :, 1] < 200).mean() > 0.3:
                    tiles.append(tile)
    printed = [fingerprint(tile) for tile in tiles]
    assert len(tiles) > 200
    assert np.mean([one.recognisable for one in printed]) > 0.9
    assert find_look_alikes(printed, range(len(printed))) == []
    some = range(0, len(tiles), 5)
    copies = [fingerprint(jpeg(stain_shifted(np.rot90(tiles[place])[:, ::-1]))) for place in some]
    found = pairs(find_look_alikes(printed + copies, [0] * len(printed) + [1] * len(copies)))
    hit = {(place, len(printed) + number) for number, place in enumerate(some) if printed[place].recognisable}
    assert len(found & hit) >= 0.97 * len(hit)
    assert found <= hit


@pytest.mark.realdata
def test_serial_sections_are_not_alike_and_their_copies_are():
    """HER2ST C2 to C6, 16 µm apart, and A1 of another patient, as if each had its own owner."""
    folder = real_data("her2st") / "images"
    paths = [*(folder / f"{name}.jpg" for name in ("C2", "C3", "C4", "C5", "C6")), folder / "A1_lowres.png"]
    images = [cv2.imread(str(path), cv2.IMREAD_REDUCED_COLOR_8) for path in paths]
    sections = [np.ascontiguousarray(image[:, :, ::-1]) for image in images]
    printed = [fingerprint(image) for image in sections]
    assert find_look_alikes(printed, range(6)) == []
    for change in KINDS.values():
        copies = [fingerprint(change(image)) for image in sections]
        found = pairs(find_look_alikes(printed + copies, [0] * 6 + [1] * 6))
        assert found == {(place, place + 6) for place in range(6)}
