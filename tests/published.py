"""Checkpoints as they are published, small: the names of the released files, at the sizes of profile mini.

Names and shapes come from elsewhere than our own renaming: from the parity vectors, whose keys are those of the
upstream code, and from torchvision. Blocks beyond the small depth are dropped and widths divided; entries that a
release holds and no encoder reads (text towers, heads, buffers) are there, too. Each file has its release's container.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from protocols.files import sha256_of
from tests.parity.formula import fill_by_formula
from tests.parity.vectors import read

State = dict[str, Tensor]
Shapes = dict[str, tuple[int, ...]]

DEPTH = 2
_BLOCK = re.compile(r"\b(?:blocks|layers)\.(\d+)\.")


def uni() -> State:
    return _filled(_transformer(read("encoder_uni").shapes(), {1024: 96, 3072: 288, 4096: 384, 197: 65, 16: 8}))


def conch() -> State:
    sizes = {768: 96, 2304: 288, 3072: 384, 512: 64, 1536: 192, 785: 65, 16: 8}
    state = _filled(_transformer(read("encoder_conch").shapes(), sizes))
    others = (
        "text.cls_emb",
        "text.transformer.resblocks.0.ln_1.weight",
        "visual.attn_pool_caption.query",
        "logit_scale",
    )
    return state | {key: torch.zeros(2) for key in others}


def plip() -> State:
    sizes = {768: 96, 3072: 384, 512: 64, 50: 65, 32: 8}
    state = _filled(_transformer(read("encoder_plip").shapes(), sizes))
    others = ("logit_scale", "text_model.embeddings.position_ids", "text_projection.weight")
    return state | {key: torch.zeros(2) for key in (*others, "vision_model.embeddings.position_ids")}


def musk() -> State:
    shapes = read("encoder_musk").shapes()
    state = _filled(_transformer(shapes, {1024: 96, 4096: 384, 579: 67, 16: 8}))
    text = {key.replace(".A.", ".B."): value.clone() for key, value in state.items() if ".A." in key}
    others = ("beit3.text_embed.weight", "beit3.vision_embed.mask_token", "logit_scale", "vision_head.weight")
    return state | text | {key: torch.zeros(2) for key in others}


def ctranspath(system: str = "ctranspath") -> State:
    """Swin with one block a stage, two in the third; down-sampling where timm 0.5 has it, at a stage's end."""
    shapes: Shapes = {}
    for key, shape in read(f"encoder_{system}").shapes().items():
        block = re.match(r"layers\.(\d)\.blocks\.(\d)\.", key)
        if block and int(block[2]) >= (1, 1, 2, 1)[int(block[1])]:
            continue
        if key.endswith("relative_position_bias_table"):
            side = 2 if key.startswith("layers.3.") else 4  # the last stage of 64 pixels is smaller than a window
            shapes[key] = ((2 * side - 1) ** 2, shape[1] // 3)
        else:
            shapes[key] = tuple(size // 4 if size >= 12 else size for size in shape)
    state = _filled(shapes)
    buffers = ("layers.0.blocks.1.attn_mask", "layers.0.blocks.0.attn.relative_position_index", "head.weight")
    return state | {key: torch.zeros(2) for key in buffers}


def resnet50() -> State:
    """torchvision's names, which timm's hub file keeps; one block a stage, planes an eighth as wide."""
    from torchvision.models import resnet50 as published

    with torch.device("meta"):
        shapes = {key: tuple(value.shape) for key, value in published().state_dict().items() if value.ndim}
    known = read("encoder_resnet50_layer3").shapes()
    assert {key: shapes[key] for key in known} == known
    kept: Shapes = {}
    for key, shape in shapes.items():
        if re.match(r"layer\d\.[1-9]", key):
            continue
        stem = key.startswith(("conv1.", "bn1."))
        reads_stem = key in ("layer1.0.conv1.weight", "layer1.0.downsample.0.weight")
        narrow = tuple(size // 8 if size >= 64 else size for size in shape)
        kept[key] = shape if stem or key.startswith("fc.") else (narrow[0], 64, *shape[2:]) if reads_stem else narrow
    return _filled(kept)


def densenet121() -> State:
    """torchvision's own class at the small size; its published file writes ``norm.1`` for ``norm1``."""
    from torchvision.models import DenseNet

    with torch.device("meta"):
        small = DenseNet(growth_rate=8, block_config=(2, 2, 2, 2), num_init_features=16, num_classes=5)
        shapes = {key: tuple(value.shape) for key, value in small.state_dict().items() if value.ndim}
    return _filled({re.sub(r"(denselayer\d+\.(?:norm|conv))(\d)\.", r"\1.\2.", k): v for k, v in shapes.items()})


def past(image: Callable[[], State] = uni, seed: float = 1.0) -> State:
    """The whole model: UNI's layout under ``image_encoder.model.``, and parts that are saved and never used."""
    vectors = read("past_graph_small")
    state = {key: value for key, value in vectors.state().items() if not key.startswith("image_encoder.")}
    width = vectors.shapes()["image_projection.projection.weight"]
    known = image()
    state["image_projection.projection.weight"] = seed * torch.ones(width[0], known["cls_token"].shape[-1])
    state |= {f"image_encoder.model.{key}": seed * value.flip(-1) for key, value in known.items()}
    state |= {"temperature": torch.tensor(0.07), "attn_bias": torch.tensor([[0.0, -1.0]])}
    layers = {key: value for key, value in state.items() if key.startswith("cell_encoder.encoder.layers.0.")}
    state |= {key.replace("encoder.layers.0.", "encoder_layer."): value for key, value in layers.items()}
    return state | {"graph_encoder.distance_transform.0.weight": torch.zeros(1, 1)}


def hex_head() -> State:
    """HEX's head at the hidden sizes of profile mini, on MUSK's small embedding; forty proteins, as released."""
    sizes = {1024: 96, 256: 128, 128: 64}
    shapes = {key: tuple(sizes.get(size, size) for size in shape) for key, shape in read("hex_head").shapes().items()}
    return _filled(shapes)


def past_image_of_mini() -> State:
    """The image encoder at the sizes of PAST's own profile mini, which the vectors of its graph hold."""
    state = read("past_graph_small").state()
    prefix = "image_encoder.model."
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def bare(state: State) -> Any:
    return state


def under_model(state: State) -> Any:
    return {"model": state}


def with_command_line(state: State) -> Any:
    """What PAST's training loop saves."""
    command = argparse.Namespace(lr=5e-4, epochs=20, output_dir="./output", distributed=True, warmup=None, betas=[0.9])
    return {"model": state, "optimizer": {"state": {}, "param_groups": [{"lr": 5e-4}]}, "epoch": 19, "args": command}


PUBLISHED: dict[str, tuple[str, Callable[[], State], Callable[[State], Any]]] = {
    "uni": ("pytorch_model.bin", uni, bare),
    "conch": ("pytorch_model.bin", conch, bare),
    "ctranspath": ("ctranspath.pth", ctranspath, under_model),
    "chief": ("CHIEF_CTransPath.pth", lambda: ctranspath("chief"), under_model),
    "plip": ("pytorch_model.bin", plip, bare),
    "musk": ("model.safetensors", musk, bare),
    "resnet50": ("model.safetensors", resnet50, bare),
    "resnet50_layer3": ("model.safetensors", resnet50, bare),
    "densenet121": ("densenet121-a639ec97.pth", densenet121, bare),
    "hex_head": ("checkpoint.pth", hex_head, bare),
    "past": ("checkpoint-context300.pth", past, with_command_line),
    "past_faithful": ("checkpoint-context300.pth", lambda: past(seed=0.9), with_command_line),
    "past_own_crop": ("checkpoint-context300.pth", lambda: past(seed=1.1), with_command_line),
}
"""Part to its file's name, its state and the container that the file has."""


def write_published(part: str, folder: Path) -> dict[str, str]:
    """Write one part's file below ``folder`` and give its entry for the run's file."""
    name, state, container = PUBLISHED[part]
    path = folder / part / name
    path.parent.mkdir(parents=True)
    save(container(state()), path)
    return {"path": str(path), "sha256": sha256_of(path)}


def save(content: Any, path: Path) -> None:
    if path.suffix == ".safetensors":
        from safetensors.torch import save_file

        save_file({key: value.contiguous() for key, value in content.items()}, path)
    else:
        torch.save(content, path)


def _transformer(shapes: Shapes, sizes: dict[int, int]) -> Shapes:
    """The first blocks alone, every size replaced by its small one."""
    kept = {}
    for key, shape in shapes.items():
        block = _BLOCK.search(key)
        if block is None or int(block[1]) < DEPTH:
            kept[key] = tuple(sizes.get(size, size) for size in shape)
    return kept


def _filled(shapes: Shapes) -> State:
    state = {key: torch.empty(shape) for key, shape in shapes.items()}
    fill_by_formula(state, "rule")
    return state
