"""PAST: paired H&E crops and single-cell transcriptomes in one embedding space (arXiv 2507.06418)."""
