"""SEQUOIA and HE2RNA as models: their sizes, schedules and stopping rules; a file of its own gives each its card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from baselines.bulk.parts.answer import BulkNetwork, Phase
from protocols.bulk.contract import GroupedBy
from protocols.contract import Card, FloatArray, Published
from protocols.errors import look_up

if TYPE_CHECKING:
    import torch
    from torch import nn

    from baselines.training.bulk_stopping import StoppingRule
    from baselines.training.bulk_training import Forward, Looking, Schedule, Tiles

SEQUOIA_PAPER = "Pizurica et al., SEQUOIA, bioRxiv 2023 (preprint: vision transformer on ResNet-50)"
SEQUOIA_RELEASE = "Pizurica et al., SEQUOIA, Nature Communications 2024 (release: summary mixing on UNI)"
HE2RNA_PAPER = "Schmauch et al., HE2RNA, Nature Communications 2020"
IMAGENET = "ImageNet photographs only: no histology, no overlap"
UNI = "Mass-100K, private hospital slides; no TCGA (secondary source)"
SCALED = "Tile features are standardised by training slides; the paper feeds them as they are."
BIAS = "The head's bias starts at the training mean; the paper does not say so."
FRESH_TWIN = "The untrained twin is a fresh random network; the release's is the pre-trained trunk with a new head."
ONE_TILE = (
    "A window's answer is that of its first tile that is there, repeated at every place, as in the released code."
)
OVERHANG = "Windows hang over the right and the lower edge, as in the released code; they cover the same tiles."
PATIENCE = "Patience in fine-tuning is 20, as in the released code; the paper does not state it."


class Sequoia(BulkNetwork):
    """SEQUOIA with either mixer. ``released``: stops, validates and ends as the published code does."""

    mixer: ClassVar[Literal["vit", "vis"]] = "vit"
    released: ClassVar[bool] = False

    def network(self, profile: str, places: int, width: int, genes: int) -> nn.Module:
        from baselines.networks.sequoia_networks import PROFILES, SequoiaNetwork

        sizes = look_up(profile, PROFILES, kind="profile", where=self.card.name)
        return SequoiaNetwork(self.mixer, sizes, places, width, genes, masked=self.masked)

    def plan(self, profile: str, phase: Phase) -> Schedule:
        from baselines.training.bulk_training import Schedule

        table = {
            "fit": {"full": Schedule(200, 20, 1e-3), "mini": Schedule(11, 5, 3e-3)},
            "pretrain": {"full": Schedule(200, 100, 3e-3), "mini": Schedule(12, 6, 3e-3)},
        }
        return self.planned(table[phase], profile)

    def rule(self, schedule: Schedule, phase: Phase) -> StoppingRule | None:
        from baselines.training.bulk_stopping import LossRule, PaperRule, ReleasedRule

        if phase == "pretrain":
            return LossRule(schedule.patience)
        return ReleasedRule(schedule.patience) if self.released else PaperRule(schedule.patience)

    def looking(self) -> Looking:
        from baselines.training.bulk_training import Looking

        return Looking(by_batch=self.released)

    def read_windows(self, network: Any, tiles: Tiles, rows: NDArray[np.int64], device: torch.device) -> FloatArray:
        from baselines.bulk.parts.windows import repeat_first_tile

        if self.released:
            return repeat_first_tile(network, tiles, rows, device)
        return super().read_windows(network, tiles, rows, device)


class He2rna(BulkNetwork):
    """HE2RNA; ``recipe`` is the original's or SEQUOIA's re-implementation. Predictions are never negative."""

    recipe: ClassVar[Literal["original", "sequoia"]] = "original"
    grouped_by: ClassVar[GroupedBy] = "coordinates"

    def network(self, profile: str, places: int, width: int, genes: int) -> nn.Module:
        from baselines.networks.he2rna_network import ORIGINAL, SEQUOIA, He2rnaNetwork

        table = ORIGINAL if self.recipe == "original" else SEQUOIA
        sizes = look_up(profile, table, kind="profile", where=self.card.name)
        return He2rnaNetwork(sizes, places, width, genes, masked=self.masked)

    def plan(self, profile: str, phase: Phase) -> Schedule:
        from baselines.training.bulk_training import Schedule

        pretrain = {"full": Schedule(200, 100, 3e-3), "mini": Schedule(15, 6, 3e-3)}
        original = {"full": Schedule(200, 50, 3e-4), "mini": Schedule(15, 8, 3e-3)}
        sequoia = dict.fromkeys(("full", "mini"), Schedule(200, 100, 1e-3))
        fit = original if self.recipe == "original" else sequoia
        return self.planned(pretrain if phase == "pretrain" else fit, profile)

    def rule(self, schedule: Schedule, phase: Phase) -> StoppingRule | None:
        """SEQUOIA's HE2RNA pre-trains without stopping early; the paper's text stops on the loss."""
        from baselines.training.bulk_stopping import CorrelationRule, LossRule

        if phase == "fit":
            return CorrelationRule(schedule.patience)
        return LossRule(schedule.patience) if self.recipe == "original" else None

    def looking(self) -> Looking:
        from baselines.training.bulk_training import Looking

        return Looking(clip=True)

    def training_pass(self, network: Any, rng: np.random.Generator, /) -> Forward | None:
        return lambda tiles, present: network(tiles, present, k=int(rng.choice(network.ks)))

    def read_windows(self, network: Any, tiles: Tiles, rows: NDArray[np.int64], device: torch.device) -> FloatArray:
        from baselines.bulk.parts.windows import score_tiles_once

        return score_tiles_once(network, tiles, rows, device)

    def finish(self, answer: FloatArray) -> FloatArray:
        return np.maximum(answer, 0.0)


def sequoia_card(name: str, title: str, encoder: str, *, pretrained: bool = False, **more: Any) -> Card:
    """A card of a SEQUOIA model."""
    uni = encoder == "uni"
    fields: dict[str, Any] = {
        "summary": "Super-tiles by features, transformer over places, one linear head to every gene.",
        "paper": SEQUOIA_RELEASE if uni else SEQUOIA_PAPER,
        "licence": ("encoder CC-BY-NC-ND-4.0 (gated); " if uni else "") + "released code MIT, not used",
        "training_overlap": UNI if uni else IMAGENET,
        "notes": (SCALED, BIAS, PATIENCE, *((FRESH_TWIN,) if pretrained else ())),
        "needs": ("normal",) if pretrained else (),
    }  # fmt: skip
    return Card(name=name, title=title, task="bulk", encoder=encoder, **fields | more)


def he2rna_card(
    name: str, title: str, *, pretrained: bool = False, published: tuple[Published, ...] = (), notes: tuple[str, ...]
) -> Card:
    """A card of an HE2RNA model."""
    return Card(
        name=name,
        title=title,
        task="bulk",
        encoder="resnet50",
        summary="One MLP scores every super-tile; a gene is the mean of its top k scores, over several k.",
        paper=HE2RNA_PAPER,
        licence="released code GPL-3.0, not used",
        training_overlap=IMAGENET,
        needs=("normal",) if pretrained else (),
        published=published,
        notes=(SCALED, *notes, *((FRESH_TWIN,) if pretrained else ())),
    )
