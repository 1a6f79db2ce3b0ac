"""MCAT as a model: the one head that every image encoder is tried in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from baselines.survival.parts.discrete_survival import DiscreteSurvival
from protocols.contract import Card, Published

if TYPE_CHECKING:
    from torch import nn

    from baselines.networks.survival_blocks import SurvivalSizes
    from baselines.survival.parts.discrete_survival import Widths

PAPER = "Chen et al., Multimodal co-attention transformer (MCAT), ICCV 2021"
PAST = "PAST, arXiv 2507.06418, Results"
PAST_NOTE = "mean over six TCGA cohorts; splits, signatures of three cohorts and tau are not stated"
NOTES = (
    "Stops early on a fifth of the training patients; the released code scores the last epoch on the fold itself.",
    "Bins of follow-up come from training patients; the released code takes them from training and test together.",
)


class Mcat(DiscreteSurvival):
    def network(self, sizes: SurvivalSizes, widths: Widths) -> nn.Module:
        from baselines.networks.survival_networks import Mcat as Network

        return Network(sizes, widths.tile, widths.genomic, widths.extra)


def mcat_card(name: str, title: str, encoder: str, **more: Any) -> Card:
    """A card of MCAT with one encoder."""
    fields: dict[str, Any] = {
        "summary": "Genomic-guided co-attention over frozen tile embeddings, four hazards.",
        "paper": PAPER,
        "licence": "MCAT's code is GPL-3.0 and was not used",
        "notes": NOTES,
    }
    return Card(name=name, title=title, task="survival", encoder=encoder, needs=("slides", "genomic"), **fields | more)


def past_mean(value: float, logrank_brca: float) -> tuple[Published, ...]:
    """What PAST's paper prints for an encoder inside MCAT: mean C-index, and p of the BRCA curves."""
    return (
        Published(
            "tcga_survival",
            "harrell_mean",
            value,
            None,
            "",
            PAST,
            PAST_NOTE,
            board="average",
            words="C-index, mean of cohorts",
        ),
        Published(
            "tcga_survival",
            "logrank_p",
            logrank_brca,
            None,
            "",
            PAST,
            "how patients were halved: unsaid",
            board="brca",
            words="log-rank p",
        ),
    )


def mcat_table(**cells: tuple[float, float | None]) -> tuple[Published, ...]:
    """Cells of MCAT's table 1 by cohort: mean and population SD over folds."""
    return tuple(
        Published(
            "tcga_survival",
            "harrell_mean",
            mean,
            spread,
            "population SD over 5 folds",
            PAPER,
            board=cohort.rpartition("-")[2].lower(),
            words="C-index",
        )
        for cohort, (mean, spread) in cells.items()
    )
