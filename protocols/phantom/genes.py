"""The gene pool and the panels: which gene is measured on which slide.

Symbols are real. Identifiers of :data:`KNOWN_IDS` are Ensembl's; every other gene gets a well-formed
identifier from a range that Ensembl has not assigned (``ENSG00009…``), so that none can be mistaken
for another gene. Beyond the listed symbols the pool goes on with ``PHTM0001`` and so forth.
"""

from __future__ import annotations

from dataclasses import dataclass

from protocols.phantom.cell_types import CELL_TYPES
from protocols.phantom.settings import PhantomSettings
from protocols.seeds import generator

KNOWN_IDS = {
    "ACTA2": "ENSG00000107796", "FOXA1": "ENSG00000129514", "EPCAM": "ENSG00000119888", "CD3E": "ENSG00000198851",
    "PECAM1": "ENSG00000261371", "MS4A1": "ENSG00000156738", "CD68": "ENSG00000129226", "ESR1": "ENSG00000091831",
    "ERBB2": "ENSG00000141736", "GATA3": "ENSG00000107485", "KRT5": "ENSG00000186081", "KRT14": "ENSG00000186847",
    "MKI67": "ENSG00000148773", "TOP2A": "ENSG00000131747", "FAP": "ENSG00000078098", "CD163": "ENSG00000177575",
    "PTPRC": "ENSG00000081237", "VWF": "ENSG00000110799", "COL1A1": "ENSG00000108821", "LUM": "ENSG00000139329",
    "CD8A": "ENSG00000153563", "CD4": "ENSG00000010610", "CD19": "ENSG00000177455", "CD79A": "ENSG00000105369",
    "MZB1": "ENSG00000170476", "KIT": "ENSG00000157404", "EGFR": "ENSG00000146648", "MYH11": "ENSG00000133392",
    "XBP1": "ENSG00000100219", "PGR": "ENSG00000082175", "CDH1": "ENSG00000039068", "VIM": "ENSG00000026025",
    "FOXP3": "ENSG00000049768", "GZMB": "ENSG00000100453", "NKG7": "ENSG00000105374", "LYZ": "ENSG00000090382",
    "CD14": "ENSG00000170458", "PDGFRB": "ENSG00000113721", "PDGFRA": "ENSG00000134853", "KRT8": "ENSG00000170421",
    "KRT18": "ENSG00000111057", "KDR": "ENSG00000128052", "CXCL12": "ENSG00000107562", "POSTN": "ENSG00000133110",
    "DCN": "ENSG00000011465", "TP63": "ENSG00000073282", "ADIPOQ": "ENSG00000181092", "TPSAB1": "ENSG00000172236",
}  # fmt: skip

_MORE = """
    ABCC11 AGR3 AHSP AIF1 ANKRD30A APOC1 AQP1 AQP3 AR BANK1 BASP1 BTNL9 C1QA C1QC C5orf46 CAV1 CAVIN2 CCDC80 CCL5 CCL8
    CCND1 CCR7 CD1C CD27 CD69 CD83 CD86 CD93 CDC42EP1 CEACAM6 CENPF CLDN4 CLDN5 CLEC14A CLIC6 CRISPLD2 CSF1R CTLA4 CTTN
    CXCL16 CXCR4 CYTIP DAPK3 DNTTIP1 DSC2 DSP DST EDNRB EGFL7 EIF4EBP1 ELF3 ELF5 ENAH ESM1 FASN FBLN1 FCER1A FCGR3A
    FLNB FOXC2 FSTL3 GJB2 GLIPR1 GNLY GZMA GZMK HAVCR2 HDC HMGA1 HOXD8 ICAM1 IGF1 IL2RA IL2RG IL7R ITGAM ITGAX ITM2C
    JUP KARS1 KLF5 KLRB1 KLRD1 KRT15 KRT16 KRT23 KRT6B KRT7 LAG3 LARS1 LDHB LEP LIF LPXN LTB LYPD3 MAP3K8 MDM2 MEDAG
    MLPH MMP1 MMP12 MMP2 MNDA MRC1 MUC6 MYBPC1 MYLK MYO5B NARS1 NCAM1 NDUFA4L2 NOSTRIN OCIAD2 OPRPN OXTR PCLAF PDCD1
    PDE4A PDK4 PELI1 PIGR PLD4 PPARG PRDM1 PRF1 PTGDS PTN PTRHD1 QARS1 RAB30 RAMP2 RORC RTKN2 RUNX1 S100A4 S100A8
    S100A14 SCD SCGB2A1 SDC4 SEC11C SEC24A SELL SERHL2 SERPINA3 SERPINB9 SFRP1 SFRP4 SLAMF1 SLAMF7 SMAP2 SMS SNAI1 SOX17
    SOX18 SPIB SQLE SRPK1 SSTR2 STC1 SVIL TAC1 TACSTD2 TCF15 TCF4 TCF7 TCIM TCL1A TENT5C TFAP2A THAP2 TIFA TIGIT TIMP4
    TMEM147 TNFRSF17 TOMM7 TPD52 TRAC TRAF4 TRAPPC3 TRIB1 TUBA4A TUBB2B TYROBP UCP1 USP53 VOPP1 WARS1 ZEB1 ZEB2 ZNF562
"""

