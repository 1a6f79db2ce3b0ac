"""Slides to files of features as SEQUOIA's released code lays them out: ``<out>/<project>/<slide>/<slide>.h5``.

In a file: tile features (``resnet_features``, ``uni_features``, of other encoders ``features``), float32 ``(n, d)``;
the super-tiles, ``cluster_features``, float32 ``(K, d)``; and, which SEQUOIA's files lack, the upper left corners of
tiles in level-0 pixels, ``coords``, int64 ``(n, 2)``, as CLAM writes them. Attributes say how all of it was made. A
slide with fewer than K tiles has its tiles as super-tiles, then rows of zeros; the released code leaves it out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from baselines.encoders.entries import weights_of
from protocols.bulk.super_tiles import KMEANS_SEED, group_means
from protocols.contract import CropArray, FloatArray, RowArray, Settings, WeightsRecord
from protocols.errors import UserError, look_up
from protocols.files import written_whole
from protocols.images.crops import CohortCrops
from protocols.images.tissue_tiles import RULES, TileTable, tile_slide
from protocols.progress import steps, track
from protocols.readers import checks
from protocols.settings import TileSettings

SUPER_TILES, COORDINATES = "cluster_features", "coords"
SLIDES_AT_ONCE = 8
"""Slides embedded by one start of the network; what an interrupted run loses at most."""

Attributes = dict[str, str | int | float]


@dataclass(frozen=True)
class Recipe:
    """How slides become features; a file made by another recipe is not taken for one made by this."""

    encoder: str
    tile: TileSettings
    super_tiles: int
    settings: Settings
    mpp: float | None = None

    def attributes(self, slide: Path) -> Attributes:
        """What is known before the slide is opened."""
        entry = weights_of(self.encoder, self.settings) or {}
        known: Attributes = {
            "slide": slide.name,
            "slide_bytes": slide.stat().st_size,
            "encoder": self.encoder,
            "weights_source": entry.get("hub") or Path(entry.get("path", "random")).name,
            "weights_revision": entry.get("revision", ""),
            "profile": self.settings.profile,
            "device": self.settings.device,
            "seed": self.settings.seed,
            "tile_um": self.tile.um,
            "tile_pixels": self.tile.pixels,
            "max_tiles": self.tile.max_tiles,
            "tissue_rule": self.tile.tissue,
            "super_tiles": self.super_tiles,
            "kmeans_seed": KMEANS_SEED,
            "mpp_source": "the slide's file" if self.mpp is None else "given",
        }
        if self.mpp is not None:
            known["mpp"] = self.mpp
        if self.tile.field != "whole":
            known["field_of_view"] = self.tile.field
        if "sha256" in entry:
            known["weights_sha256"] = entry["sha256"]
        return known


def write_features(
    slides: Sequence[Path],
    out: Path,
    *,
    encoder: str,
    tile: TileSettings,
    super_tiles: int,
    settings: Settings,
    project: str,
    mpp: float | None = None,
) -> list[Path]:
    """One file a slide, in the order of ``slides``; those that are there already are kept as they are.

    The seed of the tiles' draw and of random weights is the settings'. A file is whole or absent, and its bytes follow
    from the slide and the recipe, whichever slides are beside it. A slide without tissue or resolution, two of one
    name, and a file made by another recipe are :class:`UserError`.
    """
    from baselines.encoders.entries import encoder_spec

    encoder_spec(encoder).size(settings.profile)
    look_up(tile.tissue, RULES, kind="tissue rule", where="tissue")
    recipe = Recipe(encoder, tile, super_tiles, settings, mpp)
    files = _files(slides, out, project)
    for file, slide in files.items():
        if file.exists():
            _check_made_alike(file, recipe.attributes(slide))
    missing = [(file, slide) for file, slide in files.items() if not file.exists()]
    for start in range(0, len(missing), SLIDES_AT_ONCE):
        group = missing[start : start + SLIDES_AT_ONCE]
        _write_group(group, out / project, recipe, f"{project}: {start + len(group)} of {len(missing)} slides")
    return list(files)


def feature_key(encoder: str) -> str:
    """The data set of an encoder's tile features: SEQUOIA's name for it, or CLAM's."""
    from protocols.readers.bag_files import FEATURE_KEYS, SEQUOIA_KEYS

    return SEQUOIA_KEYS.get(encoder, FEATURE_KEYS[0])


def _files(slides: Sequence[Path], out: Path, project: str) -> dict[Path, Path]:
    """File of features -> slide. A slide's name is its file's without the suffix, as in SEQUOIA's reference table."""
    if not slides:
        raise UserError("no slides", where="slides", expected="one at least", remedy="name image files")
    if Path(project).name != project:
        raise UserError(f"{project!r}", where="project", expected="the name of a folder", remedy="leave out slashes")
    for slide in slides:
        checks.require_file(slide, "slide")
    name, times = Counter(slide.stem for slide in slides).most_common(1)[0]
    if times > 1:
        raise UserError(
            f"{times} slides named {name}", where="slides", expected="each once", remedy="rename one, or use projects"
        )
    return {out / project / slide.stem / f"{slide.stem}.h5": slide for slide in slides}


