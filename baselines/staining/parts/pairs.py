"""Pairs of H&E and IHC as training batches: reading within bounded memory, crops, turns, and simple statistics."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from baselines.staining.parts.misalignment import misaligned
from protocols.contract import CropArray, FloatArray, RowArray
from protocols.staining.contract import PatchTraining

Pair = tuple[CropArray, CropArray, FloatArray | None]

KEPT_BYTES = 512 << 20
"""Pairs read last are kept up to this size; memory does not grow with the data set."""
GRANULE = 8
"""Sides of training crops are multiples of this."""


@dataclass(frozen=True)
class Plan:
    """Numbers of one training.

    ``steps`` counts updates; with 0, ``epochs`` counts passes over the patches. ``crop``: side of the random training
    crop (0: the whole patch). ``augment``: flips and quarter turns, alike in both images. ``anneal``: the learning rate
    falls linearly to 0. ``save_every``: steps between two checkpoints. ``noise_level``: RegGAN's misalignment of each
    whole image of a pair, see :mod:`baselines.staining.parts.misalignment` (0: pairs as they come).
    """

    batch: int
    learning_rate: float
    steps: int = 0
    epochs: int = 0
    crop: int = 0
    augment: bool = False
    anneal: bool = False
    save_every: int = 1000
    noise_level: float = 0.0

    def rate(self, step: int, total: int) -> float:
        """Learning rate of an update, the first being 0."""
        return self.learning_rate * (1 - step / total if self.anneal else 1.0)

    def at_most(self, steps: int, patches: int) -> Plan:
        """The same plan, cut to ``steps`` updates (0: not cut)."""
        return replace(self, steps=min(steps, self.total(patches))) if steps else self

    def total(self, patches: int) -> int:
        return self.steps or self.epochs * -(-patches // self.batch)


@dataclass(frozen=True)
class Batch:
    """``he`` and ``ihc`` float32 ``(n, 3, p, p)`` in [-1, 1]; ``embedding`` ``(n, d)`` or None."""

    he: Tensor
    ihc: Tensor
    embedding: Tensor | None


class Pairs:
    """Training pairs by row, with the card's embedding where ``embedded``; those used last stay in memory."""

    def __init__(self, data: PatchTraining, *, embedded: bool, keep: int = KEPT_BYTES) -> None:
        self._data, self._embedded, self._keep = data, embedded, keep
        self._held, self._pairs = 0, OrderedDict[int, Pair]()

    def __len__(self) -> int:
        return len(self._data)

    def __call__(self, rows: RowArray) -> list[Pair]:
        """H&E and IHC, uint8 ``(p, p, 3)`` each, and embedding ``(d,)``; only rows that are not held are read."""
        missing = np.array(sorted({int(row) for row in rows} - self._pairs.keys()), dtype=np.int64)
        new: dict[int, Pair] = {}
        if len(missing):
            he, ihc = self._data.he(missing), self._data.ihc(missing)
            embedding = self._data.embedding(missing) if self._embedded else [None] * len(missing)
            new = {int(row): pair for row, *pair in zip(missing, he, ihc, embedding, strict=True)}  # type: ignore[misc]
        wanted = [new[int(row)] if int(row) in new else self._pairs[int(row)] for row in rows]
        for row, (one, other, third) in new.items():
            self._pairs[row] = (one.copy(), other.copy(), third)  # a view would hold the whole of what was read
            self._held += one.nbytes + other.nbytes
        for row in rows:
            self._pairs.move_to_end(int(row))
        while self._held > self._keep and self._pairs:
            _, (one, other, _third) = self._pairs.popitem(last=False)
            self._held -= one.nbytes + other.nbytes
        return wanted

    def batch(self, rows: RowArray, plan: Plan, draws: torch.Generator, device: torch.device) -> Batch:
        """Pairs as tensors, cropped and turned alike as the plan says."""
        he, ihc, embeddings = zip(*self(rows), strict=True)
        cut = [_view(one, other, plan, draws) for one, other in zip(he, ihc, strict=True)]
        embedding = torch.from_numpy(np.stack(embeddings)).to(device) if self._embedded else None
        return Batch(
            to_tensor(np.stack([one for one, _ in cut]), device), to_tensor(np.stack([two for _, two in cut]), device),
            embedding,
        )  # fmt: skip


