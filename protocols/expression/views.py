"""What a model really holds: a view of some rows of a cohort, with targets or without.

An :class:`InputView` has no attribute, and closes over no function, through which a target could be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from protocols.contract import CountArray, CropArray, FloatArray, RowArray, Settings, TextArray
from protocols.errors import UserError
from protocols.images.source import CropSource
from protocols.not_given import no_encoder, no_truth

RowReader = Callable[[RowArray], FloatArray]


@dataclass(frozen=True)
class InputView:
    """Implements :class:`protocols.contract.Inputs` for ``rows`` of a cohort."""

    rows: RowArray
    genes: tuple[str, ...]
    slide: TextArray
    patient: TextArray
    cancer: TextArray
    xy_um: FloatArray
    settings: Settings
    crop_source: CropSource | None = None
    embedding_reader: RowReader | None = None
    oracle_reader: RowReader | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def crop_pixels(self) -> int:
        return self._crops().pixels

    def embedding(self) -> FloatArray:
        if self.embedding_reader is None:
            raise no_encoder("embedding")
        return self.embedding_reader(self.rows)

    def crops(self, rows: RowArray | None = None) -> CropArray:
        return self._crops().read(self.rows if rows is None else self.rows[rows])

    def crop_batches(self, size: int) -> Iterator[tuple[RowArray, CropArray]]:
        return self._crops().batches(self.rows, size)

    def oracle(self) -> FloatArray:
        if self.oracle_reader is None:
            raise no_truth()
        return self.oracle_reader(self.rows)

    def _crops(self) -> CropSource:
        if self.crop_source is None:
            raise UserError(
                "crops were asked for", where="the cohort", expected="slides with images", remedy="give an image"
            )
        return self.crop_source


@dataclass(frozen=True)
class TrainingView(InputView):
    """Implements :class:`protocols.contract.TrainingData`: an :class:`InputView` with its targets."""

    targets: FloatArray = None  # type: ignore[assignment]  # required; dataclass inheritance needs a default
    count_matrix: CountArray = None  # type: ignore[assignment]  # None: of a cohort of intensities
    measured: NDArray[np.bool_] = None  # type: ignore[assignment]
    all_genes: tuple[str, ...] = ()
    workspace: Path | None = None

    def counts(self) -> tuple[CountArray, NDArray[np.bool_], tuple[str, ...]]:
        if self.count_matrix is None:
            raise UserError(
                "counts were asked for, and the cohort has intensities of proteins", where="the training units",
                expected="a cohort of counts", remedy='name "counts" in the needs of the model\'s card',
            )  # fmt: skip
        return self.count_matrix, self.measured, self.all_genes

    def filled_targets(self) -> FloatArray:
        seen = np.isfinite(self.targets)
        total = np.where(seen, self.targets, 0.0).sum(axis=0, dtype=np.float64)
        mean = total / np.maximum(seen.sum(axis=0), 1)
        return np.where(seen, self.targets, mean).astype(np.float32)


def log_normalise(counts: NDArray[np.integer], total: NDArray[np.number], scale: float = 10_000.0) -> FloatArray:
    """log1p of counts scaled to ``scale`` per unit; a unit without any count stays 0.

    ``counts`` is ``(n, genes)``; ``total`` ``(n,)`` sums the slide's whole panel, not only these genes.
    """
    factor = scale / np.maximum(total.astype(np.float64), 1.0)
    return np.log1p(counts * factor[:, None]).astype(np.float32)
