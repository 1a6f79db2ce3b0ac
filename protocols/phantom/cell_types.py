"""The cell types of the phantom: how each looks, where it lives, and which genes mark it.

Sizes and textures are caricatures of what a pathologist sees, chosen so that types overlap in colour
and differ in nuclear size, shape and texture; they are not measurements.
"""

from __future__ import annotations

from dataclasses import dataclass

NICHES = ("tumour", "duct", "stroma", "immune", "vascular")


@dataclass(frozen=True)
class CellType:
    """Appearance at the mean state. ``niches``: relative frequency in each of :data:`NICHES`.

    ``radius``: equivalent nuclear radius, µm; ``ratio``: long over short nuclear axis; ``density``: mean
    haematoxylin of the nucleus; ``contrast``: strength of its chromatin texture; ``clumps``: share of that
    texture that is coarse; ``eosin``, ``basophilia``: cytoplasmic eosin and haematoxylin; ``reach``:
    cytoplasmic radius over nuclear radius; ``oriented``: 1 if the cell lies along the fibres.
    """

    name: str
    radius: float
    ratio: float
    density: float
    contrast: float
    clumps: float
    eosin: float
    basophilia: float
    reach: float
    oriented: float
    niches: tuple[float, float, float, float, float]
    markers: tuple[str, ...]


RARE = "myoepithelial"

CELL_TYPES: tuple[CellType, ...] = (
    CellType("luminal_tumour", 4.3, 1.15, 0.62, 0.55, 0.80, 0.50, 0.10, 1.9, 0, (10, 2, 0.2, 0.3, 0.2),
             ("FOXA1", "ESR1", "GATA3", "KRT8", "EPCAM")),
    CellType("basal_tumour", 4.0, 1.40, 0.78, 0.50, 0.30, 0.56, 0.16, 1.7, 0, (5, 1, 0.2, 0.3, 0.2),
             ("KRT5", "KRT14", "EGFR", "EPCAM")),
    CellType("cycling_tumour", 4.8, 1.10, 0.74, 0.80, 0.95, 0.46, 0.14, 1.6, 0, (2.5, 0.3, 0.1, 0.1, 0.1),
             ("MKI67", "TOP2A", "EPCAM")),
    CellType("ductal_epithelial", 3.3, 1.35, 0.85, 0.30, 0.30, 0.60, 0.06, 2.1, 0, (0.5, 9, 0.3, 0.2, 0.2),
             ("EPCAM", "KRT18", "CDH1")),
    CellType(RARE, 2.5, 2.6, 1.05, 0.25, 0.20, 0.80, 0.02, 2.0, 1, (0, 0, 0, 0, 0),
             ("ACTA2", "MYH11", "KRT14", "TP63")),
    CellType("fibroblast", 2.5, 3.2, 0.92, 0.30, 0.25, 0.70, 0.02, 2.2, 1, (0.6, 0.8, 9, 1, 2),
             ("COL1A1", "DCN", "LUM")),
    CellType("activated_fibroblast", 3.2, 2.2, 0.66, 0.45, 0.55, 0.66, 0.05, 2.1, 1, (0.6, 0.6, 4, 0.6, 1),
             ("FAP", "POSTN", "COL1A1")),
    CellType("endothelial", 2.6, 2.4, 0.82, 0.35, 0.30, 0.52, 0.03, 1.7, 1, (0.3, 0.3, 1, 0.5, 8),
             ("PECAM1", "VWF", "KDR")),
    CellType("t_cell", 2.5, 1.06, 1.12, 0.35, 0.55, 0.30, 0.05, 1.3, 0, (0.6, 0.5, 0.8, 8, 1),
             ("CD3E", "CD8A", "NKG7")),
    CellType("b_cell", 2.7, 1.04, 1.00, 0.55, 0.85, 0.28, 0.08, 1.3, 0, (0.1, 0.2, 0.3, 5, 0.4),
             ("MS4A1", "CD79A", "CD19")),
    CellType("plasma_cell", 2.9, 1.10, 0.98, 0.75, 0.98, 0.42, 0.30, 2.0, 0, (0.1, 0.3, 0.6, 2, 0.6),
             ("MZB1", "XBP1")),
    CellType("macrophage", 3.4, 1.45, 0.64, 0.40, 0.45, 0.44, 0.06, 2.4, 0, (0.7, 0.4, 1.2, 1.5, 1.2),
             ("CD68", "CD163", "LYZ")),
)  # fmt: skip

TYPE_NAMES = tuple(kind.name for kind in CELL_TYPES)

STATES = ("nuclear_size", "elongation", "chromatin", "eosin")
"""Continuous visible states of a cell; each has mean 0 and variance 1 over a slide's cells."""
