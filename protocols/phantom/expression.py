"""Counts of one slide's cells, and the law they are drawn from.

For gene g and cell i, before closure::

    l_ig = base_g + platform_sg + a_g ( sqrt(v_g) zvis_ig + sqrt(1 - v_g) zhid_ig )

``zvis`` and ``zhid`` have variance 1 over the slide's cells and are independent: ``v_g`` is the share of the
log-rate's variance that morphology shows. Closure: genes with ``v > 0`` are scaled per cell so that
they add up to a constant share of the library, genes with ``v = 0`` to the rest::

    p_ig = S_vis exp(l_ig) / sum_{h: v_h > 0} exp(l_ih)      (v_g > 0;  likewise with S_hid for v_g = 0)

Counts are negative binomial with variance linear in the mean, ``c_ig ~ Poisson(Gamma(L_i p_ig / theta, theta))``,
``Var = L p (1 + theta)``. Gamma variables of one scale add up to a gamma variable whose shape depends on the sum of
their shapes only; so, given the library size L, the total of all counts and each count of a ``v = 0`` gene are
exactly independent of what is visible.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols.phantom.cell_types import CELL_TYPES, STATES
from protocols.phantom.genes import CORE_FIRST
from protocols.phantom.settings import PhantomSettings
from protocols.phantom.tissue import Float, SlideName, Tissue, standardised
from protocols.seeds import generator

MARKER_LIFT = 3.0
MORPHOLOGY_SHARE = 0.8
"""Share of a type loading that follows the types' appearance (larger nuclei, more of the gene), not type alone."""


@dataclass(frozen=True)
class GeneLaw:
    """What is fixed about a gene in the whole cohort. ``hidden`` is its unit vector over hidden programs."""

    visible_share: float
    amplitude: float
    base: float
    type_weight: float
    marker_of: tuple[int, ...]
    hidden: Float


@dataclass(frozen=True)
class SlideLaw:
    """The law of one slide's counts given what is visible. Arrays over genes are in panel order.

    ``visible``: ``(n, g)`` base + platform + a sqrt(v) zvis; ``hidden``: ``(k, g)`` a sqrt(1 - v) times the gene's
    unit vector, so that a draw of ``k`` standard normal programs completes the log-rate.
    """

    genes: tuple[str, ...]
    share: Float
    visible: Float
    hidden: Float
    visible_total: float
    depth: float
    depth_cell_sd: float
    theta: float

    def proportions(self, programs: Float, cells: slice = slice(None)) -> Float:
        """p for hidden programs ``(n, k)`` of the given cells; rows sum to 1."""
        rate = np.exp(self.visible[cells] + programs @ self.hidden)
        seen = self.share > 0
        out = np.empty_like(rate)
        for mask, total in ((seen, self.visible_total), (~seen, 1.0 - self.visible_total)):
            out[:, mask] = rate[:, mask] * (total / rate[:, mask].sum(axis=1, keepdims=True))
        return out

    def draw(self, rng: np.random.Generator) -> NDArray[np.int32]:
        """One replicate of all cells' counts: new hidden programs, library sizes and sampling noise."""
        cells = len(self.visible)
        p = self.proportions(rng.standard_normal((cells, self.hidden.shape[0])))
        library = self.depth * np.exp(self.depth_cell_sd * rng.standard_normal(cells))
        rate = self.theta * rng.standard_gamma(library[:, None] * p / self.theta)
        return rng.poisson(rate).astype(np.int32)


def gene_law(settings: PhantomSettings, seed: int, gene: str) -> GeneLaw:
    rng = generator(seed, "gene", gene)
    marker_of = tuple(i for i, kind in enumerate(CELL_TYPES) if gene in kind.markers)
    shares, weights = np.array(settings.visible_shares), np.array(settings.visible_share_weights)
    if gene in CORE_FIRST:
        # A marker is one because morphology's cell types show in it.
        weights = np.where(shares >= 0.8, weights, 0.0) if (shares >= 0.8).any() else weights
    share = float(rng.choice(shares, p=weights / weights.sum()))
    hidden = rng.standard_normal(settings.hidden_programs)
    return GeneLaw(
        visible_share=share,
        amplitude=float(rng.uniform(*settings.amplitude)),
        base=float(settings.base_sd * rng.standard_normal()),
        type_weight=0.85 if marker_of else float(rng.uniform(0.35, 0.75)),
        marker_of=marker_of,
        hidden=hidden / np.sqrt((hidden**2).sum()),
    )


