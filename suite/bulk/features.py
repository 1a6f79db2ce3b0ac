"""What models of bulk expression read of slides: tile embeddings and super-tiles of every cohort and section."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from protocols.bulk.store import BulkStore
from protocols.files import sha256_of
from protocols.spatial.store import SectionsStore
from protocols.survival.cohort import SlideFile
from suite.bulk.cohorts import bulk_config
from suite.bulk.sections import root_of
from suite.bulk.super_tiles import make_super_tiles, read_slide_tiles, super_tile_stem
from suite.config import Config
from suite.places import BULK, SECTIONS
from suite.progress import steps
from suite.tile_embeddings import TileSource, embed_tiles
from suite.tiling import read_tiles
from suite.workers import in_parallel

SECTIONS_NAME = "sections"
"""The name under which records list the sections beside the cohorts."""


def slides_are_served(slides: tuple[SlideFile, ...], encoder: str) -> bool:
    """Whether every slide can be embedded or is a precomputed bag of this encoder."""
    return all(slide.kind == "image" or slide.encoder == encoder for slide in slides)


def bulk_sources(config: Config) -> list[TileSource]:
    """Every cohort with bulk expression, and the sections, as sources of tiles."""
    sources = []
    for name in config.bulk.cohorts:
        store, root = BulkStore(BULK / name), bulk_config(config, name).root
        sources.append(TileSource("bulk", name, BULK / name, root, store.slides, store.hash, config.bulk.tile))
    if "gbm_spatial" in config.bulk.protocols and config.bulk.sections:
        found = SectionsStore(SECTIONS)
        sources.append(
            TileSource("bulk", SECTIONS_NAME, SECTIONS, root_of(config), found.slides, found.hash, config.bulk.tile)
        )
    return sources


def prepare_features(config: Config, encoders: list[str]) -> dict[tuple[str, str], dict[str, Any]]:
    """(cohort, encoder) -> tile embedding (file, hash, weights) and, but for sections, super-tiles.

    A cohort that an encoder cannot serve (precomputed bags of another one) has no entry.
    """
    sources = bulk_sources(config)
    embedded = embed_tiles(config, sources, encoders)
    tasks = [
        (config, source, encoder, embedded.get((source.name, encoder)))
        for source in sources
        for encoder in encoders
        if slides_are_served(source.slides, encoder)
    ]
    notes: dict[tuple[str, str], dict[str, Any]] = {}
    with steps(len(tasks), f"super-tiles: {len(tasks)} pairs of cohort and encoder") as report:
        for done, (task, made) in enumerate(in_parallel(_super_tiles, tasks, config.workers)):
            notes[task[1].name, task[2]] = {"embedding": task[3], "super_tiles": made}
            report(done + 1)
    return notes


def _super_tiles(task: tuple[Config, TileSource, str, dict[str, Any] | None]) -> dict[str, Any] | None:
    config, source, encoder, embedding = task
    if source.name == SECTIONS_NAME:
        return None
    content = [embedding["sha256"]] if embedding else []
    content += [sha256_of(source.root / slide.path) for slide in source.slides if slide.kind == "bag"]
    stem = super_tile_stem(config, "bulk", source.name, encoder, "+".join(content))
    file = Path(embedding["file"]) if embedding else None
    slides = read_slide_tiles(source.slides, source.root, encoder, read_tiles(source.folder), file)
    return make_super_tiles(stem, source.name, slides, len(source.slides), config.bulk.super_tiles)
