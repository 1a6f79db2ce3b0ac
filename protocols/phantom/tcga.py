"""A TCGA-like phantom on disk: slides, tables in MCAT's layout, and the truth beside them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from protocols.files import write_text_whole, written_whole
from protocols.phantom.bundle import fixed_uuid
from protocols.phantom.image_file import write_he_image
from protocols.phantom.render import render
from protocols.phantom.tables import write_parquet
from protocols.phantom.tcga_patients import (
    KNOWLEDGE,
    Factors,
    censoring_scale,
    draw_factors,
    follow_up,
    log_hazard,
    reachable_concordance,
)
from protocols.phantom.tcga_settings import TcgaSettings
from protocols.phantom.tcga_tables import clinical_table, gene_laws, genomic_table, signatures_csv, write_zipped_csv
from protocols.phantom.tissue import SlideName, Tissue, make_tissue
from protocols.seeds import generator

VERSION = 1
"""Raised whenever the same settings and seed give other bytes."""
MARKER = "phantom.json"


@dataclass(frozen=True)
class PatientSlide:
    """One slide and the row of its patient in the cohort."""

    name: SlideName
    row: int

    @property
    def path(self) -> str:
        return f"{self.name.cancer}/slides/{self.name.slide}.ome.tif"


def patients_of(settings: TcgaSettings, seed: int, cohort: str, n: int) -> list[str]:
    """Barcodes ``TCGA-<site>-<number>``; the site code says the (made-up) hospital."""
    sites = generator(seed, "tcga sites", cohort).integers(settings.site_count, size=n)
    start = 1000 * (1 + [name for name, _ in settings.cohorts].index(cohort))
    return [f"TCGA-{chr(65 + start // 1000)}{site}-{start + number:04d}" for number, site in enumerate(sites)]


def slides_of(settings: TcgaSettings, seed: int, cohort: str, patients: Sequence[str]) -> list[PatientSlide]:
    second = generator(seed, "tcga second slide", cohort).random(len(patients)) < settings.second_slide
    return [
        PatientSlide(SlideName(cohort, patient, f"{patient}-01Z-00-DX{number}"), row)
        for row, patient in enumerate(patients)
        for number in range(1, 2 + int(second[row]))
    ]


def slide_tissue(settings: TcgaSettings, seed: int, slide: PatientSlide, factors: Factors) -> Tissue:
    """The tissue as it is drawn: *shared* moves the immune niche and the cells' eosin, *image* the size and darkness of
    nuclei, *genome* nothing."""
    image, shared = float(factors.image[slide.row]), float(factors.shared[slide.row])
    tissue = make_tissue(settings.slide, seed, slide.name, immune_bias=settings.immune_bias * shared)
    return replace(
        tissue,
        radius=tissue.radius * np.exp(settings.nuclear_size * image),
        density=tissue.density * np.exp(settings.nuclear_density * image),
        eosin=tissue.eosin * np.exp(settings.cytoplasm_eosin * shared),
    )


def slide_image(settings: TcgaSettings, seed: int, slide: PatientSlide, factors: Factors) -> np.ndarray[Any, Any]:
    """The H&E image of a slide."""
    return render(settings.slide, seed, slide_tissue(settings, seed, slide, factors))


def write_slide(path: Path, settings: TcgaSettings, seed: int, slide: PatientSlide, factors: Factors) -> None:
    """Draw a slide and write it as a pyramidal OME-TIFF."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as part:
        write_he_image(
            part,
            slide_image(settings, seed, slide, factors),
            mpp=settings.slide.mpp,
            levels=settings.slide.pyramid_levels,
            tile=settings.slide.tile_px,
            quality=settings.slide.jpeg_quality,
            name=slide.name.slide,
            uuid=fixed_uuid(seed, slide.name.slide, "image"),
        )


