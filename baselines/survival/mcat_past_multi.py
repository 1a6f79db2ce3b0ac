"""PAST-multi: MCAT with PAST's image encoder, and its cell encoder's embedding as one more genomic token"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from baselines.survival.parts.mcat import NOTES, PAST, PAST_NOTE, Mcat, mcat_card
from protocols.contract import Card, Published, Settings, WeightsRecord
from protocols.errors import look_up
from protocols.seeds import derive_seed
from protocols.survival.contract import PatientInputs

if TYPE_CHECKING:
    from torch import nn

GENES = 100
"""Genes of the random gene head's vocabulary; a head of the released model would bring its own."""
TILES = 512
"""Tiles of a patient, evenly spread over the bag, whose expression is predicted."""


class McatPASTMulti(Mcat):
    card: ClassVar[Card] = mcat_card(
        "mcat_past_multi",
        "PAST-multi: MCAT with PAST's image encoder and cell token",
        "past",
        starts_from=("past",),
        training_overlap="public Xenium slides; starts from UNI",
        published=(
            Published(
                "tcga_survival",
                "harrell_mean",
                0.6940,
                None,
                "",
                PAST,
                PAST_NOTE,
                board="average",
                words="C-index, mean of cohorts",
            ),
            Published(
                "tcga_survival", "uno_mean", 0.636, None, "", PAST, PAST_NOTE, board="average", words="IPCW C-index"
            ),
        ),
        notes=(
            *NOTES,
            "Cohorts of patients have no single-cell data: the cell encoder is fed the expression that a gene head "
            "predicts from each tile, averaged over tiles. The paper does not say what it was fed.",
            "No gene head was released, so the head starts at random even where PAST's weights are given: the token "
            "is then a fixed random reading of the tiles.",
        ),
    )

    def extra_tokens(self, data: PatientInputs, /) -> NDArray[np.float32]:
        """The cell encoder's embedding of predicted expression, float32 ``(n, 1, cell_dim)``."""
        import torch

        from baselines.training.torch_run import torch_run

        with torch_run(data.settings) as device:
            head, encoder, length = self._cell_side(data)
            head, encoder = head.to(device), encoder.to(device)
            rows = []
            with torch.no_grad():
                for position in range(len(data)):
                    bag = data.bag(position)
                    chosen = bag[np.unique(np.linspace(0, len(bag) - 1, TILES).round().astype(int))]
                    expression = head(torch.from_numpy(np.ascontiguousarray(chosen)).to(device))
                    rows.append(encoder(_sequence(expression, length)).mean(dim=0).cpu().numpy())
        return np.stack(rows)[:, None, :].astype(np.float32)

    def weights(self) -> tuple[WeightsRecord, ...]:
        return (*super().weights(), *self._records, WeightsRecord(part="PAST gene head", source="random"))

    @classmethod
    def load_weights(cls, settings: Settings) -> tuple[WeightsRecord, ...]:
        from baselines.encoders.past_checkpoint import released_model

        return (released_model("past", settings)[1],) if "past" in settings.weights else ()

    def _cell_side(self, data: PatientInputs) -> tuple[nn.Module, nn.Module, int]:
        """(gene head, cell encoder, context length): the released cell encoder where its weights are given."""
        import torch
        from torch import nn

        from baselines.encoders.past_checkpoint import released_model
        from past_model.pretraining import build
        from past_model.settings import CORRECTED, PROFILES
        from past_model.tokens import TOKENS_BEYOND_GENES

        settings = data.settings
        numbers = look_up(settings.profile, PROFILES, kind="profile", where=self.card.name)
        seed = derive_seed(settings.seed, "past multi")
        model: Any
        if "past" in settings.weights:
            model, record = released_model("past", settings)
            self._records = (WeightsRecord("PAST cell encoder", record.source, record.revision, record.sha256),)
        else:
            model = build(numbers, CORRECTED, GENES + TOKENS_BEYOND_GENES, seed)
            self._records = (WeightsRecord(part="PAST cell encoder", source="random"),)
        torch.manual_seed(seed)
        return nn.Linear(data.bag_width, GENES), model.cell_encoder.eval(), numbers.context_length


def _sequence(expression: Any, length: int) -> Any:
    """Rank tokens of predicted expression: metadata first, then genes from the highest down, int64 ``(n, length)``."""
    import torch

    from past_model.tokens import FIRST_GENE, cell_sequence

    ranked = torch.argsort(expression, dim=1, descending=True, stable=True).cpu().numpy()
    return torch.from_numpy(cell_sequence(ranked + FIRST_GENE, length)).to(expression.device)
