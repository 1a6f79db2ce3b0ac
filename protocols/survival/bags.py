"""Bags of tile embeddings: a patient's bag is read when it is asked for, from the embedding or from files handed in."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from protocols.contract import FloatArray
from protocols.errors import UserError
from protocols.images.tiling import read_tiles, tile_crops
from protocols.survival.store import PatientStore
from protocols.task import CropSet, Opened

TILES = "tiles"
"""The only set of crops of a cohort of patients."""
PROTEIN_TOKENS = "protein_tokens"
"""What the slides table calls the encoder of a bag that has one token a protein: 40 x 384 in HEX's layout."""


def crops(opened: Opened) -> list[CropSet]:
    """The tiles of every slide that is an image."""
    return tile_crops(TILES, opened.folder, opened.store.slides, opened.entry.root, opened.settings.tile)


def serves(opened: Opened, encoder: str) -> bool:
    """Whether every patient has a slide to embed or a precomputed bag of this encoder."""
    store: PatientStore = opened.store
    served = {slide.patient for slide in store.slides if slide.kind == "image" or slide.encoder == encoder}
    return bool(store.slides) and served >= set(store.patients)


class Bags:
    """Implements :data:`protocols.survival.views.BagReader`: embedded tiles through a memory map, files one by one."""

    def __init__(self, opened: Opened, encoder: str, embedding: Path | None) -> None:
        store: PatientStore = opened.store
        self._root, self._encoder, self._cohort = opened.entry.root, encoder, opened.name
        self._array = np.load(embedding, mmap_mode="r", allow_pickle=False) if embedding else None
        self._tiles = read_tiles(opened.folder)
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
            from protocols.readers.bag_files import read_bag

            return read_bag(self._root / slide.path, slide.encoder)
        if self._array is None:
            raise RuntimeError("image slides without an embedding")
        return np.array(self._array[self._tiles.rows_of(number)], dtype=np.float32)

    def _first_width(self) -> int:
        return int(self._part(next(iter(self._of_patient.values()))[0]).shape[1])


def have_tokens(store: PatientStore) -> bool:
    """Whether every patient has a bag of protein tokens."""
    served = {slide.patient for slide in store.slides if slide.encoder == PROTEIN_TOKENS}
    return bool(store.patients) and served >= set(store.patients)


class ProteinTokens:
    """Patient -> protein tokens, float32 ``(proteins, width)``; of several slides of a patient their mean.

    Row k is protein k of everybody, so all bags of a cohort have one shape; another is a :class:`UserError`.
    """

    def __init__(self, opened: Opened) -> None:
        self._root, self._cohort = opened.entry.root, opened.name
        self._of_patient: dict[str, list[Path]] = {}
        for slide in opened.store.slides:
            if slide.encoder == PROTEIN_TOKENS:
                self._of_patient.setdefault(slide.patient, []).append(self._root / slide.path)
        self._shape = self._read(next(iter(self._of_patient.values()))[0]).shape

    def __call__(self, patient: str) -> FloatArray:
        bags = [self._read(path) for path in self._of_patient[patient]]
        for path, bag in zip(self._of_patient[patient], bags, strict=True):
            if bag.shape != self._shape:
                raise UserError(
                    f"protein tokens {bag.shape}",
                    where=path,
                    expected=f"{self._shape} as of the first patient of cohort {self._cohort}",
                    remedy="write one token a protein, the same proteins for every slide",
                )
        return bags[0] if len(bags) == 1 else np.mean(bags, axis=0, dtype=np.float32)

    @staticmethod
    def _read(path: Path) -> FloatArray:
        from protocols.readers.bag_files import read_bag

        return read_bag(path, PROTEIN_TOKENS)
