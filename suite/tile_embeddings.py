"""Embeddings of the tiles of cohorts of slides: each encoder embeds each cohort once, kept by a key of its content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from protocols.cohorts.crops import CohortCrops
from protocols.files import sha256_of, sha256_of_files, write_text_whole
from protocols.survival.cohort import SlideFile
from suite.config import Config, TileConfig
from suite.places import EMBEDDINGS
from suite.progress import steps
from suite.stages.encoder_sources import encoder_sources
from suite.tiling import read_tiles
from suite.workers import in_parallel


@dataclass(frozen=True)
class TileSource:
    """A cohort's slides and where its tiles are listed. ``kind`` is the folder of its embeddings; ``hash`` covers the
    slides' bytes."""

    kind: str
    name: str
    folder: Path
    root: Path
    slides: tuple[SlideFile, ...]
    hash: str
    tile: TileConfig


def embed_tiles(
    config: Config, sources: Sequence[TileSource], encoders: Sequence[str]
) -> dict[tuple[str, str], dict[str, Any]]:
    """(cohort, encoder) -> where the embedding lies, its hash and its weights; missing ones are computed.

    A cohort whose slides are all precomputed bags, or that has none, has no entry.
    """
    files: dict[tuple[str, str], tuple[TileSource, Path]] = {}
    for source in sources:
        if any(slide.kind == "image" for slide in source.slides):
            files |= {(source.name, encoder): (source, _file(config, source, encoder)) for encoder in encoders}
    missing = [
        (config, source, encoder, str(file))
        for (_, encoder), (source, file) in files.items()
        if not note_of(file).exists()
    ]
    if missing:
        with steps(len(missing), f"embedding tiles: {len(missing)} pairs of cohort and encoder") as report:
            for done, _ in enumerate(in_parallel(_embed_one, missing, config.workers, at_once=len(missing) > 1)):
                report(done + 1)
    return {key: {"file": file.as_posix(), **json.loads(note_of(file).read_text())} for key, (_, file) in files.items()}


def note_of(file: Path) -> Path:
    """The note beside an embedding; it is written last and makes the embedding count."""
    return file.with_suffix(".json")


def _file(config: Config, source: TileSource, encoder: str) -> Path:
    settings = config.settings(encoder)
    key = {
        "cohort": source.hash,
        "tile": source.tile.model_dump(),
        "encoder": encoder,
        "profile": settings.profile,
        "seed": settings.seed,
        "device": settings.device,
        "threads": settings.threads,
        "weights": settings.weights,
        "sources": sha256_of_files(*encoder_sources()),
        "libraries": {name: metadata.version(name) for name in ("torch", "timm")},
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return EMBEDDINGS / source.kind / source.name / f"{encoder}-{digest[:16]}.npy"


def _embed_one(task: tuple[Config, TileSource, str, str]) -> None:
    from baselines.encoders.embedding import embed

    config, source, encoder, file = task
    tiles = read_tiles(source.folder)
    images = [(source.root / slide.path, tiles.mpp.get(number, 1.0)) for number, slide in enumerate(source.slides)]
    crops = CohortCrops(tiles.slide, tiles.xy_px, images, source.tile.um, source.tile.pixels)
    rows = np.arange(len(tiles), dtype=np.int64)
    with steps(len(rows), f"{source.name}: embedding tiles with {encoder}") as report:
        settings = config.settings(encoder)
        weights = embed(encoder, crops, rows, settings, Path(file), lambda done, _: report(done), whole_view=True)
    note = {"sha256": sha256_of(Path(file)), "weights": vars(weights)}
    write_text_whole(note_of(Path(file)), json.dumps(note, sort_keys=True))
