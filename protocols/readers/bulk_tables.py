"""What the readers of bulk expression share: gene lists, repeated symbols, the logarithm, and slides' barcodes."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TextIO

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.bulk.cohort import UNKNOWN_TYPE
from protocols.contract import FloatArray
from protocols.errors import UserError, look_up
from protocols.readers.patient_tables import read_csv
from protocols.splits import Exclusion
from protocols.survival.cohort import SlideFile

GeneRule = Literal["median_above_zero", "any_above_zero", "all"]
Duplicates = Literal["highest_mean", "sum", "by_id"]

LARGEST_LOG2 = 32.0
"""No FPKM or TPM reaches 2^32: a larger value in a table of logarithms was never logged."""
IMAGE_SUFFIXES = (".svs", ".tif", ".tiff", ".ndpi", ".mrxs")
_BARCODE = re.compile(r"(TCGA-[A-Z0-9]{2}-[A-Z0-9]{4})(?:-(\d{2}))?(?![A-Z0-9]{2})")
_CHUNK = 4096
_GENES_AT_ONCE = 2000


@dataclass(frozen=True)
class GeneTable:
    """Genes by Ensembl id (or any unique id), with symbol and type; ``values``: log2(v + 1), float32 ``(n, genes)``."""

    ids: tuple[str, ...]
    symbols: tuple[str, ...]
    types: tuple[str, ...]
    values: FloatArray

    def columns(self, kept: Sequence[int] | NDArray[np.int64]) -> GeneTable:
        """Some of the genes, in the order given."""
        places = [int(place) for place in kept]
        return GeneTable(
            tuple(self.ids[place] for place in places),
            tuple(self.symbols[place] for place in places),
            tuple(self.types[place] for place in places),
            self.values[:, places],
        )


def log2_plus_one(values: NDArray[np.float64]) -> FloatArray:
    """log2(v + 1), computed in double precision (SEQUOIA, Methods: gene expression)."""
    logged: FloatArray = (np.log1p(values) / np.log(2.0)).astype(np.float32)
    return logged


def tidy_genes(table: GeneTable, *, rule: str, duplicates: str, where: object) -> GeneTable:
    """The genes that ``rule`` keeps, each symbol once as ``duplicates`` says, sorted by symbol."""
    mask = look_up(rule, GENE_RULES, kind="gene rule", where=where)(table.values)
    resolve = look_up(duplicates, DUPLICATES, kind="rule for repeated symbols", where=where)
    kept = table.columns(np.flatnonzero(mask))
    if not kept.ids:
        raise UserError("no gene left", where=where, expected=f"genes that are {rule}", remedy="check the table")
    made = resolve(kept) if len(set(kept.symbols)) < len(kept.symbols) else kept
    return made.columns(sorted(range(len(made.ids)), key=lambda place: made.symbols[place]))


def _median_above_zero(values: FloatArray) -> NDArray[np.bool_]:
    """SEQUOIA's per-cancer gene list.

    It looks at every patient of the cohort, tested ones too. That chooses which questions are asked, from the labels
    alone; nothing is fitted on it.
    """
    starts = range(0, values.shape[1], _CHUNK)
    medians = [np.median(values[:, start : start + _CHUNK], axis=0) for start in starts]
    return np.asarray(np.concatenate(medians) > 0) if medians else np.zeros(0, dtype=bool)


GENE_RULES: dict[str, Callable[[FloatArray], NDArray[np.bool_]]] = {
    "median_above_zero": _median_above_zero,
    "any_above_zero": lambda values: np.asarray((values > 0).any(axis=0)),
    "all": lambda values: np.ones(values.shape[1], dtype=bool),
}


def _groups(symbols: Sequence[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for place, symbol in enumerate(symbols):
        found.setdefault(symbol, []).append(place)
    return found


def _highest_mean(table: GeneTable) -> GeneTable:
    """Of each symbol the gene with the highest mean of log2(v + 1); the first id where means are equal."""
    mean = table.values.mean(axis=0, dtype=np.float64)
    return table.columns(
        [min(places, key=lambda place: (-mean[place], table.ids[place])) for places in _groups(table.symbols).values()]
    )


def _sum(table: GeneTable) -> GeneTable:
    """The sum of the unlogged values, under the first id."""
    groups = list(_groups(table.symbols).values())
    made = table.columns([places[0] for places in groups])
    for column, places in enumerate(groups):
        if len(places) > 1:
            made.values[:, column] = log2_plus_one(np.expm1(table.values[:, places] * np.log(2.0)).sum(axis=1))
    return made


def _by_id(table: GeneTable) -> GeneTable:
    """All of them, told apart by their ids: the nearest to the released script, which leaves symbols repeated."""
    repeated = {symbol for symbol, places in _groups(table.symbols).items() if len(places) > 1}
    names = tuple(f"{s}|{i}" if s in repeated else s for s, i in zip(table.symbols, table.ids, strict=True))
    return GeneTable(table.ids, names, table.types, table.values)


DUPLICATES: dict[str, Callable[[GeneTable], GeneTable]] = {
    "highest_mean": _highest_mean,
    "sum": _sum,
    "by_id": _by_id,
}


def refuse_bad_expression(values: NDArray[np.float64], genes: Sequence[str], *, where: object, logged: bool) -> None:
    """Expression is finite and from 0 up; a logarithm of it is also far below ``LARGEST_LOG2``."""
    bad = ~(np.isfinite(values) & (values >= 0))
    if logged:
        bad |= values > LARGEST_LOG2
    if bad.any():
        gene = int(np.argmax(bad))
        expected = f"log2(v + 1), from 0 to {LARGEST_LOG2:g}" if logged else "finite numbers from 0 up"
        raise UserError(
            f"expression of {genes[gene]} is {values[gene]:g}", where=where, expected=expected, remedy="mend the table"
        )


def read_gene_list(path: Path) -> dict[str, str]:
    """Gene to type, in the list's order: CSV with column gene and, if types are known, gene_type."""
    table = read_csv(path, dtype=str)
    if "gene" not in table.columns:
        raise UserError("no column 'gene'", where=path, expected="gene and perhaps gene_type", remedy="add it")
    if table["gene"].isna().any() or table["gene"].duplicated().any():
        raise UserError("an empty or repeated gene", where=path, expected="each gene once", remedy="mend the list")
    types = table["gene_type"].fillna(UNKNOWN_TYPE) if "gene_type" in table.columns else [UNKNOWN_TYPE] * len(table)
    return dict(zip(table["gene"], types, strict=True))


