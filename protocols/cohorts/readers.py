"""Which readers there are, and what each wants in a manifest. A reader's file is imported only when it is used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import cast

from protocols.cohorts.cohort import SlideData, SlideEntry
from protocols.errors import look_up, refuse_unknown_keys

ReadFunction = Callable[[SlideEntry, Path], SlideData]


@dataclass(frozen=True)
class ReaderSpec:
    """A reader: its module, the roles of its files and its options; every name is a column of the manifest."""

    name: str
    module: str
    summary: str
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        return ("slide", "patient", "cancer", *self.required, *self.optional, *self.options)

    @property
    def function(self) -> ReadFunction:
        return cast(ReadFunction, import_module(self.module).read)


def _spec(
    name: str, summary: str, required: tuple[str, ...], optional: tuple[str, ...] = (), options: tuple[str, ...] = ()
) -> ReaderSpec:
    return ReaderSpec(name, f"protocols.cohorts.{name}", summary, required, optional, (*options, "max_outside"))


READERS: dict[str, ReaderSpec] = {
    spec.name: spec
    for spec in (
        _spec(
            "xenium",
            "a Xenium output bundle with its H&E image",
            ("bundle",),
            ("image", "alignment_csv", "keypoints"),
            ("alignment", "kabsch", "centroid", "mpp"),
        ),
        _spec(
            "spot_table",
            "Spatial Transcriptomics or Visium as tables: counts, spots, image",
            ("counts", "spots", "image"),
            ("gene_names",),
            ("mpp", "pitch_um", "pixel_scale", "x_column", "y_column"),
        ),
        _spec("visium", "Space Ranger's outs folder with the full-resolution image", ("outs", "image"), (), ("mpp",)),
        _spec(
            "h5ad",
            "an AnnData file with obsm['spatial'] in pixels, and its image",
            ("h5ad", "image"),
            (),
            ("mpp", "layer", "unit", "pixel_scale"),
        ),
        _spec(
            "hest",
            "HEST-1k: st/<id>.h5ad with patches/<id>.h5 or the whole image",
            ("h5ad",),
            ("patches", "image"),
            ("mpp", "layer", "unit"),
        ),
    )
}


def reader_spec(name: str) -> ReaderSpec:
    return look_up(name, READERS, kind="reader", where="the cohort's reader")


def read_slide(reader: str, entry: SlideEntry, root: Path) -> SlideData:
    """One slide, read and checked whole; ``root`` is the folder that the entry's files are relative to."""
    spec = reader_spec(reader)
    where = f"slide {entry.slide}"
    refuse_unknown_keys(entry.files, (*spec.required, *spec.optional), where=where)
    refuse_unknown_keys(entry.options, spec.options, where=where)
    return spec.function(entry, root)
