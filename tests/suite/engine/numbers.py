"""Numbers for a table of units, of no insight."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd


def with_numbers(asked: pd.DataFrame, columns: list[str], out: Path) -> Path:
    """``answers.csv``: seeded numbers in every one of ``columns``."""
    values = np.random.default_rng(0).uniform(1, 2, (len(asked), len(columns))).round(3)
    table = pd.concat([asked, pd.DataFrame(values, columns=columns)], axis=1)
    table.to_csv(out / "answers.csv", index=False)
    return out / "answers.csv"
