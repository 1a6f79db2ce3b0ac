"""One released PAST file by two routes: whole by ``past``, and by the encoder table for whoever wants its features."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from baselines.encoders.embedding import embed
from baselines.encoders.past_checkpoint import released_encoder
from baselines.encoders.table import ENCODERS
from baselines.encoders.weights import load_encoder
from past_model.image_encoder import embed as embed_whole
from past_model.settings import FULL, MINI, PROFILES
from protocols.contract import CropArray, RowArray, Settings
from protocols.errors import UserError
from protocols.files import sha256_of
from tests.published import past, with_command_line

_SIZES = ENCODERS["past"].mini.kwargs
CROPS: CropArray = np.random.default_rng(0).integers(0, 256, (6, 90, 90, 3), dtype=np.uint8)


class Crops:
    """A source of :data:`CROPS`."""

    pixels = CROPS.shape[1]

    def read(self, rows: RowArray) -> CropArray:
        return CROPS[rows]

    def batches(self, rows: RowArray, size: int) -> Iterator[tuple[RowArray, CropArray]]:
        for start in range(0, len(rows), size):
            yield np.arange(start, min(start + size, len(rows))), CROPS[rows[start : start + size]]


@pytest.fixture(autouse=True)
def _one_image_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in full, PAST's image encoder has the sizes of the table's row."""
    sizes = replace(
        MINI, image_pixels=_SIZES["img_size"], patch_pixels=_SIZES["patch_size"], image_dim=_SIZES["embed_dim"],
        image_depth=_SIZES["depth"], image_heads=_SIZES["num_heads"],
    )  # fmt: skip
    monkeypatch.setitem(PROFILES, "mini", sizes)


def settings(content: Any, folder: Path) -> Settings:
    path = folder / "checkpoint-context300.pth"
    torch.save(content, path)
    return Settings(weights={"past": {"path": str(path), "sha256": sha256_of(path)}})


def test_both_routes_give_the_same_features(tmp_path: Path) -> None:
    """With the command line that the release's training loop saves beside the tensors, which one route once refused;
    and with one preprocessing, where features were 4.5e-3 apart."""
    given = settings(with_command_line(past()), tmp_path)
    embed("past", Crops(), np.arange(len(CROPS)), given, tmp_path / "table.npy")
    table = np.load(tmp_path / "table.npy")
    encoder, record = released_encoder("past", given)
    whole = embed_whole(encoder, CROPS, batch_size=4)
    assert np.abs(table - whole).max() <= 1e-5 * np.abs(whole).max()
    assert table.std(axis=0).max() > 1e-2
    assert record == load_encoder("past", given)[1]


def test_in_full_both_are_one_architecture() -> None:
    sizes = ENCODERS["past"].full
    assert (sizes.pixels, sizes.dim, sizes.view) == (FULL.image_pixels, FULL.image_dim, FULL.view)
    assert sizes.kwargs["patch_size"] == FULL.patch_pixels


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("code of a stranger ran",)


def _changed(**entries: Any) -> Any:
    return with_command_line({**past(), **entries})


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (lambda: with_command_line(past()) | {"args": argparse.Namespace(hook=Evil())}, "refused, it holds more than"),
        (lambda: _changed(**{"fusion_norm.bias": torch.zeros(31)}), r"fusion_norm\.bias has shape \(31,\)"),
        (lambda: _changed(**{"cell_encoder.head.weight": torch.zeros(1)}), r"unexpected cell_encoder\.head\.weight"),
        (lambda: with_command_line({k: v for k, v in past().items() if "pos_embed" not in k}), "missing .*pos_embed"),
        (lambda: with_command_line({k: v for k, v in past().items() if "embeddings" not in k}), "missing cell_encoder"),
    ],
)
def test_what_one_route_refuses_the_other_refuses(
    content: Callable[[], Any], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = settings(content(), tmp_path)
    for route in (load_encoder, released_encoder):
        with pytest.raises(UserError, match=says):
            route("past", given)
    assert "stranger" not in capsys.readouterr().out
