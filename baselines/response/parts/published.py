"""What HEX's paper reports on response: 148 patients, cross-validation alone; classifier and data not released."""

from __future__ import annotations

from protocols.contract import Published

SOURCE = "HEX (Li et al., Nature Medicine 2026)"
UNCHECKED = "n = 148, cross-validation; by third-party digests of the paper: check the text before quoting"


def biomarker(value: float, name: str) -> Published:
    """AUC of one biomarker, which the paper compares with; whether folds were pooled is not stated."""
    return Published("response", "auc_mean", value, source=SOURCE, note=f"{name}; {UNCHECKED}", words="AUC")


def mica() -> Published:
    """AUC of MICA on slides and virtual proteins: of no model here, so it answers to no measured number."""
    note = f"MICA's, slides and virtual proteins, not this model's; {UNCHECKED}"
    return Published("response", "", 0.82, source=SOURCE, note=note, words="AUC of MICA")


def gains() -> tuple[Published, ...]:
    """The abstract's 24 to 39 % over biomarkers: .82 against PD-L1 .66 and TMB .59; no interval."""
    note = "abstract, 24 to 39 %: MICA's .82 against PD-L1 .66 and TMB .59; no interval"
    words = "relative gain in AUC over biomarkers"
    return tuple(Published("response", "", value, source=SOURCE, note=note, words=words) for value in (0.24, 0.39))
