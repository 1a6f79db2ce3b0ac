"""A whole phantom cohort on disk: Xenium bundles, the manifest, and the truth beside them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from protocols.errors import UserError, did_you_mean
from protocols.files import write_text_whole, written_whole
from protocols.phantom.bundle import fixed_uuid, write_bundle
from protocols.phantom.cell_types import CELL_TYPES, NICHES, STATES, TYPE_NAMES
from protocols.phantom.expression import draw_counts, slide_law
from protocols.phantom.frames import draw_alignment, keypoint_table
from protocols.phantom.genes import Panels, design_panels, gene_id, lacking_genes
from protocols.phantom.image_file import write_he_image
from protocols.phantom.oracle import oracle_prediction, reachable_r
from protocols.phantom.render import render
from protocols.phantom.settings import PhantomSettings
from protocols.phantom.tables import half, write_parquet
from protocols.phantom.tissue import SlideName, make_tissue

VERSION = 1
"""Raised whenever the same settings and seed give other bytes."""


def slide_names(settings: PhantomSettings) -> tuple[SlideName, ...]:
    """All slides of a cohort: one a patient, and the lone cancer's single patient with several."""
    names = [
        SlideName(cancer, f"{cancer}-p{p}", f"{cancer}-p{p}-s1")
        for cancer in settings.cancers
        for p in range(1, settings.patients_per_cancer + 1)
    ]
    if settings.lone_cancer:
        patient = f"{settings.lone_cancer}-p1"
        names += [
            SlideName(settings.lone_cancer, patient, f"{patient}-s{s}") for s in range(1, settings.lone_slides + 1)
        ]
    return tuple(names)


def slide_panel(settings: PhantomSettings, panels: Panels, seed: int, name: SlideName) -> tuple[str, ...]:
    """Genes measured on a slide, in its order: the cancer's panel, less what one patient lacks."""
    first = settings.cancers[0]
    short = name.patient == f"{first}-p{settings.patients_per_cancer}" and settings.patients_per_cancer > 1
    return panels.of_slide(name.cancer, lacking_genes(settings, panels, seed) if short else ())


def generate_slide(
    out: Path, settings: PhantomSettings, panels: Panels, seed: int, name: SlideName
) -> dict[str, np.ndarray[Any, Any]]:
    """Write one slide's bundle and truth; return its rows of ``truth/genes.parquet``."""
    tissue = make_tissue(settings, seed, name)
    genes = slide_panel(settings, panels, seed, name)
    law = slide_law(settings, seed, tissue, genes)
    counts = draw_counts(law, seed, name)
    alignment = draw_alignment(settings, seed, name)
    folder = out / "xenium" / name.slide
    folder.mkdir(parents=True, exist_ok=True)
    ids = [gene_id(gene, panels.pool) for gene in genes]
    cells = write_bundle(folder, settings, seed, tissue, alignment, genes, ids, counts)
    with written_whole(folder / f"{name.slide}_he_image.ome.tif") as part:
        write_he_image(
            part,
            render(settings, seed, tissue),
            mpp=settings.mpp,
            levels=settings.pyramid_levels,
            tile=settings.tile_px,
            quality=settings.jpeg_quality,
            name=name.slide,
            uuid=fixed_uuid(seed, name.slide, "image"),
        )
    keypoints = keypoint_table(settings, seed, name, alignment)
    write_text_whole(folder / f"{name.slide}_keypoints.csv", keypoints.to_csv(index=False, lineterminator="\n"))

    oracle = oracle_prediction(law, settings, seed, name)
    truth = out / "truth"
    columns = {"cell_id": cells.ids} | {gene: half(oracle[:, j]) for j, gene in enumerate(genes)}
    write_parquet(truth / "oracle" / f"{name.slide}.parquet", columns)
    states = {state: tissue.states[:, k].astype(np.float32) for k, state in enumerate(STATES)}
    kinds = {"cell_type": [TYPE_NAMES[k] for k in tissue.kind], "niche": [NICHES[k] for k in tissue.niche]}
    write_parquet(truth / "cells" / f"{name.slide}.parquet", {"cell_id": cells.ids} | kinds | states)
    return {
        "slide": np.array([name.slide] * len(genes)),
        "gene": np.array(genes),
        "visible_share": law.share,
        "reachable_r": reachable_r(law, oracle, settings, seed, name),
    }


def describe(settings: PhantomSettings, seed: int, slides: Sequence[SlideName]) -> dict[str, Any]:
    """``phantom.json``: everything that made the cohort, and what its columns mean."""
    return {
        "format": "slide2omics-phantom",
        "version": VERSION,
        "seed": seed,
        "settings": settings.to_dict(),
        "slides": [name.slide for name in slides],
        "cell_types": [{"name": kind.name, "markers": list(kind.markers)} for kind in CELL_TYPES],
        "niches": list(NICHES),
        "visible_states": list(STATES),
        "target": "log1p(10000 * count / total), total over the Gene Expression features of the slide's panel",
        "model": {
            "log_rate": "base_g + platform_sg + a_g (sqrt(v_g) zvis_ig + sqrt(1 - v_g) zhid_ig)",
            "closure": "rates of genes with v > 0 sum to a constant per cell, and so do those with v = 0",
            "counts": "Poisson(Gamma(L_i p_ig / theta, theta)): mean L p, variance L p (1 + theta)",
            "oracle": "E[target | cell type, visible states], in steps of 1/32",
            "reachable_r": "mean Pearson r of the oracle with replicate counts over the slide's cells; 0 where v = 0",
        },
    }


def _chosen(settings: PhantomSettings, only: Sequence[str] | None) -> list[SlideName]:
    names = {name.slide: name for name in slide_names(settings)}
    for slide in only or ():
        if slide not in names:
            raise UserError(
                f"unknown slide {slide!r}",
                where="phantom",
                expected="a slide of this cohort",
                remedy=did_you_mean(slide, names),
            )
    return [name for slide, name in names.items() if only is None or slide in only]


def generate(
    out: Path,
    settings: PhantomSettings,
    seed: int,
    progress: Callable[[str], None] | None = None,
    only: Sequence[str] | None = None,
) -> None:
    """Write a cohort below ``out``.

    ``only`` limits the cohort to some slides, each with the very bytes it has in the whole cohort. ``slides.csv`` is
    removed first and written last, so that a folder that has it is whole. ``progress`` is called with one line a slide.
    """
    slides = _chosen(settings, only)
    manifest = out / "slides.csv"
    if only is not None and manifest.exists():
        raise UserError(
            "a cohort is already there",
            where=out,
            expected="an empty folder for a part of a cohort",
            remedy="remove it",
        )
    out.mkdir(parents=True, exist_ok=True)
    manifest.unlink(missing_ok=True)
    panels = design_panels(settings, seed)
    rows = []
    for number, name in enumerate(slides, start=1):
        rows.append(generate_slide(out, settings, panels, seed, name))
        if progress is not None:
            progress(f"slide {number}/{len(slides)}: {name.slide}")
    merged = {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}
    write_parquet(out / "truth" / "genes.parquet", merged)
    write_text_whole(out / "phantom.json", json.dumps(describe(settings, seed, slides), indent=2) + "\n")
    lines = [f"{name.slide},{name.patient},{name.cancer},xenium/{name.slide}\n" for name in slides]
    write_text_whole(manifest, "slide,patient,cancer,bundle\n" + "".join(lines))
