"""The released sliding windows beside the paper's, on one fitted network: what one tile a window does to a map."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from baselines.bulk.sequoia_vis import SequoiaViS
from baselines.bulk.sequoia_vis_first_tile import SequoiaViSFirstTile
from protocols.bulk.view_makers import window_view
from protocols.contract import Settings
from protocols.seeds import generator
from protocols.spatial.windows import MapOfWindows, lay_windows
from tests.baselines.bulk_toy import ToySlides, toy

WINDOW, WIDTH, GENES, SIDE = 4, 12, 20, 18
TRAIN = toy(120, WINDOW * WINDOW, WIDTH, GENES)


def section() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rows, columns, features and truth of a round section: the toy's own law, of a state that varies smoothly."""
    down, across = np.indices((SIDE, SIDE)) - (SIDE - 1) / 2
    row, column = np.nonzero(down**2 + across**2 <= SIDE * SIDE / 4)
    world = np.random.default_rng(99)
    loading, effect = world.normal(size=(3, WIDTH)), world.normal(size=(3, GENES))
    fields = np.stack([gaussian_filter(generator(0, "field", k).normal(size=(SIDE, SIDE)), 2.5) for k in range(3)])
    state = (fields / fields.std(axis=(1, 2), keepdims=True))[:, row, column].T
    features = state @ loading + generator(0, "noise").normal(size=(len(row), WIDTH)) + 2.0
    return row, column, features.astype(np.float32), state @ effect


ROW, COLUMN, FEATURES, TRUTH = section()
LAID, HANGING = lay_windows(ROW, COLUMN, WINDOW), lay_windows(ROW, COLUMN, WINDOW, rule="released")
DECIDES = HANGING.listed(np.arange(len(HANGING)))[:, 0]


def map_of(model: SequoiaViS, features: np.ndarray = FEATURES) -> np.ndarray:
    laid = HANGING if isinstance(model, SequoiaViSFirstTile) else LAID
    rows = np.arange(len(laid))
    made = MapOfWindows(laid, GENES)
    view = window_view(laid, rows, features, Settings(threads=1), TRAIN.genes, "section", "patient", None)
    made.add(rows, model.predict(view))
    return made.values()


@pytest.fixture(scope="module")
def models() -> tuple[SequoiaViS, SequoiaViSFirstTile]:
    paper, released = SequoiaViS(), SequoiaViSFirstTile()
    paper.fit(TRAIN)
    released.fit(TRAIN)
    return paper, released


def test_both_are_one_network(models: tuple[SequoiaViS, SequoiaViSFirstTile]) -> None:
    paper, released = models
    np.testing.assert_array_equal(paper.predict(TRAIN), released.predict(TRAIN))


def test_a_released_window_hangs_on_one_tile_and_the_papers_on_all(
    models: tuple[SequoiaViS, SequoiaViSFirstTile],
) -> None:
    """One tile in the middle is changed; where does the map move?"""
    tile = int(np.flatnonzero((ROW == SIDE // 2) & (COLUMN == SIDE // 2))[0])
    changed = FEATURES.copy()
    changed[tile] += 5.0
    moved = [np.abs(map_of(model, changed) - map_of(model)).max(axis=1) > 1e-6 for model in models]
    holding, first = (LAID.tile == tile).any(axis=1), np.equal(DECIDES, tile)
    assert holding.sum() == WINDOW * WINDOW
    assert first.sum() == 1
    for found, laid, windows in zip(moved, (LAID, HANGING), (holding, first), strict=True):
        reached = np.unique(laid.tile[windows])
        assert np.flatnonzero(found).tolist() == reached[reached >= 0].tolist()
    assert moved[0].sum() > 2.5 * moved[1].sum()


def test_the_released_map_is_single_tiles_blurred(models: tuple[SequoiaViS, SequoiaViSFirstTile]) -> None:
    """Each tile's own answer (as a slide of itself), carried to all tiles of its window, then averaged."""
    paper, released = models
    alone = ToySlides(
        features=np.repeat(FEATURES[:, None], WINDOW * WINDOW, axis=1),
        present=np.ones((len(FEATURES), WINDOW * WINDOW), bool),
        targets=np.zeros((len(FEATURES), GENES), np.float32),
        validation=np.zeros(len(FEATURES), bool),
        patient=np.array(["p"] * len(FEATURES)),
        genes=TRAIN.genes,
    )
    answers = paper.predict(alone)
    total, times = np.zeros((len(FEATURES), GENES)), np.zeros(len(FEATURES))
    assert (HANGING.tile[:, 0] < 0).mean() > 0.05  # where the corner is empty, another tile decides
    for tiles, first in zip(HANGING.tile, DECIDES, strict=True):
        there = tiles[tiles >= 0]
        total[there] += answers[first]
        times[there] += 1
    np.testing.assert_allclose(map_of(released)[times > 0], (total / times[:, None])[times > 0], atol=1e-4)


def mean_r(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.mean([np.corrcoef(x, y)[0, 1] for x, y in zip(a.T, b.T, strict=True)]))


def test_what_the_difference_does_to_maps(models: tuple[SequoiaViS, SequoiaViSFirstTile]) -> None:
    """Maps of one network agree in part; the released one follows the truth less."""
    kept = LAID.covered
    whole, single = (map_of(model)[kept] for model in models)
    between, of_whole, of_single = mean_r(whole, single), mean_r(whole, TRUTH[kept]), mean_r(single, TRUTH[kept])
    print(f"r between the maps {between:.3f}; with the truth: windows {of_whole:.3f}, first tile {of_single:.3f}")
    assert 0.3 < between < 0.98
    assert of_whole > of_single + 0.03
    assert np.abs(whole - single).max() > 0.5
