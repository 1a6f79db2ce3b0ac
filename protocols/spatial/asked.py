"""What is asked of sections: the tiles that a window covers, and the genes that every model is scored on."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from protocols.bulk.answers import section_genes
from protocols.errors import UserError
from protocols.metrics.spatial_maps import MIN_DISTINCT, TileGrid, distinct_values
from protocols.spatial.store import Section, SectionsStore
from protocols.spatial.windows import lay_windows
from protocols.task import Question

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class AskedSection:
    """A section's covered tiles, the genes that are looked at there and what the spots say: ``truth`` ``(t, g)``."""

    section: Section
    grid: TileGrid
    genes: tuple[str, ...]
    truth: Float


def asked_sections(question: Question, own: Collection[str] = ()) -> list[AskedSection]:
    """Every section of a board; ``own``: genes that are looked at beside those of every model.

    A gene is asked where section and cohort both measure it and its map takes enough different values.
    """
    opened = question.opened(question.board.cohort)
    wanted = {*evaluated_genes(question), *own, *module_genes(opened.entry.modules)}
    return [_asked(question, opened.store, number, wanted) for number in range(len(opened.store.slides))]


def _asked(question: Question, sections: SectionsStore, number: int, wanted: Collection[str]) -> AskedSection:
    section = sections.section(number)
    kept = covered(sections, section)
    listed = [gene for gene in section_genes(question.cohort.store.genes, section.genes) if gene in wanted]
    truth = section.expression[:, [section.genes.index(gene) for gene in listed]][kept]
    enough = distinct_values(truth) >= MIN_DISTINCT
    genes = tuple(gene for gene, keep in zip(listed, enough, strict=True) if keep)
    return AskedSection(section, TileGrid(section.row[kept], section.column[kept]), genes, truth[:, enough])


def covered(sections: SectionsStore, section: Section) -> NDArray[np.bool_]:
    """Tiles that a window covers, ``(tiles,)``: the others have no answer."""
    return lay_windows(section.row, section.column, sections.window, sections.stride).covered


def evaluated_genes(question: Question) -> tuple[str, ...]:
    """The genes that every model is scored on: the most variable over the bulk cohort's patients, by name.

    The cohort's patients are none of the sections', so this looks at no truth. SEQUOIA takes each model's own best 500
    genes on slides; scored beside it as the model's own genes.
    """
    entry, store = question.opened(question.board.cohort).entry, question.cohort.store
    if entry.genes is None:
        raise RuntimeError("which genes of sections are scored is known to scoring alone")
    spread = store.expression(np.arange(len(store.patients))).std(axis=0)
    order = np.argsort(-spread, kind="stable")[: entry.genes]
    return tuple(sorted(store.genes[place] for place in order))


def module_genes(path: Path | None) -> dict[str, tuple[str, ...]]:
    """Gene to its meta-modules, from a JSON file of modules and their genes; empty without a file."""
    if path is None:
        return {}
    try:
        listed: Mapping[str, list[str]] = json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError) as error:
        raise UserError(
            f"unreadable meta-modules ({type(error).__name__})", where=path, expected="JSON: module to genes",
            remedy="set the cohort's modules",
        ) from None  # fmt: skip
    found: dict[str, tuple[str, ...]] = {}
    for module, genes in listed.items():
        for gene in dict.fromkeys(genes):
            found[gene] = (*found.get(gene, ()), module)
    return found