CORE_FIRST = tuple(dict.fromkeys([name for kind in CELL_TYPES for name in kind.markers] + ["ERBB2", "PTPRC", "VIM"]))
"""Markers: always part of the core panel, loadings mostly shared between cancers."""


def gene_names(count: int) -> tuple[str, ...]:
    """The first ``count`` symbols of the pool, markers first, without repeats."""
    listed = list(dict.fromkeys([*CORE_FIRST, *KNOWN_IDS, *_MORE.split()]))
    listed += [f"PHTM{i:04d}" for i in range(1, max(0, count - len(listed)) + 1)]
    return tuple(listed[:count])


def gene_id(name: str, pool: tuple[str, ...]) -> str:
    """The identifier written for a gene, the same on every slide."""
    return KNOWN_IDS.get(name) or f"ENSG00009{pool.index(name) + 1:06d}"


@dataclass(frozen=True)
class Panels:
    """``pool``: all genes in a fixed order; ``of_cancer``: each cancer's panel, in its order on the slide."""

    pool: tuple[str, ...]
    of_cancer: dict[str, tuple[str, ...]]

    def of_slide(self, cancer: str, lacking: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name for name in self.of_cancer[cancer] if name not in lacking)


def all_cancers(settings: PhantomSettings) -> tuple[str, ...]:
    return settings.cancers + ((settings.lone_cancer,) if settings.lone_cancer else ())


def design_panels(settings: PhantomSettings, seed: int) -> Panels:
    """Core genes everywhere, ``shared_genes`` drawn per cancer from a pool, ``private_genes`` in one cancer only."""
    cancers = all_cancers(settings)
    core, shared = settings.core_genes, settings.shared_pool
    pool = gene_names(core + shared + settings.private_genes * len(cancers))
    panels = {}
    for number, cancer in enumerate(cancers):
        rng = generator(seed, "panel", cancer)
        drawn = [pool[core + i] for i in sorted(rng.choice(shared, settings.shared_genes, replace=False))]
        start = core + shared + number * settings.private_genes
        genes = [*pool[:core], *drawn, *pool[start : start + settings.private_genes]]
        # A real panel's order is not the pool's: nothing may rely on genes standing in the same place on two slides.
        panels[cancer] = tuple(genes[i] for i in rng.permutation(len(genes)))
    return Panels(pool, panels)


def lacking_genes(settings: PhantomSettings, panels: Panels, seed: int) -> tuple[str, ...]:
    """Genes that the last patient of the first cancer lacks (never a marker)."""
    candidates = [name for name in panels.of_cancer[settings.cancers[0]] if name not in CORE_FIRST]
    rng = generator(seed, "lacking")
    count = min(settings.lacking_genes, len(candidates))
    return tuple(candidates[i] for i in sorted(rng.choice(len(candidates), count, replace=False)))
