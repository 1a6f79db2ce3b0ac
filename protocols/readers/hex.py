"""HEX's release: a slide's table ``slide,index,x,y,mean_intensity_channel1..40``, its folder ``{slide}_{index}.png``.

The tiles are 224 px of level 0. They are all that the release has of an H&E slide, so they are the image: a unit's crop
is its own tile. A group that has the whole slide names it in the column ``image`` instead.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.errors import UserError
from protocols.expression.cohort import SlideData, SlideEntry
from protocols.images.image import open_image
from protocols.images.tile_folder import tile_files, tile_side
from protocols.readers import checks
from protocols.readers.assemble import agreed_mpp, build_protein_slide
from protocols.readers.cell_table import read_frame
from protocols.readers.hex_markers import HEX_MARKERS
from protocols.readers.options import option_names

MPP = 0.25
"""µm a pixel at 40×, where neither the option nor an image says it: 224 px are then 56 µm."""
TILE_PX = 224
CHANNEL = re.compile(r"mean_intensity_channel(\d+)")


def read(entry: SlideEntry, root: Path) -> SlideData:
    """One slide.

    Options: ``xy`` = corner (default) or centre: which point of a tile ``x, y`` are. The release's extract_he_patch.py
    reads 224 × 224 px of level 0 from ``(x, y)`` on: they are upper left corners.
    ``mpp``: else the image's own, else 0.25. ``tile_px`` with an image: 224. ``markers``: names of channels in order.
    A row without a tile is left out and noted, as is a tile without a row.
    """
    if ("tiles" in entry.files) == ("image" in entry.files):
        raise UserError(
            "tiles and image are both given or both missing", where=f"slide {entry.slide}", expected="one of them",
            remedy="name the folder of tiles, or the whole slide",
        )  # fmt: skip
    path = root / entry.files["table"]
    frame = read_frame(path)
    checks.require_columns([str(name) for name in frame.columns], ("slide", "index", "x", "y"), where=path)
    frame, of_slide = _of_slide(frame, entry, path)
    markers, columns, told = _markers(frame, entry, root, path)
    # The tiles' names: slide and number as the table has them, not as the manifest calls the slide.
    ids = np.char.add(np.char.add(checks.as_text(frame["slide"]), "_"), checks.as_text(frame["index"]))
    checks.require_unique(ids, "tile", where=path)
    xy = frame[["x", "y"]].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    _refuse_same_place(xy, path)
    image, size, side, own_mpp, kept, lost = _image(entry, root, ids)
    given = checks.option_number(entry, "mpp")
    mpp = given or own_mpp or MPP
    assumed = () if given or own_mpp else (f"mpp is taken to be {MPP} (40×): nothing says it",)
    differ = agreed_mpp(mpp, own_mpp, given_by="the manifest", measured_by="the image")
    if checks.option_choice(entry, "xy", ("corner", "centre")) == "corner":
        xy, said = xy + side / 2, f"x, y are the upper left corners of tiles of {side:g} px"
    else:
        said = "x, y are the centres of tiles"
    return build_protein_slide(
        entry,
        unit="tile",
        image=image,
        size=size,
        mpp=mpp,
        ids=ids[kept],
        xy_px=xy[kept],
        names=markers,
        intensities=frame[columns].to_numpy()[kept],
        where=path,
        notes=(said, *assumed, *differ, *of_slide, *told, *lost),
    )


def _of_slide(frame: pd.DataFrame, entry: SlideEntry, path: Path) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The rows of this slide: all, where the table is of one slide; else those that bear the manifest's name."""
    names = checks.as_text(frame["slide"].unique())
    if len(names) == 1:
        other = names[0] != entry.slide
        return frame, (f"the table calls the slide {names[0]!r}",) if other else ()
    mine = checks.as_text(frame["slide"]) == entry.slide
    if not mine.any():
        raise UserError(
            f"no row of the slide {entry.slide!r}", where=path, expected="its name in the column slide",
            remedy=f"the table has {', '.join(names[:4])}{', ...' if len(names) > 4 else ''}",
        )  # fmt: skip
    return frame[mine].reset_index(drop=True), (f"{int((~mine).sum())} rows are of other slides",)


