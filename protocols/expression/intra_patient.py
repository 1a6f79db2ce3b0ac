"""Intra-patient: can a model fill in the rest of a slide whose other regions it has seen?"""

from __future__ import annotations

import numpy as np

from protocols.expression.settings import ExpressionSettings, split_settings
from protocols.expression.splits import at_most, choose_genes, clear_of, small_slides, spatial_blocks
from protocols.expression.store import CohortStore, SlideRecord
from protocols.splits import Fold, Split


def intra_patient(store: CohortStore, settings: ExpressionSettings, seed: int) -> Split:
    """One fold a slide and spatial block: test on the block, train on the slide's rest beyond a guard band.

    Folds of a group are the same block number on slides of different patients, so a model may pre-train on
    their union; slides of one patient (often serial sections, which show the same cells) never share a group,
    and a slide of unknown patient has groups of its own.
    """
    chosen = split_settings(settings, seed)
    slides, excluded = small_slides(store, chosen)
    folds = []
    for slide in slides:
        rows = np.arange(slide.start, slide.stop, dtype=np.int64)
        xy_um = store.xy_um[rows]
        block_of = spatial_blocks(xy_um, chosen.blocks)
        for block in range(chosen.blocks):
            test = rows[block_of == block]
            rest = block_of != block
            clear = clear_of(xy_um[rest], xy_um[block_of == block], chosen.crop_um, slide.mpp)
            train = at_most(rows[rest][clear], chosen, slide.slide, block)
            name = f"{slide.slide}/block{block}"
            genes = choose_genes(store, train, set(slide.genes), chosen)
            folds.append(Fold(name, f"block{block}/{_turn(slide, slides)}", train, test, genes))
    return Split(tuple(folds), tuple(excluded))


def _turn(slide: SlideRecord, slides: list[SlideRecord]) -> str:
    """The slide's position among its patient's slides."""
    if slide.patient is None:
        return f"unknown patient of {slide.slide}"
    own = [other.slide for other in slides if other.patient == slide.patient]
    return f"slide{own.index(slide.slide)}"
