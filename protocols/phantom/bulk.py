"""The bulk-expression phantom on disk: GDC tables, an external cohort, normal tissue, Visium sections, the truth."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from protocols.files import write_text_whole
from protocols.phantom.bulk_expression import BulkTruth, Scale, bulk_truth, patient_signal, scale_of
from protocols.phantom.bulk_genes import MODULES, BulkGene, Loadings, design_genes, loadings
from protocols.phantom.bulk_sections import section_name, write_section
from protocols.phantom.bulk_settings import BulkSettings
from protocols.phantom.bulk_tables import write_gdc, write_gtex, write_reference_csv
from protocols.phantom.tables import half, write_parquet
from protocols.phantom.tcga import PatientSlide, patients_of, slide_tissue, slides_of, write_slide
from protocols.phantom.tcga_patients import Factors, draw_factors
from protocols.phantom.tissue import Float
from protocols.seeds import generator

VERSION = 1
"""Raised whenever the same settings and seed give other bytes."""
MARKER = "phantom.json"
TCGA_FOLDER = "phantom_tcga"
"""Where, beside this phantom, the slides of shared cohorts lie."""


@dataclass(frozen=True)
class Source:
    """Patients of one cohort and their slides; ``tissue`` names the loadings that their genes have."""

    name: str
    tissue: tuple[str, ...]
    patients: tuple[str, ...]
    slides: tuple[PatientSlide, ...]
    factors: Factors
    folder: str

    def path_of(self, slide: PatientSlide) -> str:
        """Relative to the bulk phantom."""
        return f"{self.folder}/slides/{slide.name.slide}.ome.tif"


def sources(settings: BulkSettings, seed: int) -> list[Source]:
    """Every cohort with slides: those of the TCGA-like phantom, own ones, external ones, normal tissue."""
    found, sizes = [], dict(settings.tcga.cohorts)
    for cohort in settings.shared:
        patients = patients_of(settings.tcga, seed, cohort, sizes[cohort])
        slides = tuple(slides_of(settings.tcga, seed, cohort, patients))
        factors = draw_factors(seed, cohort, len(patients))
        found.append(
            Source(cohort, (cohort,) * len(patients), tuple(patients), slides, factors, f"../{TCGA_FOLDER}/{cohort}")
        )
    for cohort, n in settings.own:
        sites = generator(seed, "tcga sites", cohort).integers(settings.tcga.site_count, size=n)
        patients = [f"TCGA-{cohort[0].upper()}{site}-{7000 + k:04d}" for k, site in enumerate(sites)]
        slides = tuple(slides_of(settings.tcga, seed, cohort, patients))
        found.append(Source(cohort, (cohort,) * n, tuple(patients), slides, draw_factors(seed, cohort, n), cohort))
    for cohort, of, n in settings.external:
        patients = [f"CPT{cohort[-1].upper()}-{k:04d}" for k in range(n)]
        slides = tuple(slides_of(settings.tcga, seed, cohort, patients))
        found.append(Source(cohort, (of,) * n, tuple(patients), slides, draw_factors(seed, cohort, n), cohort))
    tissues = [tissue for tissue, n in settings.normal for _ in range(n)]
    patients = [f"GTEX-{k:04d}" for k in range(len(tissues))]
    slides = tuple(slides_of(settings.tcga, seed, "normal", patients))
    found.append(
        Source("normal", tuple(tissues), tuple(patients), slides, draw_factors(seed, "normal", len(tissues)), "normal")
    )
    return found


def signals(settings: BulkSettings, seed: int, source: Source, genes: tuple[BulkGene, ...]) -> Float:
    """What the slides of each patient show, ``(patients, genes)``."""
    of_tissue = {tissue: loadings(settings, seed, genes, tissue) for tissue in sorted(set(source.tissue))}
    rows = []
    for row, _ in enumerate(source.patients):
        tissues = [
            slide_tissue(settings.tcga, seed, slide, source.factors) for slide in source.slides if slide.row == row
        ]
        rows.append(patient_signal(tissues, of_tissue[source.tissue[row]]))
    return np.stack(rows)


def generate_bulk(
    out: Path,
    settings: BulkSettings,
    seed: int,
    progress: Callable[[str], None] | None = None,
    only: Sequence[str] | None = None,
) -> None:
    """Write the phantom below ``out``; ``only`` limits slides and sections (not the tables) to some names.

    Slides of shared cohorts are not written again: they lie in ``../phantom_tcga``. ``phantom.json`` is removed first
    and written last, so a folder that has it is whole.
    """
    say = progress or (lambda _: None)
    (out / MARKER).unlink(missing_ok=True)
    genes = design_genes(settings, seed)
    discovery: dict[str, Scale] = {}
    reached = []
    for source in sources(settings, seed):
        say(f"{source.name}: expression of {len(source.patients)} patients")
        signal = signals(settings, seed, source, genes)
        scale = discovery.get(source.tissue[0]) if source.tissue[0] != source.name else None
        truth = bulk_truth(
            settings, seed, source.name, genes, signal, scale or scale_of(signal),
            platform_sd=settings.platform_sd if scale else 0.0,
        )  # fmt: skip
        discovery.setdefault(source.name, scale_of(signal))
        _write_tables(out, seed, source, genes, truth)
        reached.append((source.name, truth))
        for number, slide in enumerate(source.slides, start=1):
            if source.name in settings.shared or (only is not None and slide.name.slide not in only):
                continue
            write_slide(out / source.path_of(slide), settings.tcga, seed, slide, source.factors)
            say(f"{source.name}: slide {number}/{len(source.slides)}")
    loaded = loadings(settings, seed, genes, "gbm")
    for number in range(settings.sections):
        if only is None or section_name(number).slide in only:
            write_section(out, settings, seed, number, genes, loaded)
            say(f"section {number + 1}/{settings.sections}")
    _write_sections_list(out, settings)
    _write_truth(out, genes, reached, loaded)
    modules = _modules(genes)
    write_text_whole(out / "meta_modules.json", json.dumps(modules, indent=1) + "\n")
    lines = [f"{module}\tphantom\t" + "\t".join(members) + "\n" for module, members in modules.items()]
    write_text_whole(out / "gene_sets.gmt", "".join(lines))
    write_text_whole(out / MARKER, json.dumps(describe(settings, seed), indent=1) + "\n")


def _write_tables(out: Path, seed: int, source: Source, genes: tuple[BulkGene, ...], truth: BulkTruth) -> None:
    folder = out / source.name
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{s.name.slide},{s.name.patient},{source.path_of(s)}\n" for s in source.slides]
    write_text_whole(folder / "slides.csv", "slide,patient,path\n" + "".join(lines))
    if source.name == "normal":
        write_gtex(folder, list(zip(source.patients, source.tissue, strict=True)), genes, truth.log2)
    elif source.tissue[0] != source.name:
        pairs = [(slide.name.slide, slide.name.patient) for slide in source.slides]
        names = [gene.name for gene in genes]
        write_reference_csv(
            folder / "reference.csv.gz",
            source.name.upper().replace("_", "-"),
            pairs,
            source.patients,
            names,
            truth.log2,
        )
    else:
        write_gdc(folder / "gdc", seed, source.name, source.patients, genes, truth.log2)
    oracle = {gene.name: half(truth.oracle[:, k]) for k, gene in enumerate(genes)}
    write_parquet(out / "truth" / "oracle" / f"{source.name}.parquet", {"patient": list(source.patients)} | oracle)


def _write_sections_list(out: Path, settings: BulkSettings) -> None:
    names = [section_name(number) for number in range(settings.sections)]
    # The pitch is not Visium's, so the resolution is stated instead of being measured by the array.
    lines = [
        f"{n.slide},{n.patient},{n.cancer},sections/{n.slide}/outs,sections/{n.slide}/{n.slide}.ome.tif,"
        f"{settings.section.mpp}\n"
        for n in names
    ]
    write_text_whole(out / "sections.csv", "slide,patient,cancer,outs,image,mpp\n" + "".join(lines))


def _write_truth(
    out: Path, genes: tuple[BulkGene, ...], reached: list[tuple[str, BulkTruth]], loaded: Loadings
) -> None:
    """``genes.parquet``: a row a cohort and gene; ``section_loadings.parquet``: what a section's cells signal."""
    names = [gene.name for gene in genes]
    write_parquet(
        out / "truth" / "genes.parquet",
        {
            "cohort": [cohort for cohort, _ in reached for _ in genes],
            "gene": names * len(reached),
            "visible_share": np.tile([gene.visible_share for gene in genes], len(reached)),
            "reachable_r": np.concatenate([truth.reachable for _, truth in reached]),
        },
    )
    columns: dict[str, Any] = {"gene": names, "visible_share": np.array([gene.visible_share for gene in genes])}
    columns |= {f"kind_{k}": half(loaded.kind[:, k]) for k in range(loaded.kind.shape[1])}
    columns |= {f"look_{k}": half(loaded.trait[:, k]) for k in range(loaded.trait.shape[1])}
    write_parquet(out / "truth" / "section_loadings.parquet", columns)


def _modules(genes: tuple[BulkGene, ...]) -> dict[str, list[str]]:
    return {module: [gene.name for gene in genes if gene.module == module] for module in MODULES}


def describe(settings: BulkSettings, seed: int) -> dict[str, Any]:
    """``phantom.json``: everything that made the cohorts."""
    return {
        "format": "slide2omics-phantom-bulk",
        "version": VERSION,
        "seed": seed,
        "settings": settings.to_dict(),
        "model": {
            "cell signal": "loading of its type + loadings of its looks (log radius, ratio, density, eosin)",
            "bulk": "log2(FPKM-UQ + 1) = base + amplitude (sqrt(v) z + sqrt(1 - v) hidden), z: the cells' mean signal",
            "spot": "log rate = base ln2 / 2 + 0.6 amplitude (sqrt(v) z + sqrt(1 - v) hidden field); Poisson-gamma",
            "truth/genes.parquet": "reachable_r: r over patients of the expectation given the slides and the table",
        },
    }
