"""What is kept of a cohort's images: what was seen of each, the same bytes for any number of threads, and no more than
the maximum."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from protocols.files import sha256_of
from protocols.identity.evidence import Evidence, Item, Kept, read_evidence, write_evidence


def picture(seed: int, side: int = 160) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(80, 220, (side // 8, side // 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))


def kept(folder: Path, items: list[Item], most: int = 100, workers: int = 1, name: str = "kept") -> Kept:
    (folder / name).mkdir()
    write_evidence(
        folder / name, Evidence(tuple(items)), hash_of=sha256_of, most=most, seed=0, workers=workers
    )  # fmt: skip
    return read_evidence(folder / name)


def saved(path: Path, pixels: NDArray[np.uint8]) -> Path:
    Image.fromarray(pixels).save(path)
    return path


def images(folder: Path, number: int) -> list[Item]:
    return [
        Item(f"slide {k}", f"P{k}", (k, k + 1), saved(folder / f"{k}.png", picture(k)), picture=True)
        for k in range(number)
    ]


def test_what_was_seen(tmp_path: Path) -> None:
    glass, small, broken = tmp_path / "glass.png", tmp_path / "small.png", tmp_path / "broken.png"
    saved(glass, np.full((96, 96, 3), 240, dtype=np.uint8))
    saved(small, picture(0, 40))
    broken.write_bytes(b"no image")
    bag = tmp_path / "bag.h5"
    bag.write_bytes(b"features")
    items = [
        *images(tmp_path, 1),
        *(Item(path.stem, "P", (0, 1), path, picture=True) for path in (glass, small, broken)),
        Item("bag", "P", (0, 1), bag),
        Item("features", "P", (0, 1), has_table=True),
    ]
    found = kept(tmp_path, items)
    assert [one.seen for one in found.items] == ["seen", "flat", "too small", "unreadable", "", ""]
    assert [bool(one.bytes) for one in found.items] == [True, False, True, True, True, False], "glass is nobody's"
    assert [bool(one.pixels) for one in found.items] == [True, False, False, False, False, False]
    assert [one.recognisable for one in found.prints] == [True, False, False, False, False, False]


def test_so_many_images_are_opened_and_the_same_ones_again(tmp_path: Path) -> None:
    items = images(tmp_path, 8)
    one, again = kept(tmp_path, items, 3, name="one"), kept(tmp_path, items, 3, workers=4, name="again")
    assert Counter(item.seen for item in one.items) == {"seen": 3, "over the maximum": 5}
    assert one.items == again.items
    assert all(item.bytes for item in one.items), "bytes are compared of all"
    assert {one.seen for one in kept(tmp_path, items, 0, name="none").items} == {"over the maximum"}


def test_the_same_bytes_for_any_number_of_threads(tmp_path: Path) -> None:
    items = images(tmp_path, 6)
    kept(tmp_path, items, workers=1, name="one")
    kept(tmp_path, items, workers=4, name="four")
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "four" / name).read_bytes(), name


@pytest.mark.parametrize("levels", [1, 3])
def test_pixels_of_a_slide_do_not_hang_on_its_pyramid_or_compression(tmp_path: Path, levels: int) -> None:
    pixels = picture(0, 1024)
    first, second = tmp_path / "a.tif", tmp_path / "b.tif"
    tifffile.imwrite(first, pixels, photometric="rgb", tile=(256, 256))
    with tifffile.TiffWriter(second) as tiff:
        tiff.write(pixels, photometric="rgb", tile=(128, 128), compression="zlib", subifds=levels - 1)
        for level in range(1, levels):
            tiff.write(pixels[:: 2**level, :: 2**level], photometric="rgb", tile=(128, 128), subfiletype=1)
    found = kept(tmp_path, [Item(path.stem, path.stem, (0, 1), path, picture=True) for path in (first, second)])
    assert found.items[0].bytes != found.items[1].bytes
    assert found.items[0].pixels == found.items[1].pixels != ""
