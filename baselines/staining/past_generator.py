"""PAST's virtual staining: a generator of which every stage is modulated (FiLM) by PAST's embedding of the patch."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from baselines.staining.parts.answer import MINI_SAVE_EVERY, SOURCE, ImageNetwork, profiled, published
from protocols.contract import Card, Published

if TYPE_CHECKING:
    from baselines.staining.parts.pairs import Plan
    from baselines.training.image_training import Learner


class PASTGenerator(ImageNetwork):
    card: ClassVar[Card] = Card(
        name="past_generator",
        title="PAST generator",
        task="staining",
        summary="U-Net; at each stage x (1 + gamma) + beta, both from the projected embedding of the frozen encoder.",
        paper="PAST, arXiv 2507.06418; code Changchun-Yang/past_sc",
        licence=(
            "code: a badge says AGPL-3.0 but there is no licence file; encoder weights (hub id Boyoungc/PAST) start "
            "from UNI, whose CC-BY-NC-ND-4.0 likely binds them; the generator is ours, BSD-3-Clause"
        ),
        encoder="past",
        training_overlap="public Xenium slides; starts from UNI; the generator: the training fold alone",
        published=(
            *published(25.2, 0.61),
            Published(
                "ihc4bc", "h_score_r", 0.91, source=SOURCE, words="H-score Pearson r",
                note="95% CI .89 to .93; against pathologists' scores of unstated origin",
            ),
        ),
        notes=(
            "The paper states the modulation alone; U-Net, mean absolute error, Adam and schedule are ours.",
            "One embedding a patch: the paper's tiles are of one cell, the data set's of many.",
        ),
    )  # fmt: skip

    def plan(self, profile: str) -> Plan:
        from baselines.staining.parts.pairs import Plan

        plans = {
            "full": Plan(8, 2e-4, epochs=80, augment=True, anneal=True),
            "mini": Plan(4, 4e-3, steps=140, crop=48, anneal=True, save_every=MINI_SAVE_EVERY),
        }
        plan: Plan = profiled(plans, profile)
        return plan

    def learner(self, profile: str, embedding: int) -> Learner:
        from baselines.networks.film_generator import FILM_SIZES
        from baselines.training.image_learners import FilmLearner

        return FilmLearner(profiled(FILM_SIZES, profile), embedding)
