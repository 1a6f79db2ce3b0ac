"""What HEX's paper prints, once, for every card that it speaks of; each number with its source and what keeps it apart.

The numbers beyond the abstract are from digests of others that agree with each other, and were not checked against the
paper's text. The released script correlates all validation tiles of all slides together, so that offsets between slides
count (``pearson_pooled`` here); neither splits, nor predictions, nor a value of any one marker were released.
"""

from __future__ import annotations

from protocols.contract import Published

PAPER = "HEX (Li et al., Nature Medicine 2026)"
DIGEST = "secondary digests agree on it; not checked against the paper's text"
POOLED = "tiles pooled across slides, as the released script does; split unknown, nor whether patients were held out"
TUNED = "of MUSK with its last four layers tuned on 754,836 tiles of 10 patients of one hospital"


def hex_claims(*, tuned: bool) -> tuple[Published, ...]:
    """Proteins from H&E: five folds, an independent TMA, Bern's cohort, colorectal cancer from scratch and tuned.

    ``tuned``: whether the card's own encoder is tuned as the paper's; if not, the note says that the number is of
    another model.
    """
    own = TUNED if tuned else f"{TUNED}, where this model's encoder is frozen"
    within = f"{own}; {POOLED}; {DIGEST}"
    return (
        _claim("codex_protein", "pearson_pooled", 0.790, "Pearson r, 40 markers, five folds", within),
        _claim("codex_protein", "", 0.787, "Spearman, 40 markers, five folds", within),
        _claim("codex_protein", "", 0.949, "SSIM, five folds", f"{within}; how maps were compared is unsaid"),
        _claim(
            "codex_protein", "", 0.076, "MSE, five folds", f"{within}; cannot arise on the released labels (below .14)"
        ),
        _claim("codex_external", "pearson_pooled", 0.738, "Pearson r, TMA", within, board="tma"),
        _claim(
            "codex_external", "pearson_pooled", 0.658, "Pearson r, 24 markers, Bern", f"{within}; .718 in house",
            board="bern",
        ),
        _claim(
            "codex_protein", "pearson_pooled", 0.566, "Pearson r, 57 markers, colorectal, from scratch", within,
            board="crc",
        ),
        _claim(
            "codex_protein", "pearson_pooled", 0.659, "Pearson r, 57 markers, colorectal, HEX tuned further", within,
            board="crc",
        ),
    )  # fmt: skip


def mica_claims() -> tuple[Published, ...]:
    """Prognosis from H&E with virtual proteins; response is a task of its own and its cards carry those numbers."""
    return (
        _claim(
            "tcga_survival", "", 0.22, "gain in C-index over clinical variables",
            f"six NSCLC cohorts, 2,298 patients; abstract; .71 against .58: {DIGEST}; no interval; the released script"
            " writes the validation C of every epoch and has no test set", board="average",
        ),
    )  # fmt: skip


def _claim(protocol: str, metric: str, value: float, words: str, note: str, board: str = "") -> Published:
    return Published(protocol, metric, value, source=PAPER, note=note, words=words, board=board)
