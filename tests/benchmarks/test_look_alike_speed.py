"""Cost of the look-alike match, as ratios measured in one run; figures stand in ``extra_info`` of the JSON."""

from __future__ import annotations

from collections.abc import Callable
from time import process_time

import cv2
import numpy as np
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

from protocols.identity.look_alike import Fingerprint, find_look_alikes, fingerprint
from protocols.seeds import generator
from tests.protocols.identity.copies import patches


def seconds(work: Callable[[], object]) -> float:
    """Processor seconds: a busy machine must not decide the ratio."""
    start = process_time()
    work()
    return process_time() - start


def strangers(number: int) -> list[Fingerprint]:
    """Images that share nothing: descriptors of real ones, each moved further than two views of one thing differ."""
    rng = generator(0, "strangers", number)
    pool = np.concatenate([fingerprint(image).descriptors for image in patches(1)[0]])
    prints = []
    for _ in range(number):
        moved = pool[rng.integers(0, len(pool), 128)] + rng.normal(0, 25, (128, 128))
        points = rng.uniform(0, 1000, (128, 2)).astype(np.float32)
        prints.append(Fingerprint(points, np.clip(moved, 0, 255).astype(np.uint8)))
    return prints


def test_the_index_against_comparing_everything(benchmark: BenchmarkFixture) -> None:
    """200 images of 128 points: all distances, of which a sample is taken and scaled, plain and mirrored."""
    prints = strangers(200)
    find_look_alikes(prints[:20], range(20))  # imports are not timed
    benchmark.pedantic(find_look_alikes, (prints, range(200)), rounds=1)
    mine = min(seconds(lambda: find_look_alikes(prints, range(200))) for _ in range(3))
    whole = np.concatenate([one.descriptors for one in prints]).astype(np.float32)
    sample = whole[:256]

    def all_distances() -> NDArray[np.bool_]:
        return np.asarray((whole**2).sum(axis=1) - 2 * (sample @ whole.T) < 1e4)

    theirs = 2 * min(seconds(all_distances) for _ in range(3)) * len(whole) / len(sample)
    benchmark.extra_info |= {"seconds": mine, "all_distances_seconds": theirs, "times_faster": theirs / mine}
    assert theirs / mine > 5


def test_four_times_the_images_take_no_sixteen_times_as_long(benchmark: BenchmarkFixture) -> None:
    few, many = strangers(100), strangers(400)
    find_look_alikes(few[:20], range(20))
    short = min(seconds(lambda: find_look_alikes(few, range(100))) for _ in range(2))
    long = seconds(lambda: benchmark.pedantic(find_look_alikes, (many, range(400)), rounds=1))
    exponent = float(np.log(long / short) / np.log(4))
    benchmark.extra_info |= {"seconds_100": short, "seconds_400": long, "exponent": exponent}
    assert long / short < 12


def test_a_fingerprint_costs_no_more_than_opencvs_own(benchmark: BenchmarkFixture) -> None:
    """Of a patch of 1,024 px, which is shrunk, against SIFT of the whole; and of a small patch."""
    small = patches(1)[0][0]
    large = np.ascontiguousarray(np.tile(small, (11, 11, 1))[:1024, :1024])
    fingerprint(small)
    benchmark.pedantic(fingerprint, (large,), rounds=3)
    mine = min(seconds(lambda: fingerprint(large)) for _ in range(3))
    little = min(seconds(lambda: [fingerprint(small) for _ in range(10)]) for _ in range(3)) / 10
    sift, green = cv2.SIFT.create(contrastThreshold=0.02), np.ascontiguousarray(large[:, :, 1])
    theirs = seconds(lambda: sift.detectAndCompute(green, None))
    benchmark.extra_info |= {"seconds_1024_px": mine, "seconds_96_px": little, "sift_of_the_whole_seconds": theirs}
    assert theirs / mine > 3
    assert little < mine
