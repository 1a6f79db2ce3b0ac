"""Layouts that tables of cells come in, known by the names of their columns, and which of these columns are markers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

XyUnit = Literal["px", "um"]

NO_MARKER = re.compile(
    r"(dna|dapi|hoechst|bg|background|af|autofluorescence|blank|empty)[ _-]?\d*", flags=re.IGNORECASE
)
"""Nuclear stains and empty channels: they say where a cell is and not what it is. The whole name must match."""
SHAPES = frozenset(
    {
        "area", "perimeter", "majoraxislength", "minoraxislength", "eccentricity", "solidity", "extent",
        "orientation", "equivalentdiameter", "convexarea", "eulernumber", "circularity", "imageid", "slideid",
        "fov", "cellsize", "nucleusarea", "cellarea", "filledarea", "feretdiametermax", "compactness",
        "elongation", "label",
    }
)  # fmt: skip
"""Columns of size, shape and place, in lower case without blanks and underscores (regionprops, MCMICRO, QuPath)."""
CELL_TYPES = ("phenotype", "cell_type", "Classification")
"""Columns of annotation that are taken where nobody names another."""
QUPATH = re.compile(r"(?P<part>Cell|Cytoplasm|Membrane|Nucleus): (?P<marker>.+?):? [Mm]ean")
PARTS = ("Cell", "Cytoplasm", "Membrane", "Nucleus")
"""Compartments of QuPath in order of preference: the first that the table has is taken for every marker."""


@dataclass(frozen=True)
class Layout:
    """Columns of a kind of table; ``ids`` in order of preference, the first that is there."""

    name: str
    x: str
    y: str
    unit: XyUnit
    ids: tuple[str, ...] = ("CellID", "cell_id", "Cell ID", "Object ID", "id")


LAYOUTS = (
    Layout("MCMICRO", "X_centroid", "Y_centroid", "px"),
    Layout("scimap", "X_position", "Y_position", "px"),
    Layout("QuPath", "Centroid X µm", "Centroid Y µm", "um"),
    Layout("QuPath", "Centroid X px", "Centroid Y px", "px"),
    Layout("plain", "x", "y", "px"),
    Layout("plain", "x_um", "y_um", "um"),
)


def known_layout(columns: Sequence[str]) -> Layout | None:
    """The first layout whose columns of position are all there."""
    return next((layout for layout in LAYOUTS if {layout.x, layout.y} <= set(columns)), None)


def like_markers(numbers: Sequence[str], taken: Sequence[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """``({marker: column}, notes)`` of a table's columns of numbers, none of ``taken`` among them.

    Of QuPath the means over one compartment; of every other table each column that is neither a shape nor a nuclear
    stain or empty channel. Whatever is left out is named.
    """
    free = [name for name in numbers if name not in taken]
    means = {name: found for name in free if (found := QUPATH.fullmatch(name))}
    notes: list[str] = []
    if means:
        part = next(part for part in PARTS if any(found["part"] == part for found in means.values()))
        chosen = [(found["marker"].strip(), name) for name, found in means.items() if found["part"] == part]
        notes.append(f"markers are the means over the compartment {part} ({len(chosen)} of {len(free)} columns)")
    else:
        shapes = [name for name in free if _bare(name) in SHAPES or name.startswith(("Centroid", "Unnamed"))]
        chosen = [(name, name) for name in free if name not in shapes]
        if shapes:
            notes.append(f"columns of shape and place are no markers: {', '.join(shapes)}")
    stains = [marker for marker, _ in chosen if NO_MARKER.fullmatch(marker)]
    if stains:
        notes.append(f"nuclear stains and empty channels are left out: {', '.join(stains)}")
    return {marker: name for marker, name in chosen if marker not in stains}, tuple(notes)


def _bare(name: str) -> str:
    return re.sub(r"[ _]", "", name).lower()
