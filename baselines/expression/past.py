"""PAST (arXiv 2507.06418): contrastive pre-training of crops against cells, then a linear gene head."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from protocols.contract import (
    Card,
    FloatArray,
    Inputs,
    Published,
    RowArray,
    ScheduleRecord,
    Settings,
    TrainingData,
    WeightsRecord,
)
from protocols.seeds import derive_seed, generator

if TYPE_CHECKING:
    from torch import Tensor

    from past_model.image_encoder import ImageEncoder
    from past_model.pretraining import Pairs
    from past_model.settings import PastSettings
    from past_model.tokens import RankTokeniser

_SPREAD = "SD over tumour types"
_SOURCE = "PAST, arXiv 2507.06418, Results"
_NOTE = "cohorts and regions differ from ours; recipe of the head is not stated"

PUBLISHED = (
    Published("intra_patient", "pearson_per_slide", 0.619, 0.099, _SPREAD, _SOURCE, _NOTE),
    Published("inter_patient", "pearson_per_slide", 0.554, 0.143, _SPREAD, _SOURCE, _NOTE),
    Published("cross_cancer", "pearson_per_slide", 0.319, 0.051, _SPREAD, _SOURCE, _NOTE),
)
PAPER = "PAST, arXiv 2507.06418; code Changchun-Yang/past_sc"
LICENCE = (
    "code: a badge says AGPL-3.0 but there is no licence file; weights (hub id Boyoungc/PAST) start from UNI, whose "
    "CC-BY-NC-ND-4.0 likely binds them"
)
OVERLAP = (
    "trained here: the fold group's training rows only. Released weights: public Xenium slides, and nothing says that "
    "the evaluated slices were left out (unverified)"
)
NOTES = (
    "The paper does not say whether the encoder is frozen or tuned under the linear head; here it is frozen.",
    "The paper also leaves unsaid how a hole of a union gene panel is filled; here it is masked.",
    "Published weights: Boyoungc/PAST, checkpoint-context300.pth (not opened when this was written).",
)


class PAST:
    """Image encoder trained contrastively on the fold group's training rows; ridge on its frozen embedding.

    With ``settings.weights`` of its own checkpoint the released one replaces the pre-training; else, with
    ``settings.weights["uni"]``, the image encoder starts from UNI as in the paper's code. Prediction reads crops
    only. What differs from the released code is listed in :class:`past_model.settings.Variant`.
    """

    variant: ClassVar[str] = "corrected"
    card: ClassVar[Card] = Card(
        name="past",
        title="PAST: crops aligned with single-cell transcriptomes, linear head (faults corrected)",
        summary="Contrastive pre-training of a ViT against rank-token and graph encoders of the cell, then ridge.",
        paper=PAPER,
        starts_from=("uni",),
        checkpoints=("past",),
        licence=LICENCE,
        needs=("counts",),
        training_overlap=OVERLAP,
        published=PUBLISHED,
        notes=NOTES,
    )

    def __init__(self) -> None:
        self._encoder: ImageEncoder | None = None
        self._of_group = False
        self._ridge: Any = None
        self._records: tuple[WeightsRecord, ...] = ()
        self._schedule: tuple[ScheduleRecord, ...] = ()

    def pretrain(self, data: TrainingData) -> None:
        """Learn the image encoder on the union of a fold group's training rows."""
        self._learn(data)
        self._of_group = True

    def fit(self, train: TrainingData) -> None:
        """Fit the gene head; a model that was not pre-trained learns its encoder from this fold's rows, each time."""
        from baselines.expression.parts.ridge import MaskedRidge

        if not self._of_group:
            self._learn(train)
        self._ridge = MaskedRidge().fit(self._embedding(train), train.targets)

    def predict(self, test: Inputs) -> FloatArray:
        if self._ridge is None:
            raise RuntimeError("predict before fit")
        answer: FloatArray = self._ridge.predict(self._embedding(test))
        return answer

    def weights(self) -> tuple[WeightsRecord, ...]:
        return self._records

    def schedule(self) -> tuple[ScheduleRecord, ...]:
        """Of the pre-training; none where the released weights stand in for it."""
        return self._schedule

    @classmethod
    def load_weights(cls, settings: Settings) -> tuple[WeightsRecord, ...]:
        from baselines.encoders.past_checkpoint import numbers_of, released_encoder, start_from_uni
        from past_model.image_encoder import ImageEncoder

        (name,) = cls.card.checkpoints
        if name in settings.weights:
            return (released_encoder(name, settings)[1],)
        start = start_from_uni(ImageEncoder(numbers_of(settings)), settings)
        return (start,) if start else ()

    def _learn(self, data: TrainingData) -> None:
        from baselines.encoders.past_checkpoint import numbers_of, released_encoder, start_from_uni
        from baselines.training.checkpoints import readable, stage_file
        from baselines.training.torch_run import torch_run
        from past_model.pretraining import build, pretrain
        from past_model.settings import VARIANTS
        from past_model.state_file import CheckpointError
        from past_model.tokens import RankTokeniser

        numbers, (name,) = numbers_of(data.settings), self.card.checkpoints
        if name in data.settings.weights:
            self._encoder, record = released_encoder(name, data.settings)
            self._records = (record,)
            return
        variant = VARIANTS[self.variant]
        seed = derive_seed(data.settings.seed, "past")  # the same start and batches for both variants
        counts, measured, genes = data.counts()
        tokeniser = RankTokeniser.fit(counts, measured, genes)
        with torch_run(data.settings, min(data.settings.threads, numbers.most_threads)) as device:
            import torch

            model = build(numbers, variant, tokeniser.vocabulary.table_rows, seed)
            start = start_from_uni(model.image_encoder, data.settings)
            pairs = pairs_of(data, tokeniser, numbers)
            order = torch.Generator().manual_seed(seed)
            given = (data.slide, data.xy_um, counts, genes, measured, numbers, variant, data.settings)
            path, losses = stage_file(data.workspace, self.card.name, *given), list[float]()
            if len(pairs) >= _FEWEST_PAIRS:
                with readable(path, CheckpointError):
                    losses = pretrain(
                        model, pairs, numbers, generator=order, device=device, image_is_pretrained=start is not None,
                        checkpoint=path, most_steps=data.settings.most_steps,
                    )  # fmt: skip
            self._schedule += (_told(len(losses), len(pairs), numbers, data.settings.most_steps),)
            self._encoder = model.image_encoder.eval()
        self._records = (
            start or WeightsRecord(part="image encoder", source="random"),
            WeightsRecord(part="cell encoder", source="random"),
        )

    def _embedding(self, data: Inputs) -> FloatArray:
        """Frozen embedding, float32 ``(n, image_dim)``; each crop once, a batch at a time."""
        from baselines.encoders.past_checkpoint import numbers_of
        from baselines.training.torch_run import torch_run
        from past_model.image_encoder import embed

        if self._encoder is None:
            raise RuntimeError("no encoder before pretrain or fit")
        numbers = numbers_of(data.settings)
        out = np.empty((len(data), numbers.image_dim), dtype=np.float32)
        with torch_run(data.settings, min(data.settings.threads, numbers.most_threads)) as device:
            self._encoder.to(device)
            for rows, crops in data.crop_batches(numbers.embed_batch):
                out[rows] = embed(self._encoder, crops, numbers.embed_batch)
        return out


