"""The protein phantom on disk: slides with tables of tiles, an external set, and patients with outcomes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from protocols.files import write_text_whole
from protocols.phantom.protein_cohorts import generate_patients
from protocols.phantom.protein_markers import MARKERS, TABLE
from protocols.phantom.protein_settings import ProteinSettings
from protocols.phantom.protein_slides import development, external, generate_slides

VERSION = 1
"""Raised whenever the same settings and seed give other bytes."""
MARKER = "phantom.json"


def generate_protein(
    out: Path,
    settings: ProteinSettings,
    seed: int,
    progress: Callable[[str], None] | None = None,
    only: Sequence[str] | None = None,
) -> None:
    """Write the phantom below ``out``; ``only`` limits images (not tables) to some slides.

    ``phantom.json`` is removed first and written last, so a folder that has it is whole.
    """
    (out / MARKER).unlink(missing_ok=True)
    generate_slides(out, settings, seed, development(settings), progress, only)
    generate_slides(out / "tma", settings, seed, external(settings), progress, only)
    generate_patients(out, settings, seed, progress, only)
    write_text_whole(out / MARKER, json.dumps(describe(settings, seed), indent=1) + "\n")


def describe(settings: ProteinSettings, seed: int) -> dict[str, Any]:
    """``phantom.json``: everything that made the cohorts."""
    return {
        "format": "slide2omics-phantom-codex",
        "version": VERSION,
        "seed": seed,
        "settings": settings.to_dict(),
        "markers": [{"name": name, "visible_share": share, "carriers": carriers} for name, share, carriers in TABLE],
        "model": {
            "visible": "gain (background + brightness sum_i area_i / A exp(vis_i + hid_i)) noise, over a tile's cells",
            "invisible": "the same with the tile's own hidden level for all of it: independent of what is visible",
            "oracle": "E[value | cells' positions, types and states], in steps of 1/8192; the slide's gain is known",
            "reachable_r": "mean Pearson r of the oracle with replicates over the slide's tiles; 0 where invisible",
            "maps": "each marker positive in as many tiles of everybody; z moves which tiles two markers share",
            "log_hazard": "effect_scale (weight_space (z_myeloid - z_lymphoid) / sqrt(2) + weight_means z_means)",
            "response": "logistic: response_odds - log_hazard",
            "niche": "tiles among the highest of both maps: observed / expected by chance - 1",
        },
        "channels": {f"mean_intensity_channel{k}": name for k, name in enumerate(MARKERS, start=1)},
    }