def generate_tcga(
    out: Path,
    settings: TcgaSettings,
    seed: int,
    progress: Callable[[str], None] | None = None,
    only: Sequence[str] | None = None,
) -> None:
    """Write the phantom below ``out``; ``only`` limits the slides (not the tables) to some patients.

    ``phantom.json`` is removed first and written last, so a folder that has it is whole.
    """
    (out / MARKER).unlink(missing_ok=True)
    months = censoring_scale(settings, seed)
    truth = []
    for cohort, n in settings.cohorts:
        factors, patients = draw_factors(seed, cohort, n), patients_of(settings, seed, cohort, n)
        slides = slides_of(settings, seed, cohort, patients)
        truth.append(_write_tables(out, settings, seed, cohort, patients, slides, factors, months))
        for number, slide in enumerate(slides, start=1):
            if only is not None and slide.name.patient not in only:
                continue
            write_slide(out / slide.path, settings, seed, slide, factors)
            if progress is not None:
                progress(f"{cohort}: slide {number}/{len(slides)}")
    write_text_whole(out / "signatures.csv", signatures_csv(settings))
    merged = pd.concat(truth, ignore_index=True)
    write_parquet(out / "truth" / "patients.parquet", {name: merged[name].to_numpy() for name in merged.columns})
    laws = gene_laws(settings, seed)
    write_parquet(out / "truth" / "genes.parquet", {name: laws[name].to_numpy() for name in laws.columns})
    reachable = reachable_concordance(settings, seed, months)
    write_text_whole(out / "truth" / "concordance.json", json.dumps(reachable, indent=1, sort_keys=True) + "\n")
    write_text_whole(out / MARKER, json.dumps(describe(settings, seed, months), indent=1) + "\n")


def _write_tables(
    out: Path,
    settings: TcgaSettings,
    seed: int,
    cohort: str,
    patients: list[str],
    slides: list[PatientSlide],
    factors: Factors,
    months: float,
) -> pd.DataFrame:
    """Write a cohort's clinical and genomic table and its list of slides; returns its rows of the truth."""
    hazard = log_hazard(settings, factors, "all")
    time, event = follow_up(settings, generator(seed, "tcga follow-up", cohort), hazard, months)
    labels = pd.DataFrame(
        {
            "case_id": patients,
            "site": [patient.split("-")[1] for patient in patients],
            "oncotree_code": cohort.upper(),
            "survival_months": time,
            "censorship": (~event).astype(np.int64),
        }
    )
    whole = pd.concat(
        [labels, clinical_table(seed, cohort, hazard), genomic_table(settings, seed, cohort, factors)], axis=1
    )
    rows = whole.iloc[[slide.row for slide in slides]].reset_index(drop=True)
    rows.insert(1, "slide_id", [f"{slide.name.slide}.svs" for slide in slides])
    write_zipped_csv(out / cohort / f"tcga_{cohort}_all_clean.csv.zip", rows)
    lines = [f"{slide.name.slide},{slide.name.patient},{slide.path}\n" for slide in slides]
    write_text_whole(out / cohort / "slides.csv", "slide,patient,path\n" + "".join(lines))
    known = {f"log_hazard_{name}": log_hazard(settings, factors, name) for name in KNOWLEDGE if name != "none"}
    return pd.DataFrame(
        {"patient": patients, "cohort": cohort, **known}
        | {f"factor_{name}": getattr(factors, name) for name in ("image", "genome", "shared")}
    )


def describe(settings: TcgaSettings, seed: int, months: float) -> dict[str, Any]:
    """``phantom.json``: everything that made the cohorts."""
    return {
        "format": "slide2omics-phantom-tcga",
        "version": VERSION,
        "seed": seed,
        "settings": settings.to_dict(),
        "censoring_mean_months": months,
        "model": {
            "log_hazard": "effect_scale (w_image z_image + w_genome z_genome + w_shared z_shared)",
            "time": "Weibull, median median_months at log-hazard 0; independent exponential censoring",
            "image": "z_image: log nuclear radius, haematoxylin; z_shared: immune niche, eosin of the cells",
            "genome": "GENE_rnaseq = loading z + sqrt(1 - loading^2) noise, z genome or shared (truth/genes.parquet)",
            "knowledge": "truth/concordance.json: C-index of E[log_hazard | what is seen], on large virtual cohorts",
        },
    }
