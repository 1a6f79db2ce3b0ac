"""A cohort as the pipeline keeps it: read once from any format, then addressed by row number.

Layout of the folder: ``cohort.json`` (slides, panels, settings), ``units.parquet`` (slide, cell_id, x_px,
y_px; one row a unit) and ``counts/NNNN.npz`` (one sparse matrix a slide). Counts are opened a slide at a
time, so memory follows the rows asked for and not the cohort.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from protocols.contract import CountArray, FloatArray, RowArray
from protocols.expression.cohort import SlideData, Unit
from protocols.expression.views import log_normalise
from protocols.files import write_text_whole, written_whole
from protocols.stored_cohort import COHORT_FILE, read_cohort_file
from protocols.task import CohortRequest

UNITS_FILE = "units.parquet"
_OPEN_SLIDES = 4


@dataclass(frozen=True)
class SlideRecord:
    """One slide of a stored cohort; its units are rows ``start`` to ``stop`` (exclusive)."""

    slide: str
    patient: str | None
    cancer: str
    image: str
    mpp: float
    start: int
    stop: int
    genes: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class CohortInfo:
    """What a cohort is called and how its units are cropped."""

    name: str
    phantom: bool
    unit: Unit
    crop_um: float
    crop_pixels: int


class CohortStore:
    """Read access to a stored cohort. Row numbers run over all slides, in manifest order."""

    def __init__(self, folder: Path) -> None:
        record = read_cohort_file(folder)
        self.folder = folder
        self.info = CohortInfo(**record["info"])
        self.slides = tuple(
            SlideRecord(**{**slide, "genes": tuple(slide["genes"]), "notes": tuple(slide["notes"])})
            for slide in record["slides"]
        )
        self._open: OrderedDict[int, sparse.csr_matrix] = OrderedDict()

    def __len__(self) -> int:
        return self.slides[-1].stop

    @cached_property
    def units(self) -> pd.DataFrame:
        """slide, cell_id, x_px, y_px of every unit, in row order."""
        return pd.read_parquet(self.folder / UNITS_FILE)

    @cached_property
    def slide_index(self) -> NDArray[np.int32]:
        """Position in ``slides`` of every row."""
        return np.repeat(np.arange(len(self.slides), dtype=np.int32), [len(slide) for slide in self.slides])

    @cached_property
    def xy_um(self) -> FloatArray:
        """Centres in micrometres, in the frame of each slide's H&E image, float32 ``(n, 2)``."""
        mpp = np.array([slide.mpp for slide in self.slides])[self.slide_index]
        centres: FloatArray = (self.units[["x_px", "y_px"]].to_numpy() * mpp[:, None]).astype(np.float32)
        return centres

    @cached_property
    def all_genes(self) -> tuple[str, ...]:
        """Every gene measured on any slide, sorted."""
        return tuple(sorted({gene for slide in self.slides for gene in slide.genes}))

    def rows_of(self, slides: Sequence[SlideRecord]) -> RowArray:
        """All rows of some slides, ascending."""
        if not slides:
            return np.zeros(0, dtype=np.int64)
        return np.sort(np.concatenate([np.arange(slide.start, slide.stop, dtype=np.int64) for slide in slides]))

    def slides_of(self, rows: RowArray) -> list[SlideRecord]:
        """The slides that some rows lie on, in order."""
        return [self.slides[index] for index in np.unique(self.slide_index[rows])]

    def measured_genes(self, rows: RowArray) -> set[str]:
        """Genes measured on at least one of the rows' slides."""
        return {gene for slide in self.slides_of(rows) for gene in slide.genes}

    def counts(self, rows: RowArray, genes: Sequence[str]) -> tuple[CountArray, NDArray[np.bool_], CountArray]:
        """Counts ``(n, genes)`` (0 where unmeasured), the mask of measured entries, and whole-panel totals ``(n,)``."""
        counts = np.zeros((len(rows), len(genes)), dtype=np.int32)
        measured = np.zeros((len(rows), len(genes)), dtype=bool)
        totals = np.zeros(len(rows), dtype=np.int32)
        for index, at in self._by_slide(rows):
            slide, matrix = self.slides[index], self.matrix(index)
            column = {gene: position for position, gene in enumerate(slide.genes)}
            have = np.array([position for position, gene in enumerate(genes) if gene in column], dtype=np.int64)
            block = matrix[rows[at] - slide.start]
            totals[at] = np.asarray(block.sum(axis=1)).ravel()
            if len(have):
                measured[np.ix_(at, have)] = True
                counts[np.ix_(at, have)] = block[:, [column[genes[position]] for position in have]].toarray()
        return counts, measured, totals

    def targets(self, rows: RowArray, genes: Sequence[str]) -> FloatArray:
        """log1p of counts scaled to 10,000, float32 ``(n, genes)``, NaN where the slide's panel lacks the gene."""
        counts, measured, totals = self.counts(rows, genes)
        values = log_normalise(counts, totals)
        values[~measured] = np.nan
        return values

    def _by_slide(self, rows: RowArray) -> Iterator[tuple[int, RowArray]]:
        index = self.slide_index[rows]
        for slide in np.unique(index):
            yield int(slide), np.flatnonzero(index == slide)

    def matrix(self, index: int) -> sparse.csr_matrix:
        """Counts of one slide, int32 ``(units, genes of its panel)``."""
        if index not in self._open:
            self._open[index] = sparse.csr_matrix(sparse.load_npz(self.folder / "counts" / f"{index:04d}.npz"))
            while len(self._open) > _OPEN_SLIDES:
                self._open.popitem(last=False)
        self._open.move_to_end(index)
        return self._open[index]


def write_store(
    folder: Path,
    info: CohortInfo,
    slides: Iterator[SlideData],
    root: Path,
    progress: Callable[[str], None] = lambda _: None,
) -> CohortStore:
    """Store a cohort, one slide in memory at a time. ``cohort.json`` comes last: without it there is no cohort."""
    (folder / "counts").mkdir(parents=True, exist_ok=True)
    records: list[SlideRecord] = []
    frames: list[pd.DataFrame] = []
    start = 0
    for index, slide in enumerate(slides):
        stop = start + len(slide.units)
        with written_whole(folder / "counts" / f"{index:04d}.npz") as part, part.open("wb") as file:
            sparse.save_npz(file, slide.counts.astype(np.int32))
        frames.append(slide.units[["cell_id", "x_px", "y_px"]].assign(slide=slide.entry.slide))
        image = slide.image.relative_to(root).as_posix() if slide.image.is_relative_to(root) else str(slide.image)
        records.append(
            SlideRecord(
                slide=slide.entry.slide,
                patient=slide.entry.patient,
                cancer=slide.entry.cancer,
                image=image,
                mpp=slide.mpp,
                start=start,
                stop=stop,
                genes=slide.genes,
                notes=slide.notes,
            )
        )
        start = stop
        progress(f"{slide.entry.slide}: {len(slide.units)} {info.unit}s, {len(slide.genes)} genes")
    units = pd.concat(frames, ignore_index=True)[["slide", "cell_id", "x_px", "y_px"]]
    with written_whole(folder / UNITS_FILE) as part:
        units.to_parquet(part, compression="zstd", index=False)
    record = {"info": asdict(info), "slides": [asdict(slide) for slide in records]}
    write_text_whole(folder / COHORT_FILE, json.dumps(record, indent=1, sort_keys=True) + "\n")
    return CohortStore(folder)


def open_store(_request: CohortRequest, folder: Path) -> CohortStore:
    """Here and not beside the reading: what fits and scores a stored cohort depends on no reader."""
    return CohortStore(folder)
