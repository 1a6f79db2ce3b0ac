"""Tables of the TCGA-like phantom in MCAT's layout: clinical variables, expression, copy number, mutations."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.files import written_whole
from protocols.phantom.tcga_patients import Factors, Float
from protocols.phantom.tcga_settings import TcgaSettings
from protocols.seeds import generator

SIGNATURES: dict[str, tuple[str, ...]] = {
    "Tumor Suppressor Genes": ("TP53", "RB1", "PTEN", "APC", "BRCA1", "BRCA2", "CDKN2A", "SMAD4", "STK11", "NF1"),
    "Oncogenes": ("MYC", "KRAS", "EGFR", "ERBB2", "PIK3CA", "BRAF", "CCND1", "MDM2", "MET", "FGFR1"),
    "Protein Kinases": ("AURKA", "CDK1", "CDK4", "CHEK1", "MAPK1", "MAPK3", "PLK1", "SRC", "JAK2", "AKT1"),
    "Cell Differentiation Markers": ("CD3E", "CD4", "CD8A", "CD19", "CD68", "CD79A", "CD163", "CD2", "CD5", "CD27"),
    "Transcription Factors": ("FOXA1", "GATA3", "SOX2", "STAT1", "STAT3", "NFKB1", "E2F1", "ESR1", "AR", "TWIST1"),
    "Cytokines and Growth Factors": ("CXCL9", "CXCL10", "CCL5", "IL2", "IL6", "VEGFA", "TGFB1", "EGF", "HGF", "PDGFA"),
}
"""Real symbols, ten a signature, in MCAT's order of signatures. What they do in the phantom is the phantom's own."""


def genes_of(settings: TcgaSettings) -> tuple[str, ...]:
    return tuple(gene for genes in SIGNATURES.values() for gene in genes[: settings.genes_a_signature])


def gene_laws(settings: TcgaSettings, seed: int) -> pd.DataFrame:
    """Which factor each gene follows and how closely: gene, follows (genome, shared, nothing), loading, visible_share.

    The visible share is the part of a gene's variance that the slide shows: that of the shared factor.
    """
    genes = genes_of(settings)
    rng = generator(seed, "tcga genes")
    order = rng.permutation(len(genes))
    follows = np.full(len(genes), "nothing", dtype=object)
    follows[order[: settings.genome_genes]] = "genome"
    follows[order[settings.genome_genes : settings.genome_genes + settings.shared_genes]] = "shared"
    sign = np.where(rng.random(len(genes)) < 0.5, -1.0, 1.0)
    loading = np.where(follows == "nothing", 0.0, sign * rng.uniform(*settings.loading, len(genes)))
    visible = np.where(follows == "shared", loading**2, 0.0)
    return pd.DataFrame({"gene": genes, "follows": follows, "loading": loading, "visible_share": visible})


def genomic_table(settings: TcgaSettings, seed: int, cohort: str, factors: Factors) -> pd.DataFrame:
    """``GENE_rnaseq`` (z-scores, two digits), ``GENE_cnv`` (-2 to 2), ``GENE_mut`` (0 or 1); one row a patient."""
    laws, n = gene_laws(settings, seed), len(factors.image)
    columns: dict[str, NDArray[Any]] = {}
    for gene, follows, loading, _ in laws.itertuples(index=False):
        own = generator(seed, "tcga rna", cohort, gene).standard_normal(n)
        factor = {"genome": factors.genome, "shared": factors.shared, "nothing": own}[follows]
        columns[f"{gene}_rnaseq"] = np.round(loading * factor + np.sqrt(1 - loading**2) * own, 2)
    for place, gene in enumerate(laws["gene"][: settings.cnv_genes]):
        rng = generator(seed, "tcga cnv", cohort, gene)
        loading = 0.4 if place % 4 == 0 else 0.0
        level = loading * factors.genome + np.sqrt(1 - loading**2) * rng.standard_normal(n)
        columns[f"{gene}_cnv"] = np.searchsorted([-1.9, -0.9, 0.9, 1.9], level) - 2
    for place, gene in enumerate(laws["gene"][-settings.mutated_genes :]):
        rng = generator(seed, "tcga mutation", cohort, gene)
        loading = 0.4 if place % 5 == 0 else 0.0
        level = loading * factors.genome + np.sqrt(1 - loading**2) * rng.standard_normal(n)
        columns[f"{gene}_mut"] = (level > 1.0).astype(np.int64)
    return pd.DataFrame({name: columns[name] for name in sorted(columns)})


def clinical_table(seed: int, cohort: str, hazard: Float) -> pd.DataFrame:
    """age, is_female, stage: age and stage follow the log-hazard weakly (correlation 0.15 and 0.30)."""
    n, spread = len(hazard), float(hazard.std())
    scaled = hazard / spread if spread > 0 else np.zeros(n)
    rng = generator(seed, "tcga clinical", cohort)
    age = 62 + 11 * (0.15 * scaled + np.sqrt(1 - 0.15**2) * rng.standard_normal(n))
    level = 0.30 * scaled + np.sqrt(1 - 0.30**2) * rng.standard_normal(n)
    return pd.DataFrame(
        {
            "age": np.clip(np.round(age), 25, 90).astype(np.int64),
            "is_female": (rng.random(n) < 0.5).astype(np.int64),
            "stage": np.searchsorted([-0.5, 0.5, 1.4], level) + 1,
        }
    )


def write_zipped_csv(path: Path, table: pd.DataFrame) -> None:
    """A CSV in a zip with a fixed date, so that equal tables are equal bytes."""
    text = io.StringIO()
    table.to_csv(text, index=False, lineterminator="\n")
    entry = zipfile.ZipInfo(path.name.removesuffix(".zip"), date_time=(2021, 1, 1, 0, 0, 0))
    entry.compress_type = zipfile.ZIP_DEFLATED
    with written_whole(path) as part, zipfile.ZipFile(part, "w") as archive:
        archive.writestr(entry, text.getvalue(), compresslevel=9)


def signatures_csv(settings: TcgaSettings) -> str:
    """One column a signature, as MCAT's ``signatures.csv``."""
    table = pd.DataFrame({name: genes[: settings.genes_a_signature] for name, genes in SIGNATURES.items()})
    return table.to_csv(index=False, lineterminator="\n")