def _view(he: CropArray, ihc: CropArray, plan: Plan, draws: torch.Generator) -> tuple[CropArray, CropArray]:
    """A random crop and turn of one pair; before them, where the plan says so, each image moved by itself."""
    if plan.noise_level:
        he, ihc = misaligned(he, plan.noise_level, draws), misaligned(ihc, plan.noise_level, draws)
    side = min(he.shape[:2])
    crop = min(plan.crop, side // GRANULE * GRANULE)
    if crop:
        y, x = torch.randint(0, side - crop + 1, (2,), generator=draws).tolist()
        he, ihc = he[y : y + crop, x : x + crop], ihc[y : y + crop, x : x + crop]
    if plan.augment:
        turn = int(torch.randint(0, 8, (1,), generator=draws))
        he, ihc = np.rot90(he, turn % 4), np.rot90(ihc, turn % 4)
        if turn >= 4:
            he, ihc = he[:, ::-1], ihc[:, ::-1]
    return he, ihc


def to_tensor(images: CropArray, device: torch.device) -> Tensor:
    """uint8 ``(n, h, w, 3)`` to float32 ``(n, 3, h, w)`` in [-1, 1]."""
    given = torch.from_numpy(np.ascontiguousarray(images)).to(device)
    return given.permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


def to_images(made: Tensor) -> CropArray:
    """The way back, rounded and clipped."""
    values = made.float().add(1.0).mul(127.5).round().clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(values.permute(0, 2, 3, 1).cpu().numpy())


class Deck:
    """Rows in a new random order every epoch, dealt without gaps."""

    def __init__(self, rows: int) -> None:
        self.order, self.place = torch.zeros(0, dtype=torch.long), 0
        self._rows = rows

    def deal(self, count: int, draws: torch.Generator) -> RowArray:
        dealt: list[int] = []
        while len(dealt) < count:
            if self.place == len(self.order):
                self.order, self.place = torch.randperm(self._rows, generator=draws), 0
            piece = self.order[self.place : self.place + count - len(dealt)].tolist()
            self.place += len(piece)
            dealt += piece
        return np.array(dealt, dtype=np.int64)


def chunks(rows: RowArray, size: int) -> list[RowArray]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def affine_colour(pairs: Pairs, rows: RowArray) -> tuple[Tensor, Tensor]:
    """Least-squares affine map of H&E colours to IHC colours, pixel by pixel, both in [-1, 1]: ``(3, 3)``, ``(3,)``."""
    gram, cross = np.zeros((4, 4)), np.zeros((4, 3))
    for chunk in chunks(rows, 16):
        for he, ihc, _ in pairs(chunk):
            x = np.concatenate([he.reshape(-1, 3) / 127.5 - 1, np.ones((he.size // 3, 1))], axis=1)
            gram += x.T @ x
            cross += x.T @ (ihc.reshape(-1, 3) / 127.5 - 1)
    # A little ridge: patches of one colour leave the map undetermined.
    found = np.linalg.solve(gram + 1e-6 * (np.trace(gram) + 1.0) * np.eye(4), cross)
    return torch.from_numpy(found[:3].T.astype(np.float32)), torch.from_numpy(found[3].astype(np.float32))


def embedding_scale(pairs: Pairs, rows: RowArray) -> tuple[Tensor, Tensor]:
    """Mean and SD of each feature over the training patches; a constant feature keeps its scale."""
    first: Any = 0.0
    second: Any = 0.0
    for chunk in chunks(rows, 16):
        values = np.stack([np.asarray(third, dtype=np.float64) for *_, third in pairs(chunk)])
        first, second = first + values.sum(axis=0), second + np.square(values).sum(axis=0)
    mean = first / len(rows)
    variance = np.maximum(second / len(rows) - mean**2, 0.0)
    spread = np.where(variance > 1e-10 * mean**2 + 1e-30, np.sqrt(variance), 1.0)
    return torch.from_numpy(mean.astype(np.float32)), torch.from_numpy(spread.astype(np.float32))
