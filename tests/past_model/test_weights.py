"""The released checkpoint: loaded whole or refused by name."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from past_model.settings import FAITHFUL
from past_model.weights import CheckpointError, ReleasedState, load_released, read_released
from tests.past_model.tiny import released_state, save, tiny_model

State = dict[str, Tensor]
ENCODERS = ("image_encoder.model.", "cell_encoder.")


def given() -> State:
    return released_state(tiny_model(FAITHFUL, seed=7))


def test_every_tensor_arrives_and_the_template_layer_is_left_aside(tmp_path: Path) -> None:
    state = given()
    path = save(tmp_path / "past.pth", {"model": state, "epoch": 3, "args": argparse.Namespace(lr=1.0)})
    model = tiny_model(FAITHFUL, seed=0)
    assert not torch.equal(model.state_dict()["cell_encoder.embeddings.weight"], state["cell_encoder.embeddings.weight"])
    assert load_released(model, read_released(path)) == ()
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


def test_a_file_of_the_two_encoders_alone_says_what_it_lacks(tmp_path: Path) -> None:
    state = {key: value for key, value in given().items() if key.startswith(ENCODERS)}
    read = read_released(save(tmp_path / "past.pth", {"model": state}))
    assert read.table_rows == 60
    model = tiny_model(FAITHFUL, seed=0)
    before = model.state_dict()["cell_projection.fc.weight"].clone()
    absent = load_released(model, read)
    assert {"graph_encoder", "fusion_layer", "cell_projection", "temperature"} <= set(absent)
    assert not {"image_encoder", "cell_encoder"} & set(absent)
    assert torch.equal(model.state_dict()["cell_projection.fc.weight"], before)


def test_the_prefix_of_distributed_training_is_removed(tmp_path: Path) -> None:
    wrapped = {f"module.{key}": value for key, value in given().items()}
    assert load_released(tiny_model(FAITHFUL), read_released(save(tmp_path / "p.pth", {"model": wrapped}))) == ()


def _renamed(state: State) -> State:
    return {key.replace("blocks.0.norm1.weight", "blocks.0.norm_1.weight"): value for key, value in state.items()}


def _without_one(state: State) -> State:
    return {key: value for key, value in state.items() if key != "cell_encoder.positional_embedding.weight"}


def _without_part_of_the_graph(state: State) -> State:
    return {key: value for key, value in state.items() if key != "graph_encoder.norms.1.weight"}


def _with_a_stranger(state: State) -> State:
    return state | {"decoder.weight": torch.zeros(1)}


def _without_images(state: State) -> State:
    return {key: value for key, value in state.items() if not key.startswith("image_encoder")}


def _misshapen(state: State) -> State:
    return state | {"image_encoder.model.norm.bias": torch.zeros(3)}


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        (_renamed, r"missing image_encoder\.model\.blocks\.0\.norm1\.weight; unexpected .*norm_1\.weight"),
        (_without_one, r"missing cell_encoder\.positional_embedding\.weight; unexpected none"),
        (_without_part_of_the_graph, r"missing graph_encoder\.norms\.1\.weight"),
        (_with_a_stranger, r"missing none; unexpected decoder\.weight"),
        (_without_images, r"missing image_encoder\.model\.blocks\.0\..* and \d+ more"),
        (_misshapen, r"image_encoder\.model\.norm\.bias has shape \(3,\), expected \(16,\)"),
    ],
)
def test_any_unexplained_difference_is_an_error_that_names_it(fault: Callable[[State], State], named: str) -> None:
    model = tiny_model(FAITHFUL)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(CheckpointError, match=named):
        load_released(model, ReleasedState(fault(given())))
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_a_truncated_file_and_one_without_the_key_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "past.pth", {"model": given()})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CheckpointError, match="cut short|unreadable"):
        read_released(path)
    path.write_bytes(b"")
    with pytest.raises(CheckpointError):
        read_released(path)
    with pytest.raises(CheckpointError, match="no key 'model'.*found state_dict"):
        read_released(save(tmp_path / "other.pth", {"state_dict": given()}))
    with pytest.raises(CheckpointError, match="missing cell_encoder.embeddings.weight"):
        _ = ReleasedState({}).table_rows


class _Planted:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("code ran",)


def test_code_in_a_pickle_is_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = save(tmp_path / "past.pth", {"model": given(), "extra": _Planted()})
    with pytest.raises(CheckpointError, match="refused"):
        read_released(path)
    assert "code ran" not in capsys.readouterr().out
