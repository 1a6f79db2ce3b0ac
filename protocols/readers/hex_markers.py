"""The 40 markers of HEX's channels, in their order: ``mean_intensity_channel1`` is DAPI.

Source: HEX's release (github.com/lilab-stanford/HEX, commit 84ca63d), its list of biomarkers.
"""

from __future__ import annotations

HEX_MARKERS = (
    "DAPI", "CD8", "Pan-Cytokeratin", "CD3e", "CD163", "CD20", "CD4", "FAP", "CD138", "CD11c",
    "CD66b", "aSMA", "CD68", "Ki67", "CD31", "Collagen IV", "Granzyme B", "MMP9", "PD-1", "CD44",
    "PD-L1", "E-cadherin", "LAG3", "Mac2/Galectin-3", "FOXP3", "CD14", "EpCAM", "CD21", "CD45", "MPO",
    "TCF-1", "ICOS", "Bcl-2", "HLA-E", "CD45RO", "VISTA", "HIF1A", "CD39", "CD40", "HLA-DR",
)  # fmt: skip