_FEWEST_PAIRS = 2
"""A contrastive loss needs a negative; on fewer cells the encoder stays as it started."""


def _told(steps: int, pairs: int, numbers: PastSettings, most_steps: int) -> ScheduleRecord:
    """Steps taken against the paper's epochs over the same pairs."""
    from past_model.settings import FULL

    per_epoch = max(pairs // min(numbers.batch_size, max(pairs, 1)), 1)
    cap = numbers.epochs * per_epoch
    cap = min(cap, most_steps) if most_steps else cap
    rule = f"{FULL.epochs:g} epochs, {FULL.warmup_epochs:g} of them warm-up"
    return ScheduleRecord("contrastive pre-training", "steps", steps, cap, rule, steps < FULL.epochs * per_epoch)


def pairs_of(data: TrainingData, tokeniser: RankTokeniser, numbers: PastSettings) -> Pairs:
    """Pairs of crop and cell for a seeded choice of rows; neighbours come from all given rows of the same slide.

    Crops are held in memory at the encoder's size (uint8); only cells that some pair needs become tokens.
    """
    from past_model.neighbours import ABSENT, nearest_cells
    from past_model.pretraining import Pairs

    most = min(numbers.max_pairs, data.settings.at_most(numbers.max_pairs) * numbers.batch_size)
    chosen = np.sort(generator(data.settings.seed, "past pairs", len(data)).permutation(len(data))[:most])
    crops = crops_at(data, chosen, numbers)
    counts, measured, genes = data.counts()
    near = nearest_cells(data.xy_um, data.slide, chosen, count=numbers.neighbours, radius_um=numbers.radius_um)

    used = np.unique(np.concatenate([chosen, near[near != ABSENT]]))

    def read(rows: RowArray) -> Tensor:
        return crops[rows]

    return Pairs(
        read_crops=read,
        tokens=tokeniser.encode(counts[used], measured[used], genes, numbers.context_length),
        xy_um=data.xy_um[used],
        centres=np.searchsorted(used, chosen),
        neighbours=np.where(near == ABSENT, ABSENT, np.searchsorted(used, near)),
    )


def crops_at(data: Inputs, rows: RowArray, numbers: PastSettings) -> Tensor:
    """Crops of sorted ``rows`` at the encoder's size, uint8 ``(len(rows), p, p, 3)``, read a batch at a time."""
    import torch

    from past_model.image_encoder import at_encoder_size

    out = torch.empty((len(rows), numbers.image_pixels, numbers.image_pixels, 3), dtype=torch.uint8)
    for start in range(0, len(rows), numbers.embed_batch):
        stop = start + numbers.embed_batch
        out[start:stop] = at_encoder_size(data.crops(rows[start:stop]), numbers.image_pixels, numbers.view)
    return out
