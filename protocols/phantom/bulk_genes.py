"""Genes of the bulk phantom: symbols, types, meta-modules, and how each one's level follows what cells look like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from protocols.phantom.bulk_settings import BulkSettings
from protocols.phantom.cell_types import CELL_TYPES
from protocols.phantom.genes import KNOWN_IDS, gene_names
from protocols.phantom.tissue import Float, Tissue, standardised
from protocols.seeds import generator

MODULES: dict[str, tuple[str, ...]] = {
    "mesenchymal-like": ("CHI3L1", "ANXA2", "ANXA1", "CD44", "MT2A", "C1S", "TIMP1", "SPP1", "HILPDA", "ADM", "NDRG1"),
    "astrocyte-like": ("CST3", "S100B", "SLC1A3", "HEPN1", "HOPX", "MT3", "SPARCL1", "MLC1", "GFAP", "FABP7", "BCAN"),
    "lineage development": ("DLL3", "SOX4", "TUBB3", "HES6", "STMN2", "DCX", "PLP1", "GPR17", "OLIG1", "OMG", "TNR"),
    "cell cycle": ("RRM2", "PCNA", "GMNN", "TK1", "CCNB1", "CDC20", "PLK1", "CCNA2", "AURKA", "KIF2C", "TROAP"),
}
"""Real symbols of the four groups that SEQUOIA makes of Neftel's meta-modules; their behaviour is the phantom's own."""

LNC = ("MALAT1", "NEAT1", "XIST", "H19", "HOTAIR", "GAS5", "MEG3", "SNHG1", "PVT1", "LINC00152", "MIAT", "TUG1")
MICRO = ("MIR21", "MIR155", "MIR200C", "MIR10B", "MIR34A", "MIR17", "MIR221", "MIR9-1")
TRAITS = 4
"""Looks of a cell: log nuclear radius, log axis ratio, log haematoxylin density, log eosin."""


@dataclass(frozen=True)
class BulkGene:
    """One gene: its type as GENCODE calls it, its meta-module, and the share of its variance that slides show."""

    name: str
    kind: str
    module: str | None
    visible_share: float
    base: float
    amplitude: float
    silent: bool = False


def design_genes(settings: BulkSettings, seed: int) -> tuple[BulkGene, ...]:
    """All genes of the tables, sorted by symbol."""
    in_modules = {gene: module for module, genes in MODULES.items() for gene in genes[: settings.module_genes]}
    coding = [g for g in gene_names(settings.coding_genes + len(in_modules)) if g not in in_modules]
    plan: list[tuple[str, str, str | None]] = [(gene, "protein_coding", module) for gene, module in in_modules.items()]
    plan += [(gene, "protein_coding", None) for gene in coding[: settings.coding_genes]]
    plan += [(gene, "lncRNA", None) for gene in _numbered(LNC, "LINCPH", settings.lnc_genes)]
    plan += [(gene, "miRNA", None) for gene in _numbered(MICRO, "MIRPH", settings.mi_genes)]
    plan += [(f"PHSILENT{k:03d}", "protein_coding", "silent") for k in range(1, settings.silent_genes + 1)]
    return tuple(sorted((_gene(settings, seed, *entry) for entry in plan), key=lambda gene: gene.name))


def _numbered(names: tuple[str, ...], prefix: str, count: int) -> list[str]:
    return [*names[:count], *(f"{prefix}{k:04d}" for k in range(1, count - len(names) + 1))]


def _gene(settings: BulkSettings, seed: int, name: str, kind: str, module: str | None) -> BulkGene:
    rng = generator(seed, "bulk gene", name)
    share = float(rng.choice(settings.visible_shares, p=np.array(settings.visible_share_weights)))
    if module is not None:
        share = float(rng.uniform(*settings.module_visible))
    silent = module == "silent"
    return BulkGene(
        name=name,
        kind=kind,
        module=None if silent else module,
        visible_share=0.0 if silent else share,
        base=-1.0 if silent else float(rng.uniform(*settings.base)),
        amplitude=1.0 if silent else float(rng.uniform(*settings.amplitude)),
        silent=silent,
    )


def ensembl_id(name: str, genes: tuple[BulkGene, ...]) -> str:
    """Ensembl's identifier where the phantom knows it, else a well-formed one from a range that is not assigned."""
    names = [gene.name for gene in genes]
    return KNOWN_IDS.get(name) or f"ENSG00009{500_000 + names.index(name):06d}"


def looks(tissue: Tissue) -> Float:
    """``(n, 4)``: log radius, log ratio, log density and log eosin of each cell, on the scale of the cell types' table.

    Taken from the tissue as it is drawn, so that what a patient's factors do to nuclei shows in expression, too.
    """
    own = np.stack([np.log(tissue.radius), np.log(tissue.ratio), np.log(tissue.density), np.log(tissue.eosin)], axis=1)
    table = np.array([[np.log(k.radius), np.log(k.ratio), np.log(k.density), np.log(k.eosin)] for k in CELL_TYPES])
    return np.asarray((own - table.mean(axis=0)) / table.std(axis=0))


@dataclass(frozen=True)
class Loadings:
    """``kind`` ``(genes, types)`` and ``trait`` ``(genes, 4)``: a cell's signal is the sum of what applies to it."""

    kind: Float
    trait: Float

    def signal(self, kind: np.ndarray[tuple[int], np.dtype[np.int64]], looks: Float) -> Float:
        """``(cells, genes)``."""
        return np.asarray(self.kind[:, kind].T + looks @ self.trait.T)


def loadings(settings: BulkSettings, seed: int, genes: tuple[BulkGene, ...], cancer: str) -> Loadings:
    """Loadings of all genes in one tissue. Genes of a meta-module share most of theirs."""
    kinds, traits = [], []
    for gene in genes:
        names = [(np.sqrt(1 - settings.cancer_share), ()), (np.sqrt(settings.cancer_share), ("tissue", cancer))]
        kind, trait = np.zeros(len(CELL_TYPES)), np.zeros(TRAITS)
        for weight, level in names:
            own_kind, own_trait = _draw(seed, settings.traits_share, "gene", gene.name, *level)
            if gene.module is not None:
                shared_kind, shared_trait = _draw(seed, settings.traits_share, "module", gene.module, *level)
                own_kind = np.sqrt(0.75) * shared_kind + np.sqrt(0.25) * own_kind
                own_trait = np.sqrt(0.75) * shared_trait + np.sqrt(0.25) * own_trait
            kind, trait = kind + weight * own_kind, trait + weight * own_trait
        kinds.append(kind)
        traits.append(trait)
    return Loadings(np.stack(kinds), np.stack(traits))


def _draw(seed: int, traits_share: float, *names: str) -> tuple[Float, Float]:
    rng = generator(seed, "bulk loading", *names)
    kind = standardised(rng.standard_normal(len(CELL_TYPES))) * np.sqrt(1 - traits_share)
    trait = rng.standard_normal(TRAITS) / np.sqrt(TRAITS) * np.sqrt(traits_share)
    return kind, trait