def read_table(path: Path, columns: Sequence[str], *, separator: str) -> pd.DataFrame:
    """A table of text in which every one of ``columns`` must be; empty cells are empty text."""
    table = read_csv(path, sep=separator, dtype=str, keep_default_na=False)
    for column in columns:
        if column not in table.columns:
            raise UserError(
                f"no column {column!r}", where=path, expected=", ".join(columns), remedy="use the file as it came"
            )
    return table


def unzipped(content: bytes, path: Path) -> bytes:
    """What is in a gzip file's bytes, or one clear error for a damaged file."""
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error):
        raise UserError("damaged gzip file", where=path, expected="a whole file", remedy="fetch it again") from None


def same_sample(
    slides: Sequence[SlideFile], sample_of: Mapping[str, str], *, where: object
) -> tuple[list[SlideFile], list[Exclusion]]:
    """Slides of the sample whose expression is used, by TCGA barcode; slides of other names are taken as they are.

    A barcode of another patient than the table says is an error. Sample types (01 primary tumour, 06 metastasis, 11
    normal, ...) must agree; vials need not: the diagnostic slide's is always Z (as HE2RNA joins them).
    """
    kept, excluded = [], []
    for slide in slides:
        own = _BARCODE.match(slide.slide)
        if own and _BARCODE.match(str(slide.patient)) and own[1] != slide.patient[:12]:
            raise UserError(
                f"slide {slide.slide} is listed as of patient {slide.patient}",
                where=where,
                expected=f"patient {own[1]}",
                remedy="mend the list of slides",
            )
        sample = _BARCODE.match(sample_of.get(slide.patient, ""))
        if own and own[2] and sample and sample[2] and own[2] != sample[2]:
            excluded.append(
                Exclusion(f"slide {slide.slide}", f"of sample type {own[2]}, expression is of type {sample[2]}")
            )
        else:
            kept.append(slide)
    return kept, excluded


