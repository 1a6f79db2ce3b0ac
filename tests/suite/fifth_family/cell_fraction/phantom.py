"""Twelve slides of six patients: dark squares on pink, so many of 144 places as the fraction says."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

PINK, DARK, PLACES, PX = (230, 190, 210), (80, 40, 120), 12, 4


def write(root: Path, seed: int = 0) -> None:
    """``slides.csv`` with PNG images of 48 pixels below ``root``."""
    root.mkdir(parents=True)
    draw, rows = np.random.default_rng(seed), []
    for number in range(12):
        cells = draw.permutation(PLACES * PLACES) < draw.integers(10, 120)
        image = np.where(cells.reshape(PLACES, PLACES, 1), np.uint8(DARK), np.uint8(PINK))
        Image.fromarray(image.repeat(PX, axis=0).repeat(PX, axis=1)).save(root / f"{number:02d}.png")
        rows.append((f"slide_{number:02d}", f"patient_{number // 2}", f"{number:02d}.png", cells.mean()))
    pd.DataFrame(rows, columns=["slide", "patient", "image", "fraction"]).to_csv(root / "slides.csv", index=False)
