"""Slides in memory for tests of bulk models: super-tiles at random, expression linear in a slide's hidden state."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from protocols.bulk.contract import GroupedBy, SuperTiles
from protocols.contract import FloatArray, RowArray, Settings, TextArray


@dataclass(frozen=True)
class ToySlides:
    """Both halves of the contract: what a model may see, and (``targets``, ``validation``) what training has."""

    features: FloatArray
    present: NDArray[np.bool_]
    targets: FloatArray
    validation: NDArray[np.bool_]
    patient: TextArray
    genes: tuple[str, ...]
    settings: Settings = field(default_factory=lambda: Settings(threads=1))
    windows: bool = False
    workspace: Path | None = None

    def __len__(self) -> int:
        return len(self.features)

    @property
    def slide(self) -> TextArray:
        return np.array([f"s{i}" for i in range(len(self))])

    @property
    def places(self) -> int:
        return self.features.shape[1]

    @property
    def width(self) -> int:
        return self.features.shape[2]

    def super_tiles(self, rows: RowArray | None = None, *, grouped_by: GroupedBy = "features") -> SuperTiles:
        rows = np.arange(len(self)) if rows is None else rows
        return SuperTiles(self.features[rows], self.present[rows])

    def mean_feature(self) -> FloatArray:
        kept = self.present.sum(axis=1, keepdims=True)
        return (self.features.sum(axis=1) / np.maximum(kept, 1)).astype(np.float32)

    def oracle(self) -> FloatArray:
        return self.targets

    def take(self, rows: RowArray) -> ToySlides:
        return replace(
            self,
            features=self.features[rows],
            present=self.present[rows],
            targets=self.targets[rows],
            validation=self.validation[rows],
            patient=self.patient[rows],
        )


def toy(
    n: int = 90,
    places: int = 8,
    width: int = 12,
    genes: int = 20,
    seed: int = 0,
    *,
    prefix: str = "g",
    noise: float = 0.3,
    scale: float = 1.0,
) -> ToySlides:
    """Slides of patients with one or two each, some of fewer tiles than places; a tenth of the patients validate."""
    world = np.random.default_rng(99)  # one biology, whatever the slides
    loading = world.normal(size=(3, width))
    effect = world.normal(size=(3, genes))
    rng = np.random.default_rng(seed)
    patient = np.sort(rng.integers(0, max(n * 3 // 4, 1), n))
    state = rng.normal(size=(patient.max() + 1, 3))[patient]
    tiles = state[:, None] @ loading[None] + rng.normal(size=(n, places, width))
    count = np.where(rng.random(n) < 0.3, rng.integers(2, places + 1, n), places)
    present = np.arange(places) < count[:, None]
    features = np.where(present[..., None], scale * (tiles + 2.0), 0.0).astype(np.float32)
    own = rng.normal(size=(patient.max() + 1, genes))[patient]
    targets = np.maximum(6.0 + state @ effect + noise * own, 0.0).astype(np.float32)
    return ToySlides(
        features, present, targets, patient % 10 == 3, np.array([f"p{p:03}" for p in patient]),
        tuple(f"{prefix}{i}" for i in range(genes)),
    )  # fmt: skip
