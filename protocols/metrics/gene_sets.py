"""Over-representation of gene sets among chosen genes: hypergeometric test, Benjamini-Hochberg over the sets.

Source: SEQUOIA, Methods, "Gene set analysis", which names the test and the correction; sets come from a GMT file
(MSigDB, Enrichr: name, description, genes, separated by tabs).
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from protocols.errors import UserError
from protocols.metrics.well_predicted import benjamini_hochberg

GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Enriched:
    """One gene set: its ``size`` in the universe, how many and which of its genes are hits, and how surprising."""

    gene_set: str
    size: int
    overlap: int
    expected: float
    p: float
    q: float
    genes: tuple[str, ...]


def read_gmt(path: Path) -> dict[str, tuple[str, ...]]:
    """Gene sets by name, genes in the order of the file and each once; gzip is recognised by its first bytes."""
    sets: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        name, *rest = (field.strip() for field in line.split("\t"))
        genes = tuple(dict.fromkeys(gene for gene in rest[1:] if gene))
        if not name or not genes:
            raise _refused(path, f"line {number} has no {'genes' if name else 'name'}")
        if name in sets:
            raise _refused(path, f"line {number} repeats the set {name!r}")
        sets[name] = genes
    if not sets:
        raise _refused(path, "no gene set")
    return sets


def over_representation(
    hits: Iterable[str],
    universe: Iterable[str],
    gene_sets: Mapping[str, Iterable[str]],
    min_size: int = 5,
    max_size: int = 500,
) -> list[Enriched]:
    """Gene sets by p, then name: P(at least ``overlap`` of the set among as many genes drawn from the universe).

    The universe is the genes that could have been hits, those that were predicted and tested, and not the whole
    genome: genes that are not expressed cannot be well predicted, and with them in the background every set of
    expressed genes looks enriched. So each set is cut to the universe first, and its size there must be within
    ``min_size`` and ``max_size``. All sets of such a size are tested and corrected for, those without a hit too: to
    leave these out would be to choose hypotheses by their outcome.
    """
    from scipy.stats import hypergeom

    background, drawn = set(universe), set(hits)
    foreign = sorted(drawn - background)
    if foreign:
        raise UserError(
            f"{len(foreign)} of {len(drawn)} hits are not in the universe, such as {foreign[0]!r}",
            where="the over-representation test",
            expected="hits chosen from the universe",
            remedy="give as universe all genes that were tested, under the same kind of name",
        )
    inside = {name: background.intersection(genes) for name, genes in sorted(gene_sets.items())}
    inside = {name: genes for name, genes in inside.items() if min_size <= len(genes) <= max_size}
    if not inside:
        return []
    shared = [tuple(sorted(genes & drawn)) for genes in inside.values()]
    size = np.array([len(genes) for genes in inside.values()])
    overlap = np.array([len(genes) for genes in shared])
    p = np.clip(hypergeom.sf(overlap - 1, len(background), size, len(drawn)), 0.0, 1.0)
    q = benjamini_hochberg(p)
    expected = size * len(drawn) / len(background)
    rows = [
        Enriched(name, int(size[i]), int(overlap[i]), float(expected[i]), float(p[i]), float(q[i]), shared[i])
        for i, name in enumerate(inside)
    ]
    return sorted(rows, key=lambda row: (row.p, row.gene_set))


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
        return (gzip.decompress(data) if data.startswith(GZIP) else data).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _refused(path, "not a text file") from None
    except (OSError, EOFError, zlib.error) as error:  # gzip's own error is an OSError
        raise _refused(path, f"cannot be read ({getattr(error, 'strerror', None) or error})") from None


def _refused(path: Path, what: str) -> UserError:
    return UserError(
        what,
        where=path,
        expected="a GMT file: a set a line, as name, description and genes separated by tabs",
        remedy="download the gene sets again, or mend the line",
    )
