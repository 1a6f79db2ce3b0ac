"""What a profile brings: crops, tiles, folds, windows and super-tiles, below what a run's file says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from suite.config import Config
from suite.engine.run import Run

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.yaml"))


def run(profile: str, tasks: dict[str, Any] | None = None) -> Run:
    values = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    return Run(Config(**{**values, "profile": profile, "tasks": tasks or {}}), ROOT)


def test_full_brings_the_published_sizes() -> None:
    asked = run("full")
    crop = asked.requests("expression")["phantom"].settings.crop
    assert (crop.um, crop.pixels, crop.field) == (112, 224, "whole")
    tile = asked.requests("survival")["phantom_brca"].settings.tile
    assert (tile.um, tile.pixels) == (128, 256)
    bulk = asked.requests("bulk")
    assert bulk["phantom_brca"].settings.super_tiles == 100
    assert bulk["phantom_brca"].settings.tile.um == 128
    sections = bulk["phantom_sections"]
    assert sections.entry.window_side(sections.settings.super_tiles) == 10
    staining = asked.requests("staining")["phantom_exact"].settings
    assert (staining.folds, staining.tile_px) == (5, 256)


def test_mini_brings_its_own() -> None:
    asked = run("mini")
    crop = asked.requests("expression")["phantom"].settings.crop
    assert (crop.um, crop.pixels) == (32, 64)
    sections = asked.requests("bulk")["phantom_sections"]
    assert (sections.settings.tile.pixels, sections.settings.super_tiles) == (64, 16)
    assert sections.entry.window_side(sections.settings.super_tiles) == 4


def test_an_empty_key_is_the_profiles_and_a_stated_one_is_not() -> None:
    empty = run("full", {"expression": {"crop": None}}).requests("expression")["phantom"].settings.crop
    assert (empty.um, empty.pixels) == (112, 224)
    partly = run("full", {"expression": {"crop": {"um": 56}}}).requests("expression")["phantom"].settings.crop
    assert (partly.um, partly.pixels) == (56, 224)


@pytest.mark.parametrize("path", [ROOT / "params.yaml", *EXAMPLES], ids=lambda path: path.stem)
def test_no_run_file_holds_full_to_pixels_of_mini(path: Path) -> None:
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    told = Run(Config(**{**values, "profile": "full"}), ROOT)
    for name in values.get("cohorts", {}):
        if name not in told.tasks:
            continue
        for request in told.requests(name).values():
            sizes = request.settings.model_dump()
            pixels = [sizes.get("tile_px"), *(sizes.get(key, {}).get("pixels") for key in ("crop", "tile"))]
            assert [one for one in pixels if one] == [one for one in pixels if one and one >= 224], name
