"""The law of the counts: moments, independence of what is hidden, and the oracle against brute force."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from protocols.phantom.cell_types import CELL_TYPES, RARE, STATES, TYPE_NAMES
from protocols.phantom.expression import SlideLaw, slide_law, visible_part
from protocols.phantom.expression import gene_law as law_of
from protocols.phantom.genes import design_panels
from protocols.phantom.oracle import QUANTUM, expected_target, oracle_prediction, pearson, reachable_r
from protocols.phantom.tissue import Float, SlideName, Tissue, make_tissue
from protocols.seeds import generator
from tests.protocols.phantom.tiny import SEED, TINY, read_counts

NAME = SlideName("breast", "breast-p1", "breast-p1-s1")


@pytest.fixture(scope="module")
def tissue() -> Tissue:
    return make_tissue(TINY, SEED, NAME)


@pytest.fixture(scope="module")
def law(tissue: Tissue) -> SlideLaw:
    return slide_law(TINY, SEED, tissue, design_panels(TINY, SEED).of_cancer["breast"])


def log_normalised(counts: np.ndarray) -> Float:  # type: ignore[type-arg]
    return np.log1p(1e4 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))


def looks(tissue: Tissue) -> Float:
    """Everything visible, as columns: states and cell types."""
    kinds = np.eye(len(TYPE_NAMES))[tissue.kind]
    return np.column_stack([tissue.states, kinds[:, kinds.any(axis=0)]])


def test_rates_of_visible_and_of_hidden_genes_sum_to_constants(law: SlideLaw) -> None:
    programs = np.random.default_rng(0).standard_normal((len(law.visible), law.hidden.shape[0]))
    p = law.proportions(programs)
    np.testing.assert_allclose(p.sum(axis=1), 1.0)
    np.testing.assert_allclose(p[:, law.share > 0].sum(axis=1), law.visible_total)
    assert 0 < law.visible_total < 1


def test_visible_share_is_the_stated_share_of_the_log_rates_variance(law: SlideLaw) -> None:
    seen = law.visible.var(axis=0)
    hidden = (law.hidden**2).sum(axis=0)
    np.testing.assert_allclose(seen / (seen + hidden), law.share, atol=1e-9)
    assert set(law.share) <= set(TINY.visible_shares)
    low, high = TINY.amplitude
    assert ((np.sqrt(seen + hidden) >= low) & (np.sqrt(seen + hidden) <= high)).all()


def test_counts_are_negative_binomial_with_the_stated_mean_and_dispersion(law: SlideLaw) -> None:
    one = replace(
        law, visible=np.repeat(law.visible[:1], 20_000, axis=0), hidden=np.zeros_like(law.hidden), depth_cell_sd=0.0
    )
    counts = one.draw(np.random.default_rng(1)).astype(float)
    mean = law.depth * one.proportions(np.zeros((1, law.hidden.shape[0])), slice(0, 1))[0]
    np.testing.assert_allclose(counts.mean(axis=0), mean, rtol=0.06, atol=0.02)
    high = mean > 1
    factor = counts.var(axis=0)[high] / counts.mean(axis=0)[high]
    np.testing.assert_allclose(factor, 1 + TINY.overdispersion, rtol=0.06)
    # The total is negative binomial too, with the same factor: gamma variables of one scale add up.
    total = counts.sum(axis=1)
    assert total.mean() == pytest.approx(law.depth, rel=0.01)
    assert total.var() / total.mean() == pytest.approx(1 + TINY.overdispersion, rel=0.05)
    # And the whole distribution of one gene, not its moments only.
    gene = int(np.argmax(mean))
    grid = np.arange(int(mean[gene]) + 4)
    cdf = stats.nbinom.cdf(grid, mean[gene] / 0.5, 1 / 1.5)
    seen = (counts[:, gene][:, None] <= grid).mean(axis=0)
    np.testing.assert_allclose(seen, cdf, atol=0.015)


def test_library_size_says_nothing_of_morphology(law: SlideLaw, tissue: Tissue) -> None:
    rng = np.random.default_rng(2)
    totals = np.stack([law.draw(rng).sum(axis=1) for _ in range(40)]).mean(axis=0)
    r = pearson(looks(tissue), np.repeat(totals[:, None], looks(tissue).shape[1], axis=1))
    assert np.nanmax(np.abs(r)) < 4.5 / np.sqrt(len(tissue))


def test_genes_without_a_visible_share_follow_nothing_visible(law: SlideLaw, tissue: Tissue) -> None:
    """Mean over 60 replicates of r with every state and type: its deviation is 1 / sqrt(60 n)."""
    hidden = np.flatnonzero(law.share == 0)
    assert len(hidden) >= 3
    rng = np.random.default_rng(3)
    seen, replicates = looks(tissue), 60
    total = np.zeros((len(hidden), seen.shape[1]))
    for _ in range(replicates):
        y = log_normalised(law.draw(rng))
        for k, gene in enumerate(hidden):
            total[k] += pearson(np.repeat(y[:, [gene]], seen.shape[1], axis=1), seen)
    z = total / replicates * np.sqrt(replicates * len(tissue))
    assert np.abs(z).max() < 4.5
    assert np.sqrt((z**2).mean()) < 1.3


def test_planted_fault_without_closure_a_hidden_gene_follows_morphology(law: SlideLaw, tissue: Tissue) -> None:
    """The test above can fail: let the visible genes' rates go unscaled, and the total betrays the state."""
    rng = np.random.default_rng(3)
    hidden = np.flatnonzero(law.share == 0)
    rate = np.exp(law.visible + rng.standard_normal((len(tissue), law.hidden.shape[0])) @ law.hidden)
    counts = rng.poisson(law.depth * rate / rate.sum(axis=1).mean())
    y = log_normalised(counts)[:, hidden].mean(axis=1)
    assert abs(np.corrcoef(y, rate[:, law.share > 0].sum(axis=1))[0, 1]) > 0.2


