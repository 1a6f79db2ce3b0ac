"""What every reader returns: slides with an image, units (cells, spots or tiles) and what was measured in each."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

Unit = Literal["cell", "spot", "tile"]


@dataclass(frozen=True)
class SlideEntry:
    """One line of a cohort's manifest: who the slide belongs to and which files hold it.

    ``patient`` is None when unknown: no split may then call it disjoint from anyone.
    ``files`` are paths relative to the cohort's root, by role (``bundle``; or ``counts``, ``spots``, ``image``; …).
    ``options`` are the reader's own settings for this slide, as text.
    """

    slide: str
    patient: str | None
    cancer: str
    files: dict[str, str]
    options: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SlideData:
    """One slide, read and checked.

    ``units`` has one row a cell or spot: ``cell_id`` (str, unique), ``x_px`` and ``y_px`` (float64, level-0
    pixels of the H&E image, x to the right, y down). ``counts`` is int32 CSR ``(units, genes)``.
    ``mpp`` is micrometres per level-0 pixel.

    A slide has counts or ``intensities`` (of proteins: float32 ``(units, genes)``, finite, as the file has them) and
    never both; ``genes`` names the columns of either. ``cell_type``: text ``(units,)``, "" where a unit is not
    annotated; None where nobody is.
    """

    entry: SlideEntry
    unit: Unit
    image: Path
    mpp: float
    units: pd.DataFrame
    genes: tuple[str, ...]
    counts: sparse.csr_matrix | None
    notes: tuple[str, ...] = ()
    intensities: NDArray[np.float32] | None = None
    cell_type: NDArray[np.str_] | None = None
