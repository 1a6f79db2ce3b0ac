"""Cells of CyCIF, CODEX, Orion and mIF with their H&E: a table or an AnnData, and the image it counts pixels of."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from protocols.expression.cohort import SlideData, SlideEntry, Unit
from protocols.images.image import open_image
from protocols.readers import checks
from protocols.readers.assemble import agreed_mpp, build_protein_slide
from protocols.readers.cell_layouts import XyUnit
from protocols.readers.cell_table import CellTable, read_cell_table
from protocols.readers.options import option_names
from protocols.readers.protein_h5ad import read_protein_h5ad


def read_table(entry: SlideEntry, root: Path) -> SlideData:
    """One table with its H&E. Options: those of :func:`read_cell_table`; ``xy_unit`` px or um; ``mpp``; ``unit``.

    µm are divided by the image's mpp (the option, else its own): they count from its upper left corner.
    """
    path = root / entry.files["table"]
    table = read_cell_table(
        path,
        id_column=entry.options.get("id_column", ""),
        x_column=entry.options.get("x_column", ""),
        y_column=entry.options.get("y_column", ""),
        xy_unit=_xy_unit(entry),
        markers=option_names(entry, "markers", root),
        cell_type_column=entry.options.get("cell_type_column", ""),
    )
    return _with_image(entry, root, table, path)


def read_h5ad(entry: SlideEntry, root: Path) -> SlideData:
    """One AnnData with its H&E. Options: those of :func:`read_protein_h5ad`; ``xy_unit``, ``mpp``, ``unit``."""
    path = root / entry.files["h5ad"]
    table = read_protein_h5ad(
        path,
        layer=entry.options.get("layer", ""),
        x_column=entry.options.get("x_column", ""),
        y_column=entry.options.get("y_column", ""),
        xy_unit=_xy_unit(entry) or "px",
        markers=option_names(entry, "markers", root),
        cell_type_column=entry.options.get("cell_type_column", ""),
    )
    return _with_image(entry, root, table, path)


def _xy_unit(entry: SlideEntry) -> XyUnit | None:
    return cast(XyUnit, checks.option_choice(entry, "xy_unit", ("px", "um"))) if "xy_unit" in entry.options else None


def _with_image(entry: SlideEntry, root: Path, table: CellTable, where: Path) -> SlideData:
    """A table's cells on the image that the manifest names."""
    image = checks.require_file(root / entry.files["image"], "image")
    with open_image(image) as slide:
        size, own = (slide.width, slide.height), slide.mpp
    mpp = checks.option_number(entry, "mpp", own)
    differ = () if mpp is None else agreed_mpp(mpp, own, given_by="the manifest", measured_by="the image")
    return build_protein_slide(
        entry,
        unit=cast(Unit, checks.option_choice(entry, "unit", ("cell", "spot", "tile"))),
        image=image,
        size=size,
        mpp=mpp,
        ids=table.ids,
        xy_px=table.xy / mpp if table.unit == "um" and mpp else table.xy,
        names=table.markers,
        intensities=table.intensities,
        cell_type=table.cell_type,
        where=where,
        notes=(*table.notes, *differ),
        span=table.span,
    )
