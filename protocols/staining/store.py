"""A cohort of H&E and IHC patches as the pipeline keeps it: a listing with hashes. Pixels stay where they are.

``patches.parquet`` has one row a patch, ``dab.f32`` the DAB of every labelled nucleus one patch after another
(little-endian float32), ``cohort.json`` everything else.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from protocols.contract import FloatArray, RowArray, TextArray
from protocols.errors import UserError
from protocols.files import sha256_of, write_text_whole, written_whole
from protocols.splits import Exclusion
from protocols.staining.cohort import IhcCohort, PatchPair, read_dab, scored_dab
from protocols.staining.tiles import CACHE_BYTES, TileReader, Tiles, TileSize, tile_corners, tile_name
from protocols.stored_cohort import COHORT_FILE, read_cohort_file

if TYPE_CHECKING:
    from protocols.task import CohortRequest

PATCHES_FILE, DAB_FILE = "patches.parquet", "dab.f32"
COLUMNS = ("marker", "name", "patient", "subregion", "row", "column", "he", "ihc", "width", "height")
Side = Literal["he", "ihc"]


class IhcStore:
    """Read access to a stored cohort; row numbers are of patches of all markers. ``root`` holds the images."""

    def __init__(self, folder: Path, root: Path) -> None:
        record = read_cohort_file(folder)
        self.folder, self.root = folder, root
        self.name, self.phantom = str(record["name"]), bool(record["phantom"])
        self.markers: tuple[str, ...] = tuple(record["markers"])
        self.stride_share = float(record["stride_share"])
        self.tile = TileSize(**record["tile"])
        self.excluded = tuple(Exclusion(**item) for item in record["excluded"])
        self._number = int(record["patches"])

    def __len__(self) -> int:
        return self._number

    @cached_property
    def table(self) -> pd.DataFrame:
        """The listing: ``COLUMNS``, the images' SHA-256, and the label (flag empty, counts -1 where there is none)."""
        return pd.read_parquet(self.folder / PATCHES_FILE)

    @cached_property
    def patients(self) -> tuple[str, ...]:
        """Known patients, sorted; patches of unknown ones have an empty patient."""
        return tuple(sorted({str(patient) for patient in self.table["patient"]} - {""}))

    @cached_property
    def patient(self) -> TextArray:
        return self.table["patient"].to_numpy(np.str_)

    @cached_property
    def marker(self) -> TextArray:
        return self.table["marker"].to_numpy(np.str_)

    @cached_property
    def name_of(self) -> TextArray:
        return self.table["name"].to_numpy(np.str_)

    def rows_of(self, marker: str, rows: RowArray | None = None) -> RowArray:
        """Patches of a marker, of all or of some ``rows``, ascending."""
        chosen = np.flatnonzero(self.marker == marker).astype(np.int64)
        return chosen if rows is None else np.intersect1d(chosen, rows)

    def tiles(self, rows: RowArray) -> Tiles:
        """Every tile of some patches, in their order; a patch smaller than a tile gives none."""
        width, height = (self.table[column].to_numpy(np.int64) for column in ("width", "height"))
        corners = [tile_corners(int(width[row]), int(height[row]), self.tile.source) for row in rows]
        numbers = np.array([len(one) for one in corners], dtype=np.int64)
        patch = np.repeat(np.asarray(rows, dtype=np.int64), numbers)
        corner = np.concatenate(corners) if corners else np.zeros((0, 2), dtype=np.int64)
        names = [tile_name(str(self.name_of[p]), *place) for p, place in zip(patch, corner.tolist(), strict=True)]
        return Tiles(patch, corner, np.array(names, dtype=np.str_))

    def reader(self, side: Side, tiles: Tiles, *, cache_bytes: int = CACHE_BYTES) -> TileReader:
        """Reads ``tiles`` of one side; the reader knows nothing of the other side."""
        return self._reader(self.root, self.table[side].to_numpy(object), tiles, cache_bytes)

    def aligned_reader(self, root: Path, tiles: Tiles, *, cache_bytes: int = CACHE_BYTES) -> TileReader:
        """Reads ``tiles`` from the IHC images at the same paths below another root: a phantom's registered twin."""
        return self._reader(root, self.table["ihc"].to_numpy(object), tiles, cache_bytes)

    def _reader(self, root: Path, paths: Any, tiles: Tiles, cache_bytes: int) -> TileReader:
        rows, patch = np.unique(tiles.patch, return_inverse=True)
        sizes = self.table[["width", "height"]].to_numpy(np.int64)[rows].tolist()
        files = [str(paths[row]) for row in rows]
        size = [(int(width), int(height)) for width, height in sizes]
        return TileReader(root, files, size, patch, tiles.corner, self.tile, cache_bytes=cache_bytes)

    def dab(self, row: int, *, scored: bool = True) -> FloatArray | None:
        """DAB of a patch's IHC nuclei from its label, float32; None without a label.

        ``scored``: zeros where a person set the label to zero by hand (flag "0"); else what was measured.
        """
        start, number = (int(self.table[column].iloc[row]) for column in ("dab_start", "ihc_nuclei"))
        if number < 0:
            return None
        values = np.fromfile(self.folder / DAB_FILE, dtype="<f4", count=number, offset=4 * start)
        return scored_dab(values, str(self.table["flag"].iloc[row])) if scored else values


