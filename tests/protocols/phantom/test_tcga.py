"""The TCGA-like phantom: stated C-indices, censoring, independence of what must not show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from protocols.errors import UserError
from protocols.metrics.concordance import FoldOutcome, harrell
from protocols.metrics.concordance_influence import mean_concordance
from protocols.metrics.intervals import UNIT, fold_interval
from protocols.phantom.tcga import patients_of, slide_image, slides_of
from protocols.phantom.tcga_patients import (
    censoring_scale,
    draw_factors,
    follow_up,
    log_hazard,
    reachable_concordance,
)
from protocols.phantom.tcga_settings import MINI_TCGA, TcgaSettings, tcga_preset
from protocols.phantom.tcga_tables import gene_laws, genomic_table
from protocols.seeds import generator

SMALL = replace(MINI_TCGA, slide=replace(MINI_TCGA.slide, image_px=96, tile_px=96))


@pytest.fixture(scope="module")
def months() -> float:
    return censoring_scale(MINI_TCGA, 0)


def test_censoring_is_as_stated(months: float) -> None:
    factors = draw_factors(7, "somebody", 40_000)
    time, event = follow_up(MINI_TCGA, np.random.default_rng(0), log_hazard(MINI_TCGA, factors, "all"), months)
    assert 1 - event.mean() == pytest.approx(MINI_TCGA.censored_share, abs=0.01)
    assert time.min() > 0


def test_stated_concordance_holds_on_another_draw(months: float) -> None:
    stated = reachable_concordance(MINI_TCGA, 0, months)
    assert stated["all"]["c_index"] > stated["genome"]["c_index"] > stated["image"]["c_index"] > 0.6
    assert stated["none"]["c_index"] == 0.5
    factors = draw_factors(11, "others", 3000)
    hazard = log_hazard(MINI_TCGA, factors, "all")
    time, event = follow_up(MINI_TCGA, np.random.default_rng(1), hazard, months)
    for knowing in ("all", "image", "genome"):
        outcome = FoldOutcome("f", time, event, log_hazard(MINI_TCGA, factors, knowing))
        values = mean_concordance({"f": ([str(row) for row in range(3000)], outcome)})
        assert values is not None
        found = fold_interval(values, UNIT, least=30, level=0.99)
        assert (found.low or 1) <= stated[knowing]["c_index"] <= (found.high or 0)


def test_without_effect_the_truth_itself_is_at_one_half(months: float) -> None:
    nothing = replace(MINI_TCGA, effect_scale=0.0)
    factors = draw_factors(3, "nobody", 5000)
    assert not log_hazard(nothing, factors, "all").any()
    time, event = follow_up(nothing, np.random.default_rng(0), log_hazard(nothing, factors, "all"), months)
    value = harrell(time, event, log_hazard(MINI_TCGA, factors, "all")).value
    assert value == pytest.approx(0.5, abs=0.015)


def test_the_genome_factor_leaves_no_trace_on_the_slide() -> None:
    factors = draw_factors(0, "brca", 12)
    slide = slides_of(SMALL, 0, "brca", patients_of(SMALL, 0, "brca", 12))[0]
    image = slide_image(SMALL, 0, slide, factors)
    np.testing.assert_array_equal(image, slide_image(SMALL, 0, slide, replace(factors, genome=-5 * factors.genome)))
    for seen in ("image", "shared"):
        moved = slide_image(SMALL, 0, slide, replace(factors, **{seen: getattr(factors, seen) + 2}))
        assert np.abs(moved.astype(int) - image).mean() > 1


def test_the_image_factor_moves_no_gene_and_genes_follow_their_law() -> None:
    factors, laws = draw_factors(0, "virtual", 4000), gene_laws(MINI_TCGA, 0).set_index("gene")
    table = genomic_table(MINI_TCGA, 0, "virtual", factors)
    assert table.equals(genomic_table(MINI_TCGA, 0, "virtual", replace(factors, image=factors.image * 3)))
    for gene, law in laws.iterrows():
        values = table[f"{gene}_rnaseq"]
        for name in ("genome", "shared"):
            expected = law["loading"] if law["follows"] == name else 0.0
            assert np.corrcoef(values, getattr(factors, name))[0, 1] == pytest.approx(expected, abs=0.06)
    assert (laws["visible_share"] > 0).sum() == MINI_TCGA.shared_genes


def test_barcodes_are_unique_over_cohorts() -> None:
    every = [patient for name, n in MINI_TCGA.cohorts for patient in patients_of(MINI_TCGA, 0, name, n)]
    assert len(set(every)) == len(every)
    assert all(len(patient.split("-")) == 3 for patient in every)


def test_slides_are_independent_of_each_other() -> None:
    """A patient's slide is the same whoever else is generated."""
    slide = slides_of(SMALL, 0, "brca", patients_of(SMALL, 0, "brca", 12))[5]
    factors = draw_factors(0, "brca", 12)
    generator(0, "anything").normal(size=100)
    np.testing.assert_array_equal(slide_image(SMALL, 0, slide, factors), slide_image(SMALL, 0, slide, factors))


def test_settings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UserError, match="genome_genes"):
        TcgaSettings(genome_genes=60)
    with pytest.raises(UserError, match="mini"):
        tcga_preset("mni")
