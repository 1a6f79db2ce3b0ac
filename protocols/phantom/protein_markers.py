"""The forty markers of the protein phantom: who carries each, how much of it morphology shows, how bright it is.

Names and order are those of HEX's channels. The carriers are caricatures of what a pathologist expects, spread over the
twelve cell types of :mod:`protocols.phantom.cell_types`; they are not measurements.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from protocols.phantom.cell_types import CELL_TYPES, STATES, TYPE_NAMES
from protocols.phantom.protein_settings import ProteinSettings
from protocols.phantom.tissue import Float, Int, standardised
from protocols.seeds import generator

_TUMOUR = ("luminal_tumour", "basal_tumour", "cycling_tumour")
_EPITHELIUM = (*_TUMOUR, "ductal_epithelial")
_LYMPHOID = ("t_cell", "b_cell", "plasma_cell")
_LEUKOCYTE = (*_LYMPHOID, "macrophage")

TABLE: tuple[tuple[str, float, tuple[str, ...]], ...] = (
    ("DAPI", 0.8, ()),
    ("CD8", 0.6, ("t_cell",)),
    ("Pan-Cytokeratin", 0.8, (*_EPITHELIUM, "myoepithelial")),
    ("CD3e", 0.8, ("t_cell",)),
    ("CD163", 0.6, ("macrophage",)),
    ("CD20", 0.8, ("b_cell",)),
    ("CD4", 0.6, ("t_cell", "macrophage")),
    ("FAP", 0.6, ("activated_fibroblast",)),
    ("CD138", 0.8, ("plasma_cell", "ductal_epithelial")),
    ("CD11c", 0.3, ("macrophage",)),
    ("CD66b", 0.3, ("macrophage", "endothelial")),
    ("aSMA", 0.8, ("myoepithelial", "activated_fibroblast")),
    ("CD68", 0.8, ("macrophage",)),
    ("Ki67", 0.8, ("cycling_tumour",)),
    ("CD31", 0.8, ("endothelial",)),
    ("Collagen IV", 0.6, ("endothelial", "fibroblast")),
    ("Granzyme B", 0.3, ("t_cell",)),
    ("MMP9", 0.3, ("macrophage", "activated_fibroblast")),
    ("PD-1", 0.3, ("t_cell",)),
    ("CD44", 0.3, ("basal_tumour", "t_cell", "fibroblast")),
    ("PD-L1", 0.0, ()),
    ("E-cadherin", 0.8, _EPITHELIUM),
    ("LAG3", 0.0, ()),
    ("Mac2/Galectin-3", 0.6, ("macrophage", "luminal_tumour")),
    ("FOXP3", 0.0, ()),
    ("CD14", 0.6, ("macrophage",)),
    ("EpCAM", 0.8, _EPITHELIUM),
    ("CD21", 0.6, ("b_cell",)),
    ("CD45", 0.8, _LEUKOCYTE),
    ("MPO", 0.3, ("macrophage", "endothelial")),
    ("TCF-1", 0.0, ()),
    ("ICOS", 0.0, ()),
    ("Bcl-2", 0.3, _LYMPHOID),
    ("HLA-E", 0.0, ()),
    ("CD45RO", 0.6, ("t_cell", "macrophage")),
    ("VISTA", 0.0, ()),
    ("HIF1A", 0.0, ()),
    ("CD39", 0.0, ()),
    ("CD40", 0.0, ()),
    ("HLA-DR", 0.6, ("b_cell", "macrophage")),
)
"""Marker, visible share, carriers. A marker that is visible and has no carrier (DAPI) follows each type's darkness."""

MARKERS = tuple(name for name, _, _ in TABLE)
TYPE_WEIGHT = 0.85
"""Share of the visible variance that the cell's type makes; its states make the rest."""


@dataclass(frozen=True)
class MarkerLaw:
    """What is fixed about a marker: its brightness (share of the 8-bit range), background and SD of the log-level.

    ``by_type``: ``(types,)``, mean 0 and variance 1 over equal types; ``by_state``: ``(states,)``, a unit vector.
    """

    name: str
    visible_share: float
    amplitude: float
    brightness: float
    background: float
    by_type: Float
    by_state: Float

    def visible(self, kind: Int, states: Float) -> Float:
        """Log-level of each cell, ``(n,)``, that its type and states say; its variance is ``share * amplitude²``."""
        score = np.sqrt(TYPE_WEIGHT) * self.by_type[kind] + np.sqrt(1 - TYPE_WEIGHT) * (states @ self.by_state)
        return np.asarray(self.amplitude * np.sqrt(self.visible_share) * score)

    @property
    def hidden_sd(self) -> float:
        """SD of the part of the log-level that nothing visible says."""
        return float(self.amplitude * np.sqrt(1 - self.visible_share))


def marker_laws(settings: ProteinSettings, seed: int) -> tuple[MarkerLaw, ...]:
    """The law of every marker, in HEX's order; the same for all slides and cohorts of a seed."""
    laws = []
    for name, share, carriers in TABLE:
        rng = generator(seed, "protein", name)
        carried = np.array([float(kind in carriers) for kind in TYPE_NAMES])
        direction = rng.standard_normal(len(STATES))
        laws.append(
            MarkerLaw(
                name=name,
                visible_share=share,
                amplitude=float(rng.uniform(*settings.amplitude)),
                brightness=float(rng.uniform(*settings.brightness)),
                background=float(rng.uniform(*settings.background)),
                by_type=standardised(carried if carriers else np.array([kind.density for kind in CELL_TYPES])),
                by_state=direction / np.sqrt((direction**2).sum()),
            )
        )
    return tuple(laws)