def open_store(request: CohortRequest, folder: Path) -> IhcStore:
    """The stored cohort; its images are read where the entry's root is now."""
    return IhcStore(folder, request.entry.root)


def write_ihc_store(
    folder: Path,
    cohort: IhcCohort,
    *,
    tile_px: int,
    source_px: int | None = None,
    phantom: bool,
    workers: int = 1,
) -> IhcStore:
    """Store a cohort's listing; ``cohort.json`` comes last, so a folder that has it is whole.

    Tiles are ``tile_px`` wide and cover ``source_px`` (default: as many) of the patch; the listing holds every image's
    hash. Raises :class:`UserError` where no patch holds a tile.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tile = TileSize(tile_px, source_px or tile_px)
    fit = [patch for patch in cohort.patches if min(patch.width, patch.height) >= tile.source]
    if not fit:
        raise UserError(
            f"no patch of {cohort.name} is {tile.source} px wide and high",
            where="the tiles of the cohort",
            expected="tiles no larger than the patches",
            remedy="lower tile_px or source_px",
        )
    small = set(cohort.patches) - set(fit)
    excluded = [
        *cohort.excluded,
        *(Exclusion(f"{one.marker} patch {one.name}", "smaller than a tile") for one in cohort.patches if one in small),
    ]
    table = _listing(cohort.root, fit, workers)
    table["dab_start"] = np.concatenate([[0], np.maximum(table["ihc_nuclei"].to_numpy(np.int64), 0).cumsum()[:-1]])
    record: dict[str, Any] = {
        "name": cohort.name,
        "phantom": phantom,
        "markers": list(dict.fromkeys(patch.marker for patch in fit)),
        "stride_share": cohort.stride_share,
        "tile": asdict(tile),
        "patches": len(fit),
        "excluded": [asdict(item) for item in excluded],
    }
    with written_whole(folder / DAB_FILE) as part, part.open("wb") as file:
        for values in _dab(cohort.root, fit):
            file.write(values)
    with written_whole(folder / PATCHES_FILE) as part:
        table.to_parquet(part, compression="zstd", index=False)
    write_text_whole(folder / COHORT_FILE, json.dumps(record, indent=1) + "\n")
    return IhcStore(folder, cohort.root)


def _listing(root: Path, patches: list[PatchPair], workers: int) -> pd.DataFrame:
    table = pd.DataFrame({column: [getattr(patch, column) for patch in patches] for column in COLUMNS})
    labels = [patch.label for patch in patches]
    table["flag"] = [label.flag if label else "" for label in labels]
    table["he_nuclei"] = np.array([label.he_nuclei if label else -1 for label in labels], dtype=np.int64)
    table["ihc_nuclei"] = np.array([label.ihc_nuclei if label else -1 for label in labels], dtype=np.int64)
    with ThreadPoolExecutor(max(1, workers)) as pool:
        for side in ("he", "ihc"):
            table[f"{side}_sha256"] = list(pool.map(partial(_hash, root), table[side]))
    return table.astype(dict.fromkeys(("row", "column", "width", "height"), np.int64))


def _hash(root: Path, path: str) -> str:
    return sha256_of(root / path)


def _dab(root: Path, patches: Iterable[PatchPair]) -> Iterator[bytes]:
    for patch in patches:
        if patch.label is not None:
            yield read_dab(root, patch.label).astype("<f4").tobytes()