def _markers(
    frame: pd.DataFrame, entry: SlideEntry, root: Path, path: Path
) -> tuple[tuple[str, ...], list[str], tuple[str, ...]]:
    """``(markers, columns, notes)``, by the number of each channel: its order in the table does not matter."""
    found = sorted((int(match[1]), str(name)) for name in frame.columns if (match := CHANNEL.fullmatch(str(name))))
    if not found or [number for number, _ in found] != list(range(1, len(found) + 1)):
        raise UserError(
            f"{len(found)} columns mean_intensity_channelN, not numbered 1 to {len(found)}" if found else
            "no column mean_intensity_channel1", where=path, expected="mean_intensity_channel1, 2, ...",
            remedy="export the means of every channel",
        )  # fmt: skip
    columns = [name for _, name in found]
    for name in columns:
        if frame[name].dtype.kind not in "iuf":
            raise UserError(
                f"{name} holds text", where=path, expected="mean intensities", remedy="export the table again"
            )
    named = option_names(entry, "markers", root)
    if named and len(named) != len(columns):
        raise UserError(
            f"option markers names {len(named)} markers", where=f"slide {entry.slide}",
            expected=f"{len(columns)}, one a channel of {path.name}", remedy="name every channel, in order",
        )  # fmt: skip
    if named:
        return named, columns, ()
    if len(columns) == len(HEX_MARKERS):
        return HEX_MARKERS, columns, ("the 40 channels are named as HEX names them",)
    names = tuple(f"channel{number}" for number, _ in found)
    return names, columns, (f"{len(columns)} channels are not HEX's 40 and nobody names them: channel1, channel2, ...",)


def _refuse_same_place(xy: NDArray[np.float64], path: Path) -> None:
    places, number = np.unique(xy[np.isfinite(xy).all(axis=1)], axis=0, return_counts=True)
    if (number > 1).any():
        x, y = places[number > 1][0]
        raise UserError(
            f"{int((number > 1).sum())} places have more than one tile, e.g. x {x:g}, y {y:g}", where=path,
            expected="one tile a place", remedy="remove the copies",
        )  # fmt: skip


def _image(
    entry: SlideEntry, root: Path, ids: NDArray[np.str_]
) -> tuple[Path, tuple[int, int] | None, float, float | None, NDArray[np.bool_], tuple[str, ...]]:
    """``(image, size, side of a tile in px, its mpp, rows that have pixels, notes)``."""
    if "image" in entry.files:
        image = checks.require_file(root / entry.files["image"], "image")
        with open_image(image) as slide:
            size, own = (slide.width, slide.height), slide.mpp
        return image, size, checks.option_number(entry, "tile_px", TILE_PX) or TILE_PX, own, np.ones(len(ids), bool), ()
    folder = root / entry.files["tiles"]
    files = tile_files(folder)
    kept = np.array([str(name) in files for name in ids], bool)
    if not kept.any():
        raise UserError(
            f"no row of the table has a tile, e.g. {ids[0]!s}.png is not there", where=folder,
            expected="tiles called {slide}_{index}.png, as the table's columns slide and index",
            remedy=f"name this slide's folder; it has {next(iter(files))!r}",
        )  # fmt: skip
    side = tile_side([files[str(name)] for name in ids[kept]])
    lost = (f"{int((~kept).sum())} of {len(ids)} tiles have no picture and were left out",) if not kept.all() else ()
    spare = len(set(files) - set(ids.tolist()))
    more = (f"{spare} pictures have no row in the table",) if spare else ()
    return folder, None, float(side), None, kept, (*lost, *more)
