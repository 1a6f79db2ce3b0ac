"""What the stored cohorts that list their slides in ``cohort.json`` have in common."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from protocols.stored_cohort import COHORT_FILE
from tests.suite.engine.small_run import rewritten


def described(folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder / COHORT_FILE).read_text(encoding="utf-8"))
    return told


def describe(folder: Path, told: dict[str, Any]) -> None:
    rewritten(folder / COHORT_FILE, json.dumps(told).encode())


def renamed(told: dict[str, Any], labels: dict[str, str]) -> dict[str, Any]:
    """Other labels for people, in the list of patients and of every slide; their order must stay."""
    told = told | {"patients": [labels.get(one, one) for one in told["patients"]]}
    assert told["patients"] == sorted(told["patients"])
    slides = [slide | {"patient": labels.get(slide["patient"], slide["patient"])} for slide in told["slides"]]
    return told | {"slides": slides}


def first_slides(told: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Slides of the first two people."""
    first = told["slides"][0]
    return first, next(slide for slide in told["slides"] if slide["patient"] != first["patient"])


def same_scan(folder: Path, column: str = "path") -> None:
    """One file as slides of the first two people."""
    told = described(folder)
    first, second = first_slides(told)
    second[column] = first[column]
    describe(folder, told)


def two_ids_of_one(told: dict[str, Any]) -> dict[str, Any]:
    """The second person is the first one's normal sample."""
    first, second = told["patients"][:2]
    return renamed(told, {second: f"{first}-11A"})
