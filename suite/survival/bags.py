"""Bags of tile embeddings: each encoder embeds a cohort's tiles once; a patient's bag is read when it is asked for."""

from __future__ import annotations

import hashlib
import json
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from protocols.cohorts.crops import CohortCrops
from protocols.contract import FloatArray
from protocols.errors import UserError
from protocols.files import sha256_of, sha256_of_files, write_text_whole
from protocols.survival.store import PatientStore
from suite.config import Config
from suite.places import EMBEDDINGS, PATIENTS
from suite.progress import steps
from suite.stages.encoder_sources import encoder_sources
from suite.survival.cohorts import cohort_config, read_tiles
from suite.workers import in_parallel


def encoder_is_served(store: PatientStore, encoder: str) -> bool:
    """Whether every patient has a slide to embed or a precomputed bag of this encoder."""
    served = {slide.patient for slide in store.slides if slide.kind == "image" or slide.encoder == encoder}
    return bool(store.slides) and served >= set(store.patients)


def embed_cohorts(config: Config, encoders: list[str]) -> dict[tuple[str, str], dict[str, Any]]:
    """(cohort, encoder) -> where the tile embedding lies, its hash and its weights; missing ones are computed.

    A cohort whose slides are all precomputed bags, or that has none, has no entry.
    """
    files: dict[tuple[str, str], Path] = {}
    for name in config.survival.cohorts:
        store = PatientStore(PATIENTS / name)
        if any(slide.kind == "image" for slide in store.slides):
            files |= {(name, encoder): _file(config, store, encoder) for encoder in encoders}
    missing = [(config, *key, str(file)) for key, file in files.items() if not note_of(file).exists()]
    if missing:
        with steps(len(missing), f"embedding tiles: {len(missing)} pairs of cohort and encoder") as report:
            for done, _ in enumerate(in_parallel(_embed_one, missing, config.workers, at_once=len(missing) > 1)):
                report(done + 1)
    return {key: {"file": file.as_posix(), **json.loads(note_of(file).read_text())} for key, file in files.items()}


def note_of(file: Path) -> Path:
    """The note beside an embedding; it is written last and makes the embedding count."""
    return file.with_suffix(".json")


def _file(config: Config, store: PatientStore, encoder: str) -> Path:
    settings = config.settings(encoder)
    key = {
        "cohort": store.hash,
        "tile": config.survival.tile.model_dump(),
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
    return EMBEDDINGS / "patients" / store.info.name / f"{encoder}-{digest[:16]}.npy"


def _embed_one(task: tuple[Config, str, str, str]) -> None:
    from baselines.shared.embedding import embed

    config, name, encoder, file = task
    store, tiles, root = PatientStore(PATIENTS / name), read_tiles(name), cohort_config(config, name).root
    images = [(root / slide.path, tiles.mpp.get(number, 1.0)) for number, slide in enumerate(store.slides)]
    tile = config.survival.tile
    crops = CohortCrops(tiles.slide, tiles.xy_px, images, tile.um, tile.pixels)
    rows = np.arange(len(tiles), dtype=np.int64)
    with steps(len(rows), f"{name}: embedding tiles with {encoder}") as report:
        settings = config.settings(encoder)
        weights = embed(encoder, crops, rows, settings, Path(file), lambda done, _: report(done), whole_view=True)
    note = {"sha256": sha256_of(Path(file)), "weights": vars(weights)}
    write_text_whole(note_of(Path(file)), json.dumps(note, sort_keys=True))


class Bags:
    """Implements :data:`protocols.survival.views.BagReader`: embedded tiles through a memory map, files one by one."""

    def __init__(self, name: str, store: PatientStore, encoder: str, root: Path, embedding: Path | None) -> None:
        self._root, self._encoder, self._cohort = root, encoder, name
        self._array = np.load(embedding, mmap_mode="r", allow_pickle=False) if embedding else None
        self._tiles = read_tiles(name)
        self._of_patient: dict[str, list[int]] = {}
        for number, slide in enumerate(store.slides):
            if slide.kind == "image" or slide.encoder == encoder:
                self._of_patient.setdefault(slide.patient, []).append(number)
        self._slides = store.slides
        self.dim = self._array.shape[1] if self._array is not None else self._first_width()

    def __call__(self, patient: str) -> FloatArray:
        parts = [self._part(number) for number in self._of_patient[patient]]
        widths = {part.shape[1] for part in parts}
        if widths != {self.dim}:
            raise UserError(
                f"patient {patient} has bags of widths {sorted(widths)}",
                where=f"cohort {self._cohort}",
                expected=f"{self.dim} features of encoder {self._encoder}",
                remedy="hand in bags of one encoder",
            )
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _part(self, number: int) -> FloatArray:
        slide = self._slides[number]
        if slide.kind == "bag":
            from baselines.shared.bag_files import read_bag

            return read_bag(self._root / slide.path)
        if self._array is None:
            raise RuntimeError("image slides without an embedding")
        return np.array(self._array[self._tiles.rows_of(number)], dtype=np.float32)

    def _first_width(self) -> int:
        return int(self._part(next(iter(self._of_patient.values()))[0]).shape[1])
