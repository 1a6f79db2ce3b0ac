"""A cohort as the pipeline keeps it: read once from any format, then addressed by row number.

Layout of the folder: ``cohort.json`` (slides, panels, settings), ``units.parquet`` (slide, cell_id, x_px,
y_px; one row a unit; cell_type where units are annotated) and ``counts/NNNN.npz`` (one sparse matrix a slide) or
``intensities/NNNN.npy`` (float32, read through a memory map). Both are opened a slide at a time, so memory follows the
rows asked for and not the cohort.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from protocols.contract import CountArray, FloatArray, RowArray
from protocols.errors import UserError
from protocols.expression.cohort import SlideData, Unit
from protocols.expression.measures import LOG_CP10K, Measure, measure_named, refuse_other_kind
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
    """What a cohort is called, how its units are cropped, and how what was measured becomes the target."""

    name: str
    phantom: bool
    unit: Unit
    crop_um: float
    crop_pixels: int
    measure: str = LOG_CP10K.name


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

    @property
    def measure(self) -> Measure:
        return measure_named(self.info.measure, where=f"cohort {self.info.name}")

    @cached_property
    def units(self) -> pd.DataFrame:
        """slide, cell_id, x_px, y_px of every unit, in row order; cell_type where some are annotated."""
        return pd.read_parquet(self.folder / UNITS_FILE)

    @cached_property
    def cell_type(self) -> NDArray[np.str_] | None:
        """The annotation of every row, "" where it has none; None where nobody is annotated."""
        return self.units["cell_type"].to_numpy().astype(str) if "cell_type" in self.units else None

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
        self._refuse_other_kind(LOG_CP10K)
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
        """log1p of counts scaled to 10,000, float32 ``(n, genes)``, NaN where the slide's panel lacks the gene.

        Of counts alone: what intensities become is known to a fold (:mod:`protocols.expression.targets`).
        """
        counts, measured, totals = self.counts(rows, genes)
        values = log_normalise(counts, totals)
        values[~measured] = np.nan
        return values

    def intensities(self, rows: RowArray, genes: Sequence[str]) -> FloatArray:
        """Intensities as they were read, float32 ``(n, genes)``, NaN where the slide's panel lacks the marker."""
        if self.measure.of != "intensities":
            raise UserError(
                "intensities were asked for", where=f"cohort {self.info.name}", expected="a cohort of intensities",
                remedy="it has counts: ask for those",
            )  # fmt: skip
        values = np.full((len(rows), len(genes)), np.nan, dtype=np.float32)
        for index, at in self._by_slide(rows):
            slide = self.slides[index]
            column = {gene: position for position, gene in enumerate(slide.genes)}
            have = np.array([position for position, gene in enumerate(genes) if gene in column], dtype=np.int64)
            if len(have):
                own = np.array([column[genes[position]] for position in have], dtype=np.int64)
                values[np.ix_(at, have)] = self.mapped(index)[np.ix_(rows[at] - slide.start, own)]
        return values

    def mapped(self, index: int) -> FloatArray:
        """Intensities of one slide, float32 ``(units, markers of its panel)``, a memory map."""
        found: FloatArray = np.load(intensities_file(self.folder, index), mmap_mode="r", allow_pickle=False)
        return found

    def _refuse_other_kind(self, asked: Measure) -> None:
        if self.measure.of != asked.of:
            raise UserError(
                "counts were asked for, and the cohort has intensities of proteins",
                where=f"cohort {self.info.name}",
                expected="a cohort of counts",
                remedy='name "counts" in the needs of the model\'s card: it is then skipped here',
            )

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
    measure = measure_named(info.measure, where=f"cohort {info.name}")
    (folder / measure.of).mkdir(parents=True, exist_ok=True)
    records: list[SlideRecord] = []
    frames: list[pd.DataFrame] = []
    start = 0
    for index, slide in enumerate(slides):
        stop = start + len(slide.units)
        _write_values(folder, index, slide, measure, f"cohort {info.name}, slide {slide.entry.slide}")
        frames.append(_units_of(slide))
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
    units = pd.concat(frames, ignore_index=True)
    if "cell_type" in units:  # a slide of which nobody is annotated, among others
        units["cell_type"] = units["cell_type"].fillna("")
    with written_whole(folder / UNITS_FILE) as part:
        units.to_parquet(part, compression="zstd", index=False)
    record = {"info": _told(info), "slides": [asdict(slide) for slide in records]}
    write_text_whole(folder / COHORT_FILE, json.dumps(record, indent=1, sort_keys=True) + "\n")
    return CohortStore(folder)


def intensities_file(folder: Path, index: int) -> Path:
    return folder / "intensities" / f"{index:04d}.npy"


def _write_values(folder: Path, index: int, slide: SlideData, measure: Measure, where: str) -> None:
    """Counts or intensities of one slide: what its cohort's measure is of."""
    refuse_other_kind(measure, "counts" if slide.intensities is None else "intensities", where)
    if slide.intensities is not None:
        with written_whole(intensities_file(folder, index)) as part, part.open("wb") as file:
            np.save(file, _checked(slide.intensities, slide, where), allow_pickle=False)
    elif slide.counts is not None:
        with written_whole(folder / "counts" / f"{index:04d}.npz") as part, part.open("wb") as file:
            sparse.save_npz(file, slide.counts.astype(np.int32))


def _checked(values: FloatArray, slide: SlideData, where: str) -> FloatArray:
    """Every reader's intensities are checked here once more: a hole would be a number in the targets of everybody."""
    found = np.ascontiguousarray(values, dtype=np.float32)
    if found.shape != (len(slide.units), len(slide.genes)) or not np.isfinite(found).all():
        raise UserError(
            f"intensities {found.shape}, {int((~np.isfinite(found)).sum())} of them not finite", where=where,
            expected=f"finite numbers, {len(slide.units)} units x {len(slide.genes)} markers", remedy="mend the file",
        )  # fmt: skip
    return found


def _units_of(slide: SlideData) -> pd.DataFrame:
    units = slide.units[["cell_id", "x_px", "y_px"]].copy()
    units.insert(0, "slide", slide.entry.slide)
    if slide.cell_type is not None:
        units["cell_type"] = np.asarray(slide.cell_type).astype(object)
    return units


def _told(info: CohortInfo) -> dict[str, Any]:
    """What has a default is written where it differs: a cohort of counts is stored in the bytes that it always had."""
    defaults = {one.name: one.default for one in fields(info)}
    return {name: value for name, value in asdict(info).items() if value != defaults[name]}


def open_store(_request: CohortRequest, folder: Path) -> CohortStore:
    """Here and not beside the reading: what fits and scores a stored cohort depends on no reader."""
    return CohortStore(folder)