def _check_made_alike(file: Path, asked: Attributes) -> None:
    with checks.open_h5(file, "file of features") as content:
        found = dict(content.attrs)
    for key, value in asked.items():
        if found.get(key) != value:
            raise UserError(
                f"it was made with {key} {found.get(key, 'unstated')}",
                where=file,
                expected=str(value) or "none",
                remedy="choose another folder, or delete it",
            )


def _write_group(group: Sequence[tuple[Path, Path]], folder: Path, recipe: Recipe, label: str) -> None:
    """Tile, embed and group the tiles of a few slides; the network is started once."""
    tile, seed = recipe.tile, recipe.settings.seed
    tables = [
        tile_slide(slide, um=tile.um, tissue=tile.tissue, max_tiles=tile.max_tiles, seed=seed, mpp=recipe.mpp)
        for _, slide in track(group, f"{label}: tiling")
    ]
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".tiles-") as temporary:
        embedding = Path(temporary) / "tiles.npy"
        record = _embed([slide for _, slide in group], tables, recipe, embedding, label)
        array = np.load(embedding, mmap_mode="r", allow_pickle=False)
        ends = np.cumsum([len(table.centres) for table in tables])
        for number, (file, slide) in enumerate(track(group, f"{label}: super-tiles")):
            features = np.array(array[ends[number] - len(tables[number].centres) : ends[number]])
            _write(file, features, tables[number], recipe, recipe.attributes(slide) | _weights(record))
        del array


def _embed(slides: Sequence[Path], tables: Sequence[TileTable], recipe: Recipe, out: Path, label: str) -> WeightsRecord:
    from baselines.encoders.embedding import embed

    of_slide = np.repeat(np.arange(len(slides)), [len(table.centres) for table in tables])
    images = [(slide, table.mpp) for slide, table in zip(slides, tables, strict=True)]
    centres = np.concatenate([table.centres for table in tables])
    crops = CohortCrops(of_slide, centres, images, recipe.tile.um, recipe.tile.pixels)
    rows = np.arange(len(of_slide), dtype=np.int64)
    try:
        with steps(len(rows), f"{label}: embedding {len(rows)} tiles with {recipe.encoder}") as report:
            return embed(
                recipe.encoder,
                _SlideBySlide(crops, of_slide),
                rows,
                recipe.settings,
                out,
                lambda done, _: report(done),
                whole_view=True,
                um=recipe.tile.um,
                field=recipe.tile.field,
            )
    finally:
        crops.close()


class _SlideBySlide:
    """Batches that hold tiles of one slide only: rounding then cannot depend on the slides beside it."""

    def __init__(self, crops: CohortCrops, of_slide: NDArray[np.intp]) -> None:
        self.pixels, self._crops, self._of_slide = crops.pixels, crops, of_slide

    def read(self, rows: RowArray) -> CropArray:
        return self._crops.read(rows)

    def batches(self, rows: RowArray, size: int) -> Iterator[tuple[RowArray, CropArray]]:
        slides = self._of_slide[rows]
        for slide in np.unique(slides):
            members = np.flatnonzero(slides == slide)
            for within, crops in self._crops.batches(rows[members], size):
                yield members[within], crops


def _weights(record: WeightsRecord) -> Attributes:
    return {
        "weights_source": record.source,
        "weights_revision": record.revision or "",
        "weights_sha256": record.sha256 or "",
    }


def _write(file: Path, features: FloatArray, table: TileTable, recipe: Recipe, made: Attributes) -> None:
    import h5py

    means, present = group_means(features, features, recipe.super_tiles)
    side = recipe.tile.um / table.mpp
    corners = np.rint(table.centres - side / 2).astype(np.int64)
    made = made | {
        "mpp": table.mpp,
        "tile_level0_pixels": side,
        "tiles_in_grid": table.seen,
        "tiles_of_tissue": table.tissue,
        "tiles": len(features),
        "fewer_than_places": int(len(features) < recipe.super_tiles),
        "absent_super_tiles": int((~present).sum()),
    }
    # No times in the file: its bytes must follow from its content.
    with written_whole(file) as part, h5py.File(part, "w", libver=("earliest", "v110")) as content:
        content.create_dataset(feature_key(recipe.encoder), data=features.astype(np.float32), track_times=False)
        content.create_dataset(SUPER_TILES, data=means.astype(np.float32), track_times=False)
        content.create_dataset(COORDINATES, data=corners, track_times=False)
        for key in sorted(made):
            content.attrs[key] = made[key]
