"""Strict loading, on small files of the released layout."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
import torch

from past_model.pretraining import build
from past_model.settings import FAITHFUL
from past_model.weights import CheckpointError, load_released, read_released
from tests.past_model.small import SMALL, TABLE_ROWS

State = dict[str, torch.Tensor]


def released(tmp_path: Path, *, change: State | None = None, without: str = "", only: str = "") -> Path:
    """A whole checkpoint as the released training loop saves it, with its unused parts and its command line."""
    model = build(SMALL, FAITHFUL, TABLE_ROWS, seed=1)
    state = {k: v for k, v in model.state_dict().items() if not (without and k.startswith(without))}
    state = {k: v for k, v in state.items() if k.startswith(only)}
    state |= {"cell_encoder.encoder_layer.linear1.weight": torch.zeros(2, 2)}
    if not only:
        state |= {"graph_encoder.distance_transform.0.weight": torch.zeros(1, 1)}
    path = tmp_path / "checkpoint.pth"
    torch.save({"model": state | (change or {}), "epoch": 3, "args": argparse.Namespace(lr=5e-4)}, path)
    return path


def load(path: Path) -> tuple[torch.nn.Module, tuple[str, ...]]:
    model = build(SMALL, FAITHFUL, TABLE_ROWS, seed=0)
    return model, load_released(model, read_released(path))


def test_whole_checkpoint_sets_every_weight(tmp_path: Path) -> None:
    model, absent = load(released(tmp_path))
    source = build(SMALL, FAITHFUL, TABLE_ROWS, seed=1)
    assert absent == ()
    for key, value in source.state_dict().items():
        assert torch.equal(model.state_dict()[key], value), key


def test_table_tells_its_vocabulary(tmp_path: Path) -> None:
    assert read_released(released(tmp_path)).table_rows == TABLE_ROWS


def test_prefix_of_distributed_training_is_taken_off(tmp_path: Path) -> None:
    path = released(tmp_path)
    state = read_released(path).tensors
    torch.save({"model": {f"module.{key}": value for key, value in state.items()}}, path)
    assert load(path)[1] == ()


def test_older_names_of_the_graph_attention_are_understood(tmp_path: Path) -> None:
    state = build(SMALL, FAITHFUL, TABLE_ROWS, seed=1).state_dict()
    old = {}
    for layer in (0, 1):
        value = state.pop(f"graph_encoder.convs.{layer}.lin.weight")
        old |= {f"graph_encoder.convs.{layer}.lin_{end}.weight": value for end in ("src", "dst")}
    torch.save({"model": state | old}, tmp_path / "old.pth")
    model, _ = load(tmp_path / "old.pth")
    assert torch.equal(model.graph_encoder.convs[0].lin.weight, old["graph_encoder.convs.0.lin_src.weight"])


@pytest.mark.parametrize("key", ["image_encoder.model.cls_token", "cell_encoder.embeddings.weight", "fusion_norm.bias"])
def test_missing_key_is_named(tmp_path: Path, key: str) -> None:
    with pytest.raises(CheckpointError, match=f"missing {key}"):
        load(released(tmp_path, without=key))


@pytest.mark.parametrize("key", ["cell_encoder.model.embeddings.weight", "image_encoder.blocks.0.x", "head.weight"])
def test_unexpected_key_is_named(tmp_path: Path, key: str) -> None:
    with pytest.raises(CheckpointError, match=f"unexpected {key}"):
        load(released(tmp_path, change={key: torch.zeros(1)}))


def test_wrong_shape_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cls_token has shape"):
        load(released(tmp_path, change={"image_encoder.model.cls_token": torch.zeros(1, 1, 9)}))


def test_part_that_was_not_saved_is_reported(tmp_path: Path) -> None:
    path = released(tmp_path, without="graph_encoder.")
    state = read_released(path).tensors
    torch.save({"model": {k: v for k, v in state.items() if not k.startswith("graph_encoder")}}, path)
    assert load(path)[1] == ("graph_encoder",)


def test_image_encoder_is_required(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="missing image_encoder"):
        load(released(tmp_path, only="cell_encoder"))


@pytest.mark.parametrize("content", [{"state": {}}, {"model": {"a": 1}}, [1, 2], {"model": {}}])
def test_file_without_a_state_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match="no state dict inside"):
        read_released(tmp_path / "x.pth")


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("run by a pickle",)


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"model": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(CheckpointError, match="refused"):
        read_released(tmp_path / "evil.pth")
    assert capsys.readouterr().out == ""


def test_truncated_file_is_said(tmp_path: Path) -> None:
    path = released(tmp_path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(CheckpointError, match="unreadable"):
        read_released(path)
