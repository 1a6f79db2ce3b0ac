"""Violins of r and heatmaps of co-expression: orders, densities and policies by hand; equal bytes for equal input."""

from __future__ import annotations

import io
import time
from typing import Any

import matplotlib
import numpy as np
import pytest

from protocols.errors import UserError
from protocols.seeds import generator
from reports.co_expression import agreement, by_gene, clustered, co_expression_figure, module_names
from reports.figures import STYLE
from reports.violins import ViolinEntry, density, model_order, violin_figure


def entry(cohort: str, model: str, r: Any, well: int = 3, **more: Any) -> ViolinEntry:
    return ViolinEntry(cohort, model, np.asarray(r, np.float64), well, more.pop("genes", 10), **more)


def saved(figure: Any, kind: str = "svg") -> bytes:
    """As the reports save their figures: no date, and identifiers that depend on the content alone."""
    buffer = io.BytesIO()
    metadata: Any = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
    with matplotlib.rc_context(STYLE):
        figure.savefig(buffer, format=kind, metadata=metadata)
    return buffer.getvalue()


def study(genes: int = 300) -> list[ViolinEntry]:
    draw = generator(0, "violins")
    return [
        entry(
            cohort,
            f"model {m:02d}",
            np.clip(draw.normal(0.5 - 0.04 * m, 0.12, genes), -1, 1),
            250 - 15 * m,
            genes=genes,
        )
        for cohort in ("BRCA", "KIRC", "GBM")
        for m in range(13)
    ]


def test_models_stand_in_the_order_of_their_mean_median() -> None:
    entries = [
        entry("X", "a", [0.1, 0.2, 0.3]),
        entry("X", "b", [0.3, 0.4, 0.5]),
        entry("Y", "a", [0.8, 0.9, 1.0]),  # a: (.2 + .9) / 2, above b's .4
        entry("Y", "none", [np.nan, np.nan]),
        entry("Y", "tie", [0.55, 0.55, np.nan]),
    ]
    assert model_order(entries) == ["a", "tie", "b", "none"]


def test_density_is_that_of_scipy_and_ends_at_the_extremes() -> None:
    from scipy.stats import gaussian_kde

    r = np.clip(generator(1, "kde").normal(0.3, 0.15, 800), -0.99, 0.99)
    centres, width = density(r)
    assert width.max() == 1
    assert r.min() - 0.005 <= centres[0] <= centres[-1] <= r.max() + 0.005
    wanted = gaussian_kde(r, bw_method="scott")(centres)
    assert np.abs(width - wanted / wanted.max()).max() < 0.02, "binning costs less than a line's width"


def test_density_of_constant_and_single_values_is_a_line() -> None:
    for r in (np.full(50, 0.25), np.array([0.25]), np.array([1.0])):
        centres, width = density(r)
        assert np.ptp(centres) == pytest.approx(0.005)
        assert width.tolist() == [1, 1]


def test_each_row_has_its_violins_squares_and_total() -> None:
    figure = violin_figure(study())
    left: Any = figure.axes[:3]
    right: Any = figure.axes[3:]
    assert [axes.get_title(loc="left") for axes in left] == ["BRCA", "KIRC", "GBM"]
    assert all(len(axes.collections) == 13 for axes in left)
    squares = right[0].lines[0]
    assert squares.get_marker() == "s"
    assert squares.get_ydata().tolist() == [250 - 15 * m for m in range(13)]
    assert right[0].get_ylabel() == "well-predicted\n(of 300)"
    assert [label.get_text() for label in left[-1].get_xticklabels()][:2] == ["model 00", "model 01"]
    zero = [line for line in left[0].lines if list(line.get_ydata()) == [0, 0]]
    assert len(zero) == 1


def test_a_missing_model_leaves_its_place_empty_and_undefined_r_is_said() -> None:
    figure = violin_figure(
        [entry("X", "a", [0.1, 0.4]), entry("X", "$b_1$", [np.nan], 0, kind="control"), entry("Y", "a", [0.2, 0.2])]
    )
    first, second = figure.axes[:2]
    assert [text.get_text() for text in first.texts] == ["no r"]
    assert len(second.collections) == 1
    assert second.get_xticklabels()[1].get_text() == "$b_1$", "a dollar sign is no mathematics"
    saved(figure)


