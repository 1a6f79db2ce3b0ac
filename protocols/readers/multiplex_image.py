"""A multiplex image and its H&E of one frame: the means of every channel over a lattice of tiles that are tissue."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from protocols.errors import UserError, did_you_mean
from protocols.expression.cohort import SlideData, SlideEntry
from protocols.images.channel_means import ChannelMeans, channel_means, plane_size
from protocols.images.image import open_image
from protocols.images.tissue_tiles import tile_slide
from protocols.readers import checks
from protocols.readers.assemble import build_protein_slide
from protocols.readers.cell_layouts import NO_MARKER
from protocols.readers.options import option_names

TILE_UM = 56.0
"""HEX's tile: 224 px at 0.25 µm."""
SAME_FRAME = 0.01
"""How far the two axes' ratios of sizes may differ before the images cannot be of one frame."""
ALL_TILES = 1 << 40


def read(entry: SlideEntry, root: Path) -> SlideData:
    """One pair. The images must be registered: the same frame, at the same or another resolution.

    Options: ``tile_um`` (56), ``tissue`` (a rule of :mod:`protocols.images.tissue_tiles`, of the H&E; saturation),
    ``mpp`` of the H&E (else its own), ``markers``: channels by name; or, where the file names none, all in order.
    """
    codex = checks.require_file(root / entry.files["codex"], "codex")
    image = checks.require_file(root / entry.files["image"], "image")
    with open_image(image) as slide:
        size, own = (slide.width, slide.height), slide.mpp
    um = checks.option_number(entry, "tile_um", TILE_UM) or TILE_UM
    rule = entry.options.get("tissue", "") or "saturation"
    mpp = checks.option_number(entry, "mpp", own)
    plane = plane_size(codex)
    ratio = (plane[0] / size[0], plane[1] / size[1])
    if abs(ratio[0] / ratio[1] - 1) > SAME_FRAME:
        raise UserError(
            f"{plane[0]} × {plane[1]} px, and its H&E {size[0]} × {size[1]}", where=codex,
            expected="two images of one frame", remedy="register them, and write both over the same frame",
        )  # fmt: skip
    tiles = tile_slide(image, um=um, tissue=rule, max_tiles=ALL_TILES, seed=0, mpp=mpp)
    side = um / tiles.mpp
    columns, rows = int(size[0] / side), int(size[1] / side)
    found = channel_means(codex, (side * ratio[0], side * ratio[1]), columns, rows)
    at = np.floor(tiles.centres / side).astype(np.int64)
    names, chosen, told = _chosen(found, option_names(entry, "markers", root), codex)
    return build_protein_slide(
        entry,
        unit="tile",
        image=image,
        size=size,
        mpp=tiles.mpp,
        ids=np.array([f"{entry.slide}_{row * columns + column}" for column, row in at.tolist()], str),
        xy_px=tiles.centres,
        names=names,
        intensities=found.means[at[:, 1], at[:, 0]][:, chosen],
        where=codex,
        notes=(
            f"means of {found.dtype} channels over {tiles.tissue} of {tiles.seen} tiles of {um:g} µm ({rule})",
            *told,
        ),
    )


def _chosen(
    found: ChannelMeans, asked: tuple[str, ...], path: Path
) -> tuple[tuple[str, ...], list[int], tuple[str, ...]]:
    """``(names, channels, notes)``."""
    names = found.names
    if not any(names):
        if len(asked) != len(names):
            raise UserError(
                f"{len(names)} channels without names, {len(asked)} in the option markers", where=path,
                expected="a name for every channel", remedy="name all of them, in order",
            )  # fmt: skip
        return asked, list(range(len(names))), ("the file does not name its channels: the manifest does",)
    for one in asked:
        if names.count(one) != 1:
            raise UserError(
                f"{names.count(one)} channels are called {one!r}", where=path, expected="one",
                remedy=did_you_mean(one, names),
            )  # fmt: skip
    if asked:
        return asked, [names.index(one) for one in asked], ()
    kept = [channel for channel, name in enumerate(names) if not NO_MARKER.fullmatch(name)]
    out = [name for name in names if NO_MARKER.fullmatch(name)]
    if not kept:
        raise UserError(
            f"channels are {', '.join(names)}", where=path, expected="a marker among them",
            remedy="name those wanted in the option markers",
        )  # fmt: skip
    told = (f"nuclear stains and empty channels are left out: {', '.join(out)}",) if out else ()
    return tuple(names[channel] for channel in kept), kept, told
