"""Maps of sections by batched windows, as ratios in one run against one window at a time; figures in ``extra_info``."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from time import process_time

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from baselines.bulk.sequoia_vis import SequoiaViS
from baselines.encoders.embedding import prepared
from baselines.encoders.entries import encoder_spec
from baselines.encoders.modules import build_encoder
from protocols.bulk.fit import WINDOWS_AT_ONCE
from protocols.bulk.view_makers import window_view
from protocols.bulk.views import SlideView
from protocols.contract import FloatArray, Settings
from protocols.seeds import generator
from protocols.spatial.windows import MapOfWindows, Windows, lay_windows
from tests.baselines.bulk_toy import toy

WIDTH, GENES, SIDE = 96, 126, 36
"""Of the mini UNI; genes of the phantom; a section of 36 x 36 tiles."""
SETTINGS = Settings(threads=1)


def seconds(work: Callable[[], object]) -> float:
    """Processor seconds: a busy machine must not decide the ratio."""
    start = process_time()
    work()
    return process_time() - start


class Section:
    """Windows over a full square of tiles, and a mini SEQUOIA ViS that answers for them."""

    def __init__(self, side: int) -> None:
        torch.set_num_threads(1)
        train = toy(40, side * side, WIDTH, GENES)
        self.model, self.genes = SequoiaViS(), train.genes
        self.model.fit(train)
        row, column = np.indices((SIDE, SIDE)).reshape(2, -1)
        self.windows: Windows = lay_windows(row, column, side)
        self.features: FloatArray = generator(0, "tiles").normal(size=(len(row), WIDTH)).astype(np.float32)

    def view(self, rows: np.ndarray) -> SlideView:
        return window_view(self.windows, rows, self.features, SETTINGS, self.genes, "section", "patient", None)

    def map(self) -> np.ndarray:
        """As the suite makes it."""
        made = MapOfWindows(self.windows, GENES)
        for start in range(0, len(self.windows), WINDOWS_AT_ONCE):
            rows = np.arange(start, min(start + WINDOWS_AT_ONCE, len(self.windows)))
            made.add(rows, self.model.predict(self.view(rows)))
        return made.values()

    def one(self, row: int) -> None:
        self.model.predict(self.view(np.array([row])))


def per_window(section: Section) -> tuple[float, float]:
    """Seconds a window, batched and one by one."""
    section.one(0)
    batched = min(seconds(section.map) for _ in range(3)) / len(section.windows)
    return batched, median(seconds(lambda row=row: section.one(row)) for row in range(40))  # type: ignore[misc]


def test_windows_of_the_default_run(benchmark: BenchmarkFixture) -> None:
    """4 x 4 tiles, features at hand."""
    section = Section(4)
    benchmark.pedantic(section.map, rounds=1)
    batched, single = per_window(section)
    benchmark.extra_info |= {"windows": len(section.windows), "ms_a_window": 1e3 * batched, "ratio": single / batched}
    print(f"one window a call / batches: {single / batched:.1f} ({1e3 * batched:.3f} ms a window)")
    assert single / batched >= 20
    together = section.model.predict(section.view(np.arange(40)))
    alone = np.concatenate([section.model.predict(section.view(np.array([row]))) for row in range(40)])
    np.testing.assert_allclose(alone, together, atol=1e-5)


@pytest.mark.slow
def test_published_windows_with_features_made_once(benchmark: BenchmarkFixture) -> None:
    """10 x 10 tiles: one forward pass a window embeds every tile up to a hundred times. Encoder and network are mini.

    With features at hand the network itself is the work and batching gains little: that ratio stands beside, unasserted
    but for being above one.
    """
    section = Section(10)
    batched, single = per_window(section)
    encoder, spec = build_encoder("uni", SETTINGS), encoder_spec("uni")
    encoder.eval()
    tiles = generator(0, "pixels").integers(0, 255, (100, 64, 64, 3)).astype(np.uint8)

    def embed(crops: np.ndarray) -> None:
        with torch.inference_mode():
            encoder(prepared(crops, spec.size("mini"), spec, torch.device("cpu")))

    embed(tiles[:2])
    a_window = min(seconds(lambda: embed(tiles)) for _ in range(3))
    whole = a_window / len(tiles) * SIDE * SIDE + batched * len(section.windows)
    one_by_one = (a_window + single) * len(section.windows)
    benchmark.pedantic(section.map, rounds=1)
    benchmark.extra_info |= {
        "windows": len(section.windows),
        "seconds_a_map": whole,
        "ratio": one_by_one / whole,
        "ratio_with_features_at_hand": single / batched,
    }
    print(f"one window a call / map: {one_by_one / whole:.0f}; with features at hand {single / batched:.1f}")
    assert one_by_one / whole >= 20
    assert single / batched > 1.5