def slide_key(name: str) -> str:
    """A slide's name without an image file's suffix, under which tables and lists agree."""
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and f".{suffix.lower()}" in IMAGE_SUFFIXES else name


@contextmanager
def _gct(path: Path) -> Iterator[tuple[TextIO, int, list[str]]]:
    """The open file at its first gene, the number of its genes, and its samples."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            version, sizes, header = (file.readline().rstrip("\r\n").split("\t") for _ in range(3))
            if version[:1] != ["#1.2"] or header[:2] != ["Name", "Description"] or not "".join(sizes).isdigit():
                raise UserError(
                    "no GCT table", where=path, expected="#1.2, sizes, Name, Description, samples", remedy="fetch it"
                )
            samples = header[2:]
            if len(set(samples)) != len(samples) or int(sizes[1]) != len(samples):
                raise UserError(
                    f"{len(set(samples))} different samples", where=path, expected=sizes[1], remedy="fetch it again"
                )
            yield file, int(sizes[0]), samples
    except FileNotFoundError:
        raise UserError("no such table", where=path, expected="a GCT file", remedy="check the path") from None
    except (EOFError, zlib.error, gzip.BadGzipFile, UnicodeDecodeError) as error:
        said = type(error).__name__
        raise UserError(f"damaged ({said})", where=path, expected="a whole table", remedy="fetch it again") from None


def gct_samples(path: Path) -> list[str]:
    """The samples of a GCT table (.gct or .gct.gz), in its order."""
    with _gct(path) as (_, _, samples):
        return samples


def _blocks(file: TextIO, path: Path, measured: Sequence[str], samples: Sequence[str]) -> Iterator[pd.DataFrame]:
    """Name, Description and some samples of a few thousand genes at a time."""
    reader = pd.read_csv(
        file,
        sep="\t",
        names=["Name", "Description", *measured],
        usecols=["Name", "Description", *samples],
        dtype={"Name": str, "Description": str, **dict.fromkeys(samples, np.float64)},
        keep_default_na=False,
        na_values={sample: [""] for sample in samples},
        chunksize=_GENES_AT_ONCE,
    )
    while True:
        try:
            block = next(reader)
        except StopIteration:
            return
        except ValueError as error:  # also pandas' ParserError
            raise UserError(
                f"damaged ({str(error).splitlines()[0]})", where=path, expected="numbers", remedy="fetch it again"
            ) from None
        yield block


def read_gct(path: Path, samples: Sequence[str]) -> GeneTable:
    """Some samples' log2(v + 1) of a GCT table of expression, read a few thousand genes at a time."""
    ids: list[str] = []
    symbols: list[str] = []
    with _gct(path) as (file, n_genes, measured):
        values = np.empty((len(samples), n_genes), dtype=np.float32)
        for block in _blocks(file, path, measured, samples):
            raw = block[list(samples)].to_numpy(np.float64)
            names = list(block["Name"])
            for column, sample in enumerate(samples):
                refuse_bad_expression(raw[:, column], names, where=f"{path}, {sample}", logged=False)
            start = len(ids)
            ids.extend(names)
            symbols.extend(block["Description"])
            if len(ids) <= n_genes:
                values[:, start : len(ids)] = log2_plus_one(raw).T
    if len(ids) != n_genes or len(set(ids)) != n_genes:
        raise UserError(
            f"{len(ids)} genes, {len(set(ids))} different",
            where=path,
            expected=f"{n_genes}, each once",
            remedy="fetch it again",
        )
    return GeneTable(tuple(ids), tuple(symbols), (UNKNOWN_TYPE,) * n_genes, values)