def test_wrong_entries_are_refused() -> None:
    with pytest.raises(UserError, match="no entries"):
        violin_figure([])
    with pytest.raises(UserError, match="a model twice"):
        violin_figure([entry("X", "a", [0.1]), entry("X", "a", [0.2])])
    with pytest.raises(UserError, match="no Pearson r per gene"):
        violin_figure([entry("X", "a", [1.5])])


@pytest.mark.parametrize("kind", ["svg", "png"])
def test_equal_input_gives_equal_bytes(kind: str) -> None:
    first = saved(violin_figure(study(60)[:4]), kind)
    assert saved(violin_figure(study(60)[:4]), kind) == first
    matrices = {"a": np.eye(4)}
    heat = [co_expression_figure(tuple("wxyz"), {"w": ("M",)}, np.eye(4), matrices)[0] for _ in range(2)]
    assert saved(heat[0], kind) == saved(heat[1], kind)


def test_a_whole_transcriptome_is_drawn_in_seconds() -> None:
    """3 cohorts, 13 models, 25,000 genes: binned densities, where exact kernels would take minutes."""
    began = time.perf_counter()
    saved(violin_figure(study(25_000)))
    assert time.perf_counter() - began < 10


def blocks(sizes: tuple[int, ...], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A shuffled correlation matrix of blocks (r .8 inside, near 0 outside), and each gene's block."""
    block = np.repeat(np.arange(len(sizes)), sizes)
    draw = generator(seed, "blocks")
    block = block[draw.permutation(len(block))]
    noise = draw.normal(0, 0.05, (len(block), len(block)))
    matrix = np.where(block[:, None] == block[None], 0.8, 0.0) + (noise + noise.T) / 2
    np.fill_diagonal(matrix, 1.0)
    return matrix, block


def test_clustering_brings_planted_modules_together() -> None:
    matrix, block = blocks((7, 5, 9))
    order = clustered(matrix)
    assert sorted(order.tolist()) == list(range(21))
    changes = int((np.diff(block[order]) != 0).sum())
    assert changes == 2, "three modules, two borders"
    matrix[3], matrix[:, 3] = np.nan, np.nan
    assert sorted(clustered(matrix).tolist()) == list(range(21)), "a constant gene has a place, too"
    assert clustered(np.eye(2)).tolist() == [0, 1]


def test_agreement_of_pairs_by_hand() -> None:
    truth = np.array([[1, 0.1, 0.2], [0.1, 1, 0.3], [0.2, 0.3, 1]])
    assert agreement(truth, truth / 2 + 0.1) == pytest.approx(1)
    assert agreement(truth, 1 - truth) == pytest.approx(-1)
    assert agreement(truth, np.eye(3)) is None, "a constant side has no r"
    holed = truth.copy()
    holed[0, 1] = np.nan
    assert agreement(truth, holed) == pytest.approx(1), "two pairs are left"


def test_heatmaps_share_the_truth_s_order() -> None:
    truth, block = blocks((4, 6))
    model = blocks((4, 6))[0] * 0.5
    genes = tuple(f"G{i}" for i in range(10))
    modules = {g: (f"module {block[i]}",) for i, g in enumerate(genes) if i != 3}
    figure, order = co_expression_figure(genes, modules, truth, {"SEQUOIA": model, "HE2RNA": np.full((10, 10), np.nan)})
    assert (order == clustered(truth)).all()
    shown: list[Any] = [axes.images[0].get_array() for axes in figure.axes[:3]]
    assert (shown[0] == truth[np.ix_(order, order)]).all()
    assert (shown[1] == model[np.ix_(order, order)]).all()
    assert shown[2].mask.all(), "undefined r is drawn grey, not as zero"
    assert "n/a" in figure.axes[2].get_title()
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [genes[i] for i in order]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["module 0", "module 1"]
    saved(figure)


def test_co_expression_refuses_what_it_cannot_draw() -> None:
    with pytest.raises(UserError, match="co-expression matrix of m: shape"):
        co_expression_figure(("a", "b"), {}, np.eye(2), {"m": np.eye(3)})
    with pytest.raises(UserError, match="at most 10"):
        module_names(tuple("abcdefghijk"), {c: (c,) for c in "abcdefghijk"})


def test_modules_by_gene() -> None:
    assert by_gene({"MES": ["CD44", "VIM", "VIM"], "AC": ["VIM"]}) == {"CD44": ("MES",), "VIM": ("MES", "AC")}