def test_expected_target_agrees_with_sampling(law: SlideLaw) -> None:
    p = np.array([0.0005, 0.005, 0.02, 0.1, 0.3])
    rng = np.random.default_rng(4)
    n = 200_000
    library = law.depth * np.exp(law.depth_cell_sd * rng.standard_normal(n))
    for value, expected in zip(p, expected_target(law, p), strict=True):
        c = rng.poisson(0.5 * rng.standard_gamma(library * value / 0.5))
        rest = rng.poisson(0.5 * rng.standard_gamma(library * (1 - value) / 0.5))
        y = np.log1p(1e4 * c / np.maximum(c + rest, 1))
        assert expected == pytest.approx(y.mean(), abs=4 * y.std() / np.sqrt(n) + 0.002)


def test_oracle_is_the_mean_over_replicates(law: SlideLaw) -> None:
    """Brute force: 150 replicates of all counts, nothing integrated; their mean must scatter around the oracle."""
    oracle = oracle_prediction(law, TINY, SEED, NAME)
    rng, replicates = np.random.default_rng(5), 150
    total, square = np.zeros_like(oracle), np.zeros_like(oracle)
    for _ in range(replicates):
        y = log_normalised(law.draw(rng))
        total += y
        square += y**2
    mean = total / replicates
    error = np.sqrt((square / replicates - mean**2) / replicates + QUANTUM**2)
    z = (mean - oracle) / error
    seen = law.share > 0
    assert 0.85 < z[:, seen].std() < 1.25
    assert np.abs(z[:, seen].mean(axis=0)).max() < 0.6
    # A gene without a visible share is predicted by a constant.
    assert (np.ptp(oracle[:, ~seen], axis=0) == 0).all()


def test_reachable_r_is_met_by_the_written_counts(cohort: Path) -> None:
    """Per gene the sampling error of r on n cells is (1 - r^2) / sqrt(n); the pooled mean is tighter."""
    truth = pd.read_parquet(cohort / "truth" / "genes.parquet")
    z, gap = [], []
    for slide, rows in truth.groupby("slide"):
        counts, genes, _, _ = read_counts(cohort / "xenium" / str(slide))
        oracle = pd.read_parquet(cohort / "truth" / "oracle" / f"{slide}.parquet")[genes].to_numpy(float)
        stated = rows.set_index("gene").reachable_r.reindex(genes).to_numpy()
        share = rows.set_index("gene").visible_share.reindex(genes).to_numpy()
        assert (stated[share == 0] == 0).all()
        measured = pearson(oracle, log_normalised(counts))
        assert np.isnan(measured[share == 0]).all()
        seen = share > 0
        z.append((measured - stated)[seen] * np.sqrt(len(counts)) / (1 - stated[seen] ** 2))
        gap.append((measured - stated)[seen].mean())
    flat = np.concatenate(z)
    assert np.abs(flat).max() < 4.5
    assert 0.7 < flat.std() < 1.3
    assert abs(np.mean(gap)) < 0.02


def test_reachable_r_does_not_use_the_written_counts(law: SlideLaw) -> None:
    oracle = oracle_prediction(law, TINY, SEED, NAME)
    stated = reachable_r(law, oracle, TINY, SEED, NAME)
    again = reachable_r(replace(law, depth=law.depth * 3), oracle, TINY, SEED, NAME)
    assert (again[law.share > 0] > stated[law.share > 0]).mean() > 0.9  # deeper counts, less noise


def test_the_rare_type_is_rare_and_marked_by_acta2(cohort: Path) -> None:
    markers = CELL_TYPES[TYPE_NAMES.index(RARE)].markers
    assert markers[0] == "ACTA2"
    for path in sorted((cohort / "truth" / "cells").iterdir()):
        kinds = pd.read_parquet(path).cell_type
        assert 0.02 <= (kinds == RARE).mean() <= 0.08
        counts, genes, _, _ = read_counts(cohort / "xenium" / path.stem)
        y = log_normalised(counts)[:, genes.index("ACTA2")]
        assert y[kinds == RARE].mean() > 2 * y[kinds != RARE].mean()


def test_loadings_are_shared_most_within_a_patient_least_between_cancers() -> None:
    """The same cells, relabelled: what a gene makes of them must agree less from patient to cancer."""
    base = make_tissue(TINY, SEED, NAME)
    genes = [g for g in design_panels(TINY, SEED).pool if not law_of(TINY, SEED, g).marker_of][:30]

    def parts(name: SlideName) -> list[Float]:
        return [visible_part(TINY, SEED, replace(base, name=name), g, law_of(TINY, SEED, g)) for g in genes]

    own = parts(NAME)

    def agreement(name: SlideName) -> float:
        return float(np.mean([a @ b / len(a) for a, b in zip(own, parts(name), strict=True)]))

    patient = agreement(SlideName("breast", "breast-p2", "breast-p2-s1"))
    cancer = agreement(SlideName("lung", "lung-p1", "lung-p1-s1"))
    assert agreement(replace(NAME, slide="breast-p1-s2")) == pytest.approx(1.0)
    assert 0.5 < patient < 0.95
    assert cancer < patient - 0.15


def test_states_have_mean_zero_and_unit_variance(tissue: Tissue) -> None:
    assert tissue.states.shape == (len(tissue), len(STATES))
    np.testing.assert_allclose(tissue.states.mean(axis=0), 0, atol=0.05)
    np.testing.assert_allclose(tissue.states.std(axis=0), 1, atol=0.05)
    assert generator(SEED, "a").random() != generator(SEED, "b").random()
