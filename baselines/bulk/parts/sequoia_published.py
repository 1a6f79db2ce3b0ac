"""What SEQUOIA's preprint prints, tables A4 to A7, as entries of model cards. Its HE2RNA is a re-implementation."""

from __future__ import annotations

from typing import Literal

from protocols.contract import Published

Column = Literal["he2rna_scratch", "he2rna_pretrain", "sequoia_scratch", "sequoia_pretrain"]

COLUMNS: tuple[Column, ...] = ("he2rna_scratch", "he2rna_pretrain", "sequoia_scratch", "sequoia_pretrain")
CPTAC_COLUMNS: tuple[Column, ...] = ("he2rna_pretrain", "sequoia_pretrain")
SOURCE = "SEQUOIA preprint, Table {}"
SLIDES_AS_UNITS = "slides, not patients, are the units of the significance tests"
CHOSEN_ON_TEST = "the 1,000 genes are chosen by their r on the same test slides"

WELL_PREDICTED: dict[str, tuple[int, int, int, int]] = {
    "BRCA": (1672, 4117, 14915, 13798),
    "LUAD": (856, 1646, 10900, 9735),
    "KIRC": (115, 1531, 11505, 10922),
    "LUSC": (18, 127, 4498, 4099),
    "COAD": (4250, 174, 8125, 8687),
    "PRAD": (1187, 3060, 8162, 9449),
    "KIRP": (5135, 362, 7532, 9413),
    "GBM": (1462, 1963, 3413, 2820),
    "PAAD": (670, 280, 757, 1737),
}
"""Table A4 by cancer, in the order of ``COLUMNS``."""

MEDIAN_R: dict[str, tuple[float, float, float, float]] = {
    "BRCA": (0.143, 0.242, 0.278, 0.251),
    "LUAD": (0.107, 0.132, 0.293, 0.252),
    "KIRC": (0.090, 0.156, 0.263, 0.266),
    "LUSC": (0.089, 0.094, 0.174, 0.172),
    "COAD": (0.205, 0.101, 0.266, 0.300),
    "PRAD": (0.130, 0.272, 0.312, 0.282),
    "KIRP": (0.301, 0.134, 0.316, 0.340),
    "GBM": (0.203, 0.215, 0.266, 0.237),
    "PAAD": (0.193, 0.150, 0.187, 0.227),
}
"""Table A5."""

VALIDATED: dict[str, tuple[tuple[int, float], tuple[int, float]]] = {
    "BRCA": ((18, 0.4), (10082, 73)),
    "LUAD": ((2, 0.1), (4060, 42)),
    "LUSC": ((0, 0.0), (3030, 74)),
    "COAD": ((0, 0.0), (4226, 49)),
    "KIRC": ((3, 0.8), (4437, 41)),
    "GBM": ((6, 0.3), (1517, 54)),
    "PAAD": ((3, 1.1), (743, 43)),
}
"""Table A6: genes validated in CPTAC and their printed share of the well-predicted ones in percent."""

MEDIAN_EMD: dict[int, float] = {
    242: 0.116, 243: 0.152, 248: 0.170, 251: 0.171, 255: 0.113, 259: 0.123, 260: 0.131, 262: 0.126, 265: 0.174,
    266: 0.096, 268: 0.238, 269: 0.128, 270: 0.134, 275: 0.132, 296: 0.138, 304: 0.121, 313: 0.179, 334: 0.197,
}  # fmt: skip
"""Table A7 by slide: medians over the 500 genes of highest r in TCGA-GBM."""


def tcga_tables(column: Column) -> tuple[Published, ...]:
    """A model's column of tables A4 and A5."""
    at = COLUMNS.index(column)
    a4, a5 = SOURCE.format("A4"), SOURCE.format("A5")
    counts = (
        Published(
            "tcga_expression",
            "well_predicted",
            v[at],
            source=a4,
            note=SLIDES_AS_UNITS,
            board=c.lower(),
            words="well-predicted genes",
        )
        for c, v in WELL_PREDICTED.items()
    )
    medians = (
        Published(
            "tcga_expression",
            "top_median_as_published",
            v[at],
            source=a5,
            note=CHOSEN_ON_TEST,
            board=c.lower(),
            words="median r of the top 1,000 genes",
        )
        for c, v in MEDIAN_R.items()
    )
    return (*counts, *medians)


def cptac_table(column: Column) -> tuple[Published, ...]:
    """A pre-trained model's column of table A6."""
    at = CPTAC_COLUMNS.index(column)
    return tuple(
        Published(
            "tcga_expression", "external_held", v[at][0], source=SOURCE.format("A6"),
            board=c.lower(), words="genes validated in CPTAC",
            note=f"{v[at][1]:g} % of the genes well predicted in TCGA, as printed",
        )
        for c, v in VALIDATED.items()
    )  # fmt: skip


def spatial_table() -> tuple[Published, ...]:
    """Table A7, for SEQUOIA pre-trained."""
    return tuple(
        Published(
            "gbm_spatial", "emd_own_genes", value, source=SOURCE.format("A7"), words=f"median EMD, slide {slide}",
            note="normalised by the root of the number of tiles; an uninformative map reaches such values, too",
        )
        for slide, value in MEDIAN_EMD.items()
    )  # fmt: skip
