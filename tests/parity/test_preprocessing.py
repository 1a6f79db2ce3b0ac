"""Each encoder's own resize, squeeze or crop, mean and SD, on an image that is not square: through the table."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from baselines.encoders.embedding import prepared
from baselines.encoders.spec import EncoderSpec
from baselines.encoders.table import ENCODERS
from past_model.image_encoder import ImageEncoder, at_encoder_size
from past_model.resizing import resized
from past_model.settings import FULL
from tests.parity.vectors import image, read

TABLE = {
    "CTransPath": "ctranspath",
    "CHIEF tile": "chief",
    "UNI, README": "uni",
    "CONCH": "conch",
    "PLIP": "plip",
    "MUSK as HEX feeds it": "musk",
    "ResNet-50 cut (CLAM)": "resnet50_layer3",
    "PAST, graph data set": "past",
}
OTHERS = {  # what else the releases do, with the same function
    "UNI, get_encoder": replace(ENCODERS["uni"], framing="whole"),
    "SEQUOIA, UNI features": replace(ENCODERS["uni"], framing="whole"),
    "PAST, first data set": replace(ENCODERS["past"], framing="whole"),
    "MUSK, README": replace(ENCODERS["musk"], filter="bicubic", framing="crop"),
}


def checked(x: Tensor, entry: str) -> None:
    """Shape, first numbers, one of the middle, the last, norm and mean of one prepared image ``(3, h, w)``."""
    vectors = read("preprocessing")
    assert list(x.shape) == vectors.expected(entry, "shape")
    _, h, w = x.shape
    first, middle = "first five (channel 0, row 0, columns 0-4)", "channel 1, middle place (row H//2, column W//2)"
    vectors.check(x[0, 0, :5], entry, first, kind="absolute")
    vectors.check(x[1, h // 2, w // 2], entry, middle, kind="absolute")
    vectors.check(x[2, -1, -1], entry, "last number", kind="absolute")
    vectors.check(x.mean(dtype=torch.float64), entry, "mean", kind="absolute")
    assert x.double().norm().item() == pytest.approx(vectors.expected(entry, "l2"), rel=1e-6)


def ours(spec: EncoderSpec) -> Tensor:
    return prepared(image(260, 300)[None], spec.full, spec, torch.device("cpu"))[0]


@pytest.mark.parametrize("entry", sorted(TABLE))
def test_the_table_prepares_as_the_release(entry: str) -> None:
    checked(ours(ENCODERS[TABLE[entry]]), entry)


@pytest.mark.parametrize("entry", sorted(OTHERS))
def test_what_else_the_releases_do(entry: str) -> None:
    checked(ours(OTHERS[entry]), entry)


def test_past_prepares_by_itself_as_through_the_table() -> None:
    with torch.device("meta"):
        encoder = ImageEncoder(FULL)
    encoder.mean, encoder.std = (torch.tensor(v).view(1, 3, 1, 1) for v in ENCODERS["past"].normalisation)
    x = encoder.normalise(at_encoder_size(image(260, 300)[None], FULL.image_pixels))
    checked(x[0], "PAST, graph data set")
    crops = image(90, 90)[None]
    size = ENCODERS["past"].full
    through_the_table = prepared(crops, size, ENCODERS["past"], torch.device("cpu"))
    by_itself = encoder.normalise(at_encoder_size(crops, FULL.image_pixels))
    torch.testing.assert_close(by_itself, through_the_table, rtol=0, atol=1e-6)


def test_an_image_that_fits_is_not_touched() -> None:
    whole = image(24, 24)[None]
    assert np.array_equal(resized(whole, 24, "bicubic", "crop"), whole)


def test_every_resize_of_an_encoder_s_input_goes_through_one_function() -> None:
    """Another call of a library's resize in these folders is another preprocessing; networks may resize features."""
    root = Path(__file__).parents[2]
    found = {
        path.relative_to(root).as_posix()
        for folder in ("baselines", "past_model")
        for path in (root / folder).rglob("*.py")
        if re.search(r"\.interpolate\(|(?<!np)\.resize\(|antialias=", path.read_text(encoding="utf-8"))
    }
    assert {name for name in found if not name.startswith("baselines/networks/")} == {"past_model/resizing.py"}
