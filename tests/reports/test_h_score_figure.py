"""Figures of the H-score: drawn for many, few and no patches; the same bytes each time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from protocols.metrics.h_score import h_score_of_image
from protocols.metrics.stain import dab_od
from protocols.seeds import generator
from reports.h_score_figure import agreement_figure, pipeline_figure, save
from tests.protocols.metrics.made_up_sections import mixed_dab, section


@pytest.mark.parametrize("n", [0, 3, 40])
def test_agreement_of_any_number_of_patches(n: int, tmp_path: Path) -> None:
    reference = generator(0, "reference").uniform(0, 300, n)
    measured = np.clip(reference + generator(0, "error").normal(10, 20, n), 0, 300)
    patients = [f"p{k % 8}" for k in range(n)]
    figure = agreement_figure(list(measured), list(reference), patients, title="made up")
    left, right = figure.axes
    assert len(left.collections[0].get_offsets()) == n
    assert left.get_title().startswith("r: 0.9" if n == 40 else "r: ")
    assert right.get_title().startswith("bias undefined" if n == 0 else "bias ")
    paths = [
        save(agreement_figure(list(measured), list(reference), patients, title="made up"), tmp_path / name)
        for name in "ab"
    ]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_pipeline_in_four_panels(tmp_path: Path) -> None:
    rgb, _ = section(0, mixed_dab(0, 60))
    found = h_score_of_image(rgb, None, "ER", 0.5)
    figure = pipeline_figure(rgb, dab_od(rgb), found, "ER")
    titles = [axes.get_title() for axes in figure.axes]
    assert f"{len(found.classes)} nuclei by class" in titles
    assert f"H-score (ER thresholds): {found.score.value:.0f}" in titles
    path = save(figure, tmp_path / "figure.png", colours=64)
    with Image.open(path) as image:
        assert image.mode == "P"
    assert path.stat().st_size < 300_000


def test_pipeline_without_a_nucleus(tmp_path: Path) -> None:
    rgb = np.full((64, 64, 3), 255, np.uint8)
    figure = pipeline_figure(rgb, dab_od(rgb), h_score_of_image(rgb, None, "PR", 0.5), "PR")
    assert figure.axes[3].get_title().endswith("no nuclei in the IHC")
    save(figure, tmp_path / "blank.png")
