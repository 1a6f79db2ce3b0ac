"""A bulk-expression phantom small enough to make in a test: a cancer, an external cohort, tissues, one section."""

from __future__ import annotations

from dataclasses import replace

from protocols.phantom.bulk_settings import MINI_BULK, BulkSettings
from protocols.phantom.tcga_settings import MINI_TCGA

SLIDE_PX, SECTION_PX = 160, 480

TINY_BULK: BulkSettings = replace(
    MINI_BULK,
    profile="tiny",
    tcga=replace(
        MINI_TCGA,
        cohorts=(("brca", 12),),
        second_slide=0.2,
        slide=replace(MINI_TCGA.slide, image_px=SLIDE_PX, tile_px=SLIDE_PX),
    ),
    shared=(),
    own=(("gbm", 25),),
    external=(("cptac_gbm", "gbm", 8),),
    normal=(("brain", 4), ("lung", 4), ("breast", 2)),
    sections=1,
    section=replace(MINI_BULK.section, image_px=SECTION_PX),
    module_genes=3,
    coding_genes=18,
    lnc_genes=2,
    mi_genes=2,
    silent_genes=2,
)
