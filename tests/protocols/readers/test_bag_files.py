"""Precomputed bags: CLAM's .pt and TRIDENT's .h5 are read, and a file that holds code is never run."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from protocols.errors import UserError
from protocols.readers.bag_files import read_bag

BAG = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)


def h5(path: Path, values: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        file["features"] = values


def test_every_layout_gives_the_same_bag(tmp_path: Path) -> None:
    torch.save(torch.from_numpy(BAG), tmp_path / "a.pt")
    torch.save({"features": torch.from_numpy(BAG)}, tmp_path / "b.pt")
    h5(tmp_path / "c.h5", BAG)
    h5(tmp_path / "d.h5", BAG[None])
    for name in ("a.pt", "b.pt", "c.h5", "d.h5"):
        np.testing.assert_array_equal(read_bag(tmp_path / name), BAG)


def test_a_file_that_holds_code_is_refused(tmp_path: Path) -> None:
    torch.save({"features": Path("x")}, tmp_path / "code.pt")
    with pytest.raises(UserError, match="refused, it holds more than tensors"):
        read_bag(tmp_path / "code.pt")


def test_damaged_absent_and_strange_files_are_named(tmp_path: Path) -> None:
    torch.save(torch.from_numpy(BAG), tmp_path / "a.pt")
    h5(tmp_path / "c.h5", BAG)
    (tmp_path / "cut.pt").write_bytes((tmp_path / "a.pt").read_bytes()[:300])
    (tmp_path / "cut.h5").write_bytes((tmp_path / "c.h5").read_bytes()[:300])
    (tmp_path / "bag.csv").write_text("1,2\n")
    for name, message in (
        ("cut.pt", "unreadable"),
        ("cut.h5", "unreadable"),
        ("none.pt", "no such bag"),
        ("bag.csv", "unknown kind of bag '.csv'"),
    ):
        with pytest.raises(UserError, match=message):
            read_bag(tmp_path / name)


def test_a_feature_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    torch.save(torch.full((3, 2), float("nan")), tmp_path / "nan.pt")
    with pytest.raises(UserError, match="not finite"):
        read_bag(tmp_path / "nan.pt")
