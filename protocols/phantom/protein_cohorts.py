"""Patients of the protein phantom on disk: the follow-up cohort and the cohort of treated patients."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from protocols.files import write_text_whole, written_whole
from protocols.phantom.protein_maps import features, marker_maps, token_file
from protocols.phantom.protein_patients import (
    FACTORS,
    KNOWLEDGE,
    Factors,
    biomarkers,
    censoring_months,
    draw_factors,
    draw_response,
    log_hazard,
    log_levels,
    log_odds,
    probability,
    reachable,
)
from protocols.phantom.protein_settings import ProteinSettings
from protocols.phantom.tables import write_parquet
from protocols.phantom.tcga import PatientSlide, write_slide
from protocols.phantom.tcga_patients import Factors as SlideFactors
from protocols.phantom.tcga_patients import follow_up
from protocols.phantom.tcga_tables import clinical_table
from protocols.phantom.tissue import Float, SlideName
from protocols.seeds import generator

FOLLOWED, TREATED = "nsclc", "response"


def generate_patients(
    out: Path,
    settings: ProteinSettings,
    seed: int,
    progress: Callable[[str], None] | None = None,
    only: Sequence[str] | None = None,
) -> None:
    """Write both cohorts below ``out``, each with its own truth; ``only`` limits images to some slides."""
    months = censoring_months(settings, seed)
    stated = reachable(settings, seed, months)
    slides = _write_followed(out / FOLLOWED, settings, seed, months)
    for slide, shown in slides:
        if only is None or slide.name.slide in only:
            path = out / FOLLOWED / "slides" / f"{slide.name.slide}.ome.tif"
            write_slide(path, settings.tcga, seed, slide, shown)
    if progress is not None:
        progress(f"patients: {settings.followed} followed, {settings.treated} treated")
    _write_treated(out / TREATED, settings, seed)
    for folder, key, name in ((FOLLOWED, "c_index", "concordance"), (TREATED, "auc", "auc")):
        text = json.dumps(stated[key], indent=1, sort_keys=True) + "\n"
        write_text_whole(out / folder / "truth" / f"{name}.json", text)


def _write_followed(
    folder: Path, settings: ProteinSettings, seed: int, months: float
) -> list[tuple[PatientSlide, SlideFactors]]:
    """Write the tables and bags; returns the H&E slides and what moves them: the factor *means* alone."""
    patients = [f"nsclc-{k:04d}" for k in range(1, settings.followed + 1)]
    factors = draw_factors(seed, FOLLOWED, len(patients))
    hazard = log_hazard(settings, factors, "all")
    time, event = follow_up(settings.tcga, generator(seed, "protein follow-up"), hazard, months)
    _csv(folder / "outcome.csv", patients, pd.DataFrame({"time": time, "event": event.astype(np.int64)}))
    _csv(folder / "clinical.csv", patients, clinical_table(seed, f"protein {FOLLOWED}", hazard))
    _write_proteins(folder, settings, seed, FOLLOWED, patients, factors, tokens=True)
    lines = [
        f"{patient}-he,{patient},slides/{patient}-he.ome.tif,image,\n"
        f"{patient}-codex,{patient},tokens/{patient}-codex.h5,bag,protein_tokens\n"
        for patient in patients
    ]
    write_text_whole(folder / "slides.csv", "slide,patient,path,kind,encoder\n" + "".join(lines))
    known = {f"log_hazard_{name}": log_hazard(settings, factors, name) for name in KNOWLEDGE if name != "none"}
    # What oracles of other cohorts ask for: the slide shows the factor of means, and no gene is measured.
    known |= {"log_hazard_image": known["log_hazard_means"], "log_hazard_genome": np.zeros(len(patients))}
    _write_truth(folder, patients, factors, known)
    nothing = np.zeros(len(patients))
    shown = SlideFactors(image=factors.means, genome=nothing, shared=nothing)
    return [
        (PatientSlide(SlideName(FOLLOWED, patient, f"{patient}-he"), row), shown)
        for row, patient in enumerate(patients)
    ]


def _write_treated(folder: Path, settings: ProteinSettings, seed: int) -> None:
    patients = [f"treated-{k:04d}" for k in range(1, settings.treated + 1)]
    factors = draw_factors(seed, TREATED, len(patients))
    odds = log_odds(settings, factors, "all")
    response = draw_response(settings, generator(seed, "protein response"), odds)
    _csv(folder / "response.csv", patients, pd.DataFrame({"response": response.astype(np.int64)}))
    pd_l1, tmb = biomarkers(settings, seed, TREATED, odds)
    clinical = clinical_table(seed, f"protein {TREATED}", -odds)
    _csv(folder / "clinical.csv", patients, clinical.assign(pd_l1=pd_l1.astype(np.int64), tmb=tmb))
    _write_proteins(folder, settings, seed, TREATED, patients, factors, tokens=False)
    known = {
        f"probability_{name}": probability(settings, log_odds(settings, factors, name))
        for name in KNOWLEDGE
        if name != "none"
    }
    _write_truth(folder, patients, factors, known)


def _write_proteins(
    folder: Path,
    settings: ProteinSettings,
    seed: int,
    cohort: str,
    patients: list[str],
    factors: Factors,
    *,
    tokens: bool,
) -> None:
    """``proteins.csv``, and with ``tokens`` a bag a patient."""
    levels, rows = log_levels(settings, seed, cohort, factors), []
    for k, patient in enumerate(patients):
        own = {name: float(getattr(factors, name)[k]) for name in FACTORS}
        maps = marker_maps(settings, seed, patient, own, levels[k])
        rows.append(features(settings, maps))
        if tokens:
            path = folder / "tokens" / f"{patient}-codex.h5"
            path.parent.mkdir(parents=True, exist_ok=True)
            with written_whole(path) as part:
                part.write_bytes(token_file(maps))
    _csv(folder / "proteins.csv", patients, pd.DataFrame(rows))


def _write_truth(folder: Path, patients: list[str], factors: Factors, known: dict[str, Float]) -> None:
    columns = known | {f"factor_{name}": getattr(factors, name) for name in FACTORS}
    # Rounded far above the last bit, which differs between processors.
    rounded = {name: np.round(values, 9) for name, values in columns.items()}
    write_parquet(folder / "truth" / "patients.parquet", {"patient": patients} | rounded)


def _csv(path: Path, patients: list[str], table: pd.DataFrame) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = table.assign(patient=patients).loc[:, ["patient", *table.columns]].to_csv(index=False, lineterminator="\n")
    write_text_whole(path, text)
