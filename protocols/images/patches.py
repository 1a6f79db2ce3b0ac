"""HEST's ready-made patches (``patches/<id>.h5``: ``img``, ``barcode``, ``coords``) as a source of crops."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.contract import CropArray, RowArray
from protocols.errors import UserError
from protocols.images.crop_reader import Positions, resample
from protocols.readers import checks

HEST_UM = 112.0
"""HEST's default patch: 224 px at 0.5 µm per pixel."""

TOLERANCE_PX = 2.0
"""HEST rounds a patch's corner to whole pixels; a centre may be off by this much."""


@dataclass(frozen=True)
class PatchFacts:
    """``barcodes`` ``(n,)``, stored ``coords`` ``(n, 2)``, patch side in pixels, as stored and on level 0 (or None)."""

    barcodes: NDArray[np.str_]
    coords: Positions
    side: int
    source_side: float | None


def read_facts(path: Path) -> PatchFacts:
    """Everything of a patches file but its pixels."""
    with checks.open_h5(path, "patches") as file:
        images, attributes = file["img"], dict(file["img"].attrs)
        if images.ndim != 4 or images.shape[3] != 3 or images.shape[1] != images.shape[2] or images.dtype != np.uint8:
            raise UserError(
                f"img is {images.shape} {images.dtype}", where=path, expected="uint8 (n, s, s, 3)", remedy="check it"
            )
        barcodes = checks.as_text(np.asarray(file["barcode"]).reshape(-1))
        coords = np.asarray(file["coords"], np.float64)
        shape = images.shape
    if len(barcodes) != shape[0] or coords.shape != (shape[0], 2):
        raise UserError(
            f"{shape[0]} patches, {len(barcodes)} barcodes, coords {coords.shape}",
            where=path,
            expected="one barcode and one coordinate pair a patch",
            remedy="fetch the file again",
        )
    checks.require_unique(barcodes, "patch barcode", where=path)
    # HEST-1k stores the level-0 side as patch_size_src; its benchmark's files store it as patch_size.
    source = attributes.get("patch_size_src", attributes.get("patch_size"))
    return PatchFacts(barcodes, coords, int(shape[1]), None if source is None else float(source))


def match(coords: Positions, half: float, centres: Positions) -> RowArray | None:
    """For each centre the number of its patch, or None where no convention of ``coords`` explains all centres.

    HEST's files differ: ``coords`` are corners in HEST-1k, centres with x and y exchanged in its benchmark; the
    convention is found by trying each on all of the slide's centres.
    """
    from scipy.spatial import cKDTree

    best, best_distance = None, TOLERANCE_PX
    for order in ([0, 1], [1, 0]):
        for shift in (half, 0.0):
            distance, index = cKDTree(coords[:, order] + shift).query(centres, p=np.inf)
            farthest = float(np.max(distance, initial=0.0))
            if len(centres) and farthest <= best_distance:
                best, best_distance = np.asarray(index, np.int64), farthest
    return best


class PatchFile:
    """What :class:`PatchReader` holds open; the same two members as an image."""

    resident_bytes = 0

    def __init__(self, path: Path) -> None:
        import h5py

        self.path = path
        self.file: Any = h5py.File(path, "r")

    def close(self) -> None:
        self.file.close()


class PatchReader:
    """Crops cut from the middle of patches; they cannot be wider than the patches are.

    ``mpp`` is that of level 0, ``centres`` ``(n, 2)`` are all of the slide's units in level-0 pixels.
    """

    def __init__(self, path: Path, crop_um: float, pixels: int, *, mpp: float, centres: Positions) -> None:
        facts = read_facts(path)
        patch_um = HEST_UM if facts.source_side is None else facts.source_side * mpp
        if crop_um > patch_um * 1.01:
            raise UserError(
                f"patches show {patch_um:.1f} µm, crops need {crop_um:g} µm",
                where=path,
                expected="patches at least as wide as the crops",
                remedy="make the crops smaller or give the slide's whole image",
            )
        found = match(facts.coords, patch_um / mpp / 2, centres)
        if found is None:
            raise UserError(
                "some units have no patch around them", where=path, expected="one patch a unit", remedy="read it anew"
            )
        self.pixels = pixels
        self._margin = (facts.side - min(facts.side, max(1, round(facts.side * crop_um / patch_um)))) // 2
        self._patch = {tuple(xy): int(number) for xy, number in zip(centres.tolist(), found.tolist(), strict=True)}
        self.image = PatchFile(path)

    def read(self, xy_px: Positions) -> CropArray:
        out = np.empty((len(xy_px), self.pixels, self.pixels, 3), np.uint8)
        for places, crops in self.batches(xy_px, 256):
            out[places] = crops
        return out

    def batches(self, xy_px: Positions, size: int) -> Iterator[tuple[RowArray, CropArray]]:
        """In the order in which the patches lie in the file."""
        numbers = np.array([self._patch[tuple(xy)] for xy in np.asarray(xy_px, np.float64).tolist()], np.int64)
        order = np.argsort(numbers, kind="stable")
        for start in range(0, len(order), size):
            places = order[start : start + size]
            chosen, back = np.unique(numbers[places], return_inverse=True)
            patches = self.image.file["img"][chosen][back]
            m = self._margin
            inner = patches[:, m : patches.shape[1] - m, m : patches.shape[2] - m]
            yield places, np.stack([resample(patch, self.pixels) for patch in inner])
