"""Four small slides of tiles with proteins in HEX's layout, and one of another scanner that is external to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

SIDE, TILE_PX, MPP = 7, 64, 2
MARKERS = ("CD8", "Pan-Cytokeratin", "DAPI", "CD31", "CD68", "CD20", "FOXP3", "Ki67")
"""As many as a table needs to be recognised by."""


def write(folder: Path, here: str) -> dict[str, Any]:
    """Tables and tiles below ``folder``; the entries of both cohorts, with paths below ``here``."""
    slides = [("c1", "pat1", 1.0), ("c2", "pat2", 2.0), ("c3", "pat3", 1.0), ("c4", "pat3", 1.0)]
    return {
        "codex": _cohort(folder / "codex", f"{here}/codex", slides),
        "tma": _cohort(folder / "tma", f"{here}/tma", [("t1", "core1", 0.5), ("t2", "core2", 0.5)])
        | {"external": "codex"},
    }


def _cohort(folder: Path, here: str, slides: list[tuple[str, str, float]]) -> dict[str, Any]:
    lines = []
    for slide, patient, gain in slides:
        _slide(folder, slide, gain)
        lines.append(f"{slide},{patient},lung,{slide},{slide}.csv,{MPP},{';'.join(MARKERS)}")
    manifest = ["slide,patient,cancer,tiles,table,mpp,markers", *lines]
    (folder / "slides.csv").write_text("\n".join(manifest) + "\n", encoding="utf-8")
    return {"reader": "hex", "root": here, "manifest": f"{here}/slides.csv"}


def _slide(folder: Path, slide: str, gain: float) -> None:
    """Tiles of noise around a redness, which every second marker follows."""
    rng = np.random.default_rng([*slide.encode()])
    (folder / slide).mkdir(parents=True)
    row, column = np.divmod(np.arange(SIDE**2), SIDE)
    redness = rng.uniform(80, 200, SIDE**2)
    for place, red in enumerate(redness):
        pixels = rng.normal([red, 120, 150], 12, (TILE_PX, TILE_PX, 3))
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / slide / f"{slide}_{place}.png")
    seen = np.arange(len(MARKERS)) % 2 == 0
    values = gain * (rng.gamma(4, 3, (SIDE**2, len(MARKERS))) + 0.3 * redness[:, None] * seen)
    table = pd.DataFrame({"slide": slide, "index": np.arange(SIDE**2), "x": TILE_PX * column, "y": TILE_PX * row})
    for channel in range(len(MARKERS)):
        table[f"mean_intensity_channel{channel + 1}"] = values[:, channel].round(4)
    table.to_csv(folder / f"{slide}.csv", index=False)
