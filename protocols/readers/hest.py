"""HEST-1k's layout: ``st/<id>.h5ad`` with ``patches/<id>.h5`` (crops cut already) or the whole image."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from protocols.errors import UserError
from protocols.expression.cohort import SlideData, SlideEntry, Unit
from protocols.images.image import open_image
from protocols.images.patches import HEST_UM, match, read_facts
from protocols.readers import checks
from protocols.readers.assemble import build_slide
from protocols.readers.h5ad import AnnotatedCounts, read_annotated

PIXEL_SIZE_KEYS = ("pixel_size_um_estimated", "pixel_size_um_embedded", "pixel_size_um", "mpp")


def read(entry: SlideEntry, root: Path) -> SlideData:
    """One HEST sample; with patches, units without one (outside the tissue) are left out and noted.

    Options: ``mpp`` (else ``uns``, else 112 µm over the patches' level-0 side), ``layer``, ``unit``.
    """
    if ("patches" in entry.files) == ("image" in entry.files):
        raise UserError(
            "patches and image are both given or both missing",
            where=f"slide {entry.slide}",
            expected="one of them",
            remedy="name patches/<id>.h5 or wsis/<id>.tif",
        )
    path = root / entry.files["h5ad"]
    found = read_annotated(path, entry)
    unit = cast(Unit, checks.option_choice(entry, "unit", ("spot", "cell")))
    mpp = checks.option_number(entry, "mpp", _stated_mpp(found.uns))
    if "image" in entry.files:
        image = checks.require_file(root / entry.files["image"], "image")
        with open_image(image) as slide:
            size, mpp = (slide.width, slide.height), slide.mpp if mpp is None else mpp
        return _slide(entry, found, unit, image, size, mpp, np.ones(len(found.ids), bool), path, found.notes)
    patches = checks.require_file(root / entry.files["patches"], "patches")
    facts = read_facts(patches)
    if mpp is None and facts.source_side is not None:
        mpp = HEST_UM / facts.source_side
    kept = np.isin(found.ids, facts.barcodes)
    if mpp is not None and kept.any():
        side = facts.source_side if facts.source_side is not None else HEST_UM / mpp
        owners = match(facts.coords, side / 2, found.xy[kept])
        if owners is None or (facts.barcodes[owners] != found.ids[kept]).any():
            raise UserError(
                "patches are not centred on the units of the same barcode",
                where=patches,
                expected="the patches that were cut for this h5ad",
                remedy="fetch both from one release",
            )
    lost = int((~kept).sum())
    notes = (*found.notes, *((f"{lost} of {len(kept)} {unit}s have no patch and were left out",) if lost else ()))
    return _slide(entry, found, unit, patches, None, mpp, kept, path, notes)


def _slide(
    entry: SlideEntry,
    found: AnnotatedCounts,
    unit: Unit,
    image: Path,
    size: tuple[int, int] | None,
    mpp: float | None,
    kept: Any,
    path: Path,
    notes: tuple[str, ...],
) -> SlideData:
    return build_slide(
        entry,
        unit=unit,
        image=image,
        size=size,
        mpp=mpp,
        ids=found.ids[kept],
        xy_px=found.xy[kept],
        names=found.names,
        counts=found.counts[kept],
        where=path,
        notes=notes,
    )


def _stated_mpp(uns: Mapping[str, Any]) -> float | None:
    """The first pixel size found in ``uns``, at its top or one level down (``uns["metadata"]``)."""
    places = [uns, *(value for value in uns.values() if isinstance(value, Mapping))]
    for key in PIXEL_SIZE_KEYS:
        for place in places:
            if key in place:
                return float(np.asarray(place[key]).reshape(-1)[0])
    return None