def _appearance() -> Float:
    """``(types, 4)`` standardised size, elongation, chromatin texture and eosin of each type: the order of STATES."""
    table = [[np.log(k.radius), np.log(k.ratio), k.contrast * k.clumps, k.eosin] for k in CELL_TYPES]
    return standardised(np.array(table))


def _loadings(seed: int, gene: str, *level: str) -> tuple[Float, Float]:
    """Type loading ``(types,)`` and state loading ``(states,)`` of one gene at one level, each of variance near 1.

    One coefficient per visible trait serves types and states: a gene that is high in types with large nuclei is also
    high in the larger nuclei of one type.
    """
    rng = generator(seed, "loading", gene, *level)
    looks = _appearance()
    traits = rng.standard_normal(looks.shape[1]) / np.sqrt(looks.shape[1])
    own = rng.standard_normal(len(CELL_TYPES))
    return np.sqrt(MORPHOLOGY_SHARE) * looks @ traits + np.sqrt(1 - MORPHOLOGY_SHARE) * own, traits


def visible_part(settings: PhantomSettings, seed: int, tissue: Tissue, gene: str, law: GeneLaw) -> Float:
    """zvis of one gene, ``(n,)``: what the cells' types and states say, mean 0 and variance 1 over the slide."""
    name = tissue.name
    levels = ((), ("cancer", name.cancer), ("patient", name.patient))
    shares = settings.marker_shares if law.marker_of else settings.loading_shares
    kinds, states = np.zeros(len(CELL_TYPES)), np.zeros(len(STATES))
    for share, level in zip(shares, levels, strict=True):
        of_kind, of_state = _loadings(seed, gene, *level)
        if law.marker_of and not level:
            of_kind = 0.25 * of_kind
            of_kind[list(law.marker_of)] += MARKER_LIFT
        kinds += np.sqrt(share) * of_kind
        states += np.sqrt(share) * of_state
    by_kind = standardised(kinds[tissue.kind])
    by_state = standardised(tissue.states @ states)
    return standardised(np.sqrt(law.type_weight) * by_kind + np.sqrt(1 - law.type_weight) * by_state)


def slide_law(settings: PhantomSettings, seed: int, tissue: Tissue, genes: tuple[str, ...]) -> SlideLaw:
    """The law of one slide's counts for its panel."""
    name = tissue.name
    laws = [gene_law(settings, seed, gene) for gene in genes]
    share = np.array([law.visible_share for law in laws])
    # Named by gene, so that a gene's platform effect does not depend on which others are measured.
    platform = np.array([generator(seed, "platform", name.slide, gene).standard_normal() for gene in genes])
    level = np.array([law.base for law in laws]) + settings.platform_sd * platform
    visible = np.stack(
        [
            level[j] + law.amplitude * np.sqrt(law.visible_share) * visible_part(settings, seed, tissue, genes[j], law)
            for j, law in enumerate(laws)
        ],
        axis=1,
    )
    hidden = np.stack([law.amplitude * np.sqrt(1 - law.visible_share) * law.hidden for law in laws], axis=1)
    depth = settings.depth_median * np.exp(
        settings.depth_slide_sd * generator(seed, "depth", name.slide).standard_normal()
    )
    return SlideLaw(
        genes=genes,
        share=share,
        visible=visible,
        hidden=hidden,
        visible_total=float(np.exp(level[share > 0]).sum() / np.exp(level).sum()),
        depth=float(depth),
        depth_cell_sd=settings.depth_cell_sd,
        theta=settings.overdispersion,
    )


def draw_counts(law: SlideLaw, seed: int, name: SlideName) -> NDArray[np.int32]:
    """The counts that are written for a slide, ``(n, g)``."""
    return law.draw(generator(seed, "counts", name.slide))
