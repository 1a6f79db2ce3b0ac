"""SEQUOIA as released: both networks, the stopping rule and the sliding windows of its maps."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from baselines.bulk.parts.windows import repeat_first_tile
from baselines.networks.sequoia_checkpoint import network_of
from baselines.networks.sequoia_networks import Mixer, SequoiaNetwork, SequoiaSizes
from baselines.training.bulk_stopping import ReleasedRule
from baselines.training.bulk_training import Tiles
from protocols.bulk.view_makers import window_view
from protocols.contract import Settings
from protocols.spatial.windows import MapOfWindows, lay_windows
from tests.parity.table import note
from tests.parity.vectors import Vectors, a, read

CPU = torch.device("cpu")


def released(vectors: Vectors, mixer: Mixer, settings: dict[str, Any]) -> SequoiaNetwork:
    """The network out of a state dict of the release, through the project's own reader."""
    width = settings["dim"] if mixer == "vit" else settings["input_dim"]
    sizes = SequoiaSizes(
        depth=settings["depth"],
        heads=settings["heads"] if mixer == "vit" else settings["nheads"],
        head_width=settings["dim_head"] if mixer == "vit" else settings["dimensions_f"],
        feedforward=settings.get("mlp_dim", width),
    )
    return network_of(vectors.state(), mixer, sizes, where=vectors.name).eval()


def tiles(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    return torch.from_numpy(np.asarray(a(name, math.prod(shape)), dtype=np.float32).reshape(shape))


@pytest.mark.parametrize("mixer", ["vit", "vis"])
@torch.no_grad()
def test_networks(mixer: Mixer) -> None:
    vectors = read(f"sequoia_{mixer}")
    network = released(vectors, mixer, vectors.content["settings"])
    given = tiles("x", (2, 9, 64))
    vectors.check(network(given, torch.ones(2, 9, dtype=torch.bool)), "output")
    assert sum(part.numel() for part in network.parameters()) == vectors.content["weights"]["parameters"]


@torch.no_grad()
def test_a_window_without_batch_axis() -> None:
    """The release reads row 0 of nine; here the first tile, repeated, is asked alone."""
    vectors = read("sequoia_vis")
    network = released(vectors, "vis", vectors.content["settings"])
    row, column = np.indices((3, 3)).reshape(2, -1)
    view = window_view(
        lay_windows(row, column, 3, rule="released"), np.arange(1),
        tiles("x", (2, 9, 64))[0].numpy().reshape(3, 3, 64).transpose(1, 0, 2).reshape(9, 64),
        Settings(), (), "section", "patient", None,
    )  # fmt: skip
    answer = repeat_first_tile(network, Tiles(view, "features", keep=False), np.arange(1), CPU)
    vectors.check(
        answer[0],
        "a window, as the released map code passes it: x[0] without batch axis",
        "first row, the one that is read",
    )


CASES = read("sequoia_stopping_rule").expected("cases")


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["history"])[:40])
def test_stopping_rule(case: dict[str, Any]) -> None:
    vectors = read("sequoia_stopping_rule")
    rule = ReleasedRule(case["patience"], case["delta"])
    losses, scores = case["validation loss by epoch"], case["validation score by epoch"]
    saved, epochs, stop = [], 0, False
    for epoch, (loss, score) in enumerate(zip(losses, scores, strict=True)):
        save, stop = rule.update(epoch, loss, float("nan") if score is None else score)
        saved += [epoch] if save else []
        epochs = epoch + 1
        if stop:
            break
    assert (epochs, stop) == (case[f"epochs run (of {len(losses)})"], case["stopped early"])
    assert saved == case["epochs at which the model is saved"]
    assert saved[-1] == case["kept epoch"]
    note(vectors.name, vectors.system, case["history"], 0.0, 0.0)


MASKS = read("sequoia_windows").expected()


def section(name: str) -> tuple[np.ndarray, np.ndarray]:
    row, column = np.nonzero(np.array(MASKS[name]["mask, rows from the top"]))
    return row.astype(np.int64), column.astype(np.int64)


def test_a_section_too_small_for_a_window() -> None:
    assert len(lay_windows(*section("5 x 5 mask"), 10, rule="released")) == MASKS["5 x 5 mask"]["windows"]


@torch.no_grad()
def test_windows() -> None:
    """Which windows run, which tile decides each, that tile's answer, and what the map makes of them."""
    vectors, name = read("sequoia_windows"), "11 x 12 mask"
    expected = MASKS[name]
    row, column = section(name)
    laid = lay_windows(row, column, 10, rule="released")
    every = np.arange(len(laid))
    first = laid.listed(every)[:, 0]
    found = sorted(
        ([int(column[tile]), int(row[tile])], int((tiles >= 0).sum()))
        for tile, tiles in zip(first, laid.tile, strict=True)
    )
    assert found == sorted((one["deciding tile (column, row)"], one["tiles present"]) for one in expected["windows"])
    assert len(laid) == expected["windows that run"]
    features = np.stack([tiles(f"tile_{c}_{r}", (6,)).numpy() for r, c in zip(row, column, strict=True)])
    network = released(vectors, "vis", vectors.content["settings"]["ViS"])
    view = window_view(laid, every, features, Settings(), (), "section", "patient", None)
    answers = repeat_first_tile(network, Tiles(view, "features", keep=False), every, CPU)
    by_tile = {f"({column[tile]}, {row[tile]})": answer for tile, answer in zip(first, answers, strict=True)}
    what = "answer of each deciding tile alone, repeated 100 times"
    assert by_tile.keys() == expected[what].keys()
    for place, answer in by_tile.items():
        vectors.check(answer, name, what, place)
    made = MapOfWindows(laid, 3)
    made.add(every, answers)
    at = {f"({c}, {r})": tile for tile, (r, c) in enumerate(zip(row.tolist(), column.tolist(), strict=True))}
    what = "value of some tiles, mean over the windows that hold them"
    for place in expected[what]:
        vectors.check(made.values()[at[place]], name, what, place)
    assert [place for place, tile in at.items() if not laid.covered[tile]] == expected[
        "tiles without any value (column, row)"
    ]
