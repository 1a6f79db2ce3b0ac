"""Renaming of published checkpoints' entries to the encoders' parameter names.

Each function takes and returns ``{name: tensor}`` and drops nothing: entries that it does not know pass through
unchanged, so that strict loading can name them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

State = dict[str, Tensor]


def plain(state: State) -> State:
    """Already the encoder's names (UNI, timm's ResNet)."""
    return state


def densenet(state: State) -> State:
    """torchvision's older DenseNet files write ``denselayer1.norm.1.weight`` for ``denselayer1.norm1.weight``."""
    return {re.sub(r"(denselayer\d+\.(?:norm|conv))\.(\d)\.", r"\1\2.", key): value for key, value in state.items()}


def conch(state: State) -> State:
    """The image tower sits under ``visual.``."""
    return {key.removeprefix("visual."): value for key, value in state.items()}


def ctranspath(state: State) -> State:
    """Older timm put a stage's down-sampling at its end, newer timm at the start of the next stage."""

    def next_stage(match: re.Match[str]) -> str:
        return f"layers.{int(match[1]) + 1}.downsample."

    return {re.sub(r"^layers\.(\d+)\.downsample\.", next_stage, key): value for key, value in state.items()}


def past(state: State) -> State:
    """The image encoder is a bare timm transformer under ``image_encoder.model.``."""
    return {key.removeprefix("image_encoder.model."): value for key, value in state.items()}


def clip(state: State) -> State:
    """Hugging Face's ``CLIPModel`` to timm's CLIP vision transformer, whose head is the visual projection."""
    renamed = _rename(
        state,
        (
            (r"^vision_model\.embeddings\.class_embedding$", "cls_token"),
            (r"^vision_model\.embeddings\.patch_embedding\.", "patch_embed.proj."),
            (r"^vision_model\.embeddings\.position_embedding\.weight$", "pos_embed"),
            (r"^vision_model\.pre_layrnorm\.", "norm_pre."),
            (r"^vision_model\.post_layernorm\.", "norm."),
            (r"^vision_model\.encoder\.layers\.(\d+)\.self_attn\.out_proj\.", r"blocks.\1.attn.proj."),
            (r"^vision_model\.encoder\.layers\.(\d+)\.self_attn\.", r"blocks.\1.attn."),
            (r"^vision_model\.encoder\.layers\.(\d+)\.layer_norm(\d)\.", r"blocks.\1.norm\2."),
            (r"^vision_model\.encoder\.layers\.(\d+)\.", r"blocks.\1."),
            (r"^visual_projection\.", "head."),
        ),
    )
    for key, axes in (("cls_token", 1), ("pos_embed", 2)):
        if key in renamed and renamed[key].ndim == axes:
            renamed[key] = renamed[key].reshape(1, -1, renamed[key].shape[-1])
    return _fuse_qkv(renamed)


def beit3(state: State) -> State:
    """MUSK's BEiT-3 names: the vision expert ``.A`` of each multiway layer, to timm's ``beit3``.

    The position table starts with two rows that no image position uses.
    """
    renamed = _rename(
        state,
        (
            (r"^beit3\.(encoder\.)?", ""),
            (r"^vision_embed\.cls_token$", "cls_token"),
            (r"^vision_embed\.proj\.", "patch_embed.proj."),
            (r"^embed_positions\.A\.weight$", "pos_embed"),
            (r"^layer_norm\.A\.", "norm."),
            (r"^layers\.(\d+)\.self_attn\.inner_attn_ln\.A\.", r"blocks.\1.attn.norm."),
            (r"^layers\.(\d+)\.self_attn\.out_proj\.A\.", r"blocks.\1.attn.proj."),
            (r"^layers\.(\d+)\.self_attn\.([qkv]_proj)\.A\.", r"blocks.\1.attn.\2."),
            (r"^layers\.(\d+)\.self_attn_layer_norm\.A\.", r"blocks.\1.norm1."),
            (r"^layers\.(\d+)\.final_layer_norm\.A\.", r"blocks.\1.norm2."),
            (r"^layers\.(\d+)\.ffn\.A\.ffn_layernorm\.", r"blocks.\1.mlp.norm."),
            (r"^layers\.(\d+)\.ffn\.A\.", r"blocks.\1.mlp."),
        ),
    )
    if "pos_embed" in renamed and renamed["pos_embed"].ndim == 2:
        renamed["pos_embed"] = renamed["pos_embed"][2:].unsqueeze(0)
    return _fuse_qkv(renamed)


def dinov2(state: State) -> State:
    """torch hub's DINOv2 with registers to timm's, whose table of positions has no row for the class token.

    That row is always added to the class token and to nothing else, so it becomes part of it. timm's own files, which
    have no ``register_tokens``, pass through.
    """
    needed = ("register_tokens", "cls_token", "pos_embed")
    if not all(key in state and state[key].ndim == 3 for key in needed):
        return state
    found = {key: value for key, value in state.items() if key not in needed}
    positions = state["pos_embed"]
    return {
        **found,
        "reg_token": state["register_tokens"],
        "cls_token": state["cls_token"] + positions[:, :1],
        "pos_embed": positions[:, 1:],
    }


def efficientnet_lite(state: State) -> State:
    """TensorFlow's EfficientNet-Lite0 as it is converted for PyTorch, its 16 blocks in one row, to timm's stages."""
    renamed: State = {}
    for key, value in state.items():
        new = re.sub(r"^_(conv_stem|conv_head)\.", r"\1.", key)
        new = re.sub(r"^_bn([01])\.", lambda match: f"bn{int(match[1]) + 1}.", new)
        new = re.sub(r"^_fc\.", "classifier.", new)
        match = re.fullmatch(r"_blocks\.(\d+)\.(_\w+)\.(\w+)", new)
        if match and int(match[1]) < sum(_LITE0_BLOCKS) and match[2] in _LITE_LAYERS:
            number = int(match[1])
            expands = f"_blocks.{number}._expand_conv.weight" in state
            new = f"blocks.{_stage_of(number)}.{_LITE_LAYERS[match[2]][expands]}.{match[3]}"
        renamed[new] = value
    return renamed


_LITE0_BLOCKS = (1, 2, 2, 3, 3, 4, 1)
"""Blocks of each stage of EfficientNet-B0, and so of Lite0 (Tan and Le 2019, table 1)."""
_LITE_LAYERS = {
    "_expand_conv": ("", "conv_pw"),
    "_bn0": ("", "bn1"),
    "_depthwise_conv": ("conv_dw", "conv_dw"),
    "_bn1": ("bn1", "bn2"),
    "_project_conv": ("conv_pw", "conv_pwl"),
    "_bn2": ("bn2", "bn3"),
}
"""Names within a block that does not widen first (the first stage's), and within one that does."""


def _stage_of(number: int) -> str:
    """``stage.place`` of a block that is counted through."""
    for stage, blocks in enumerate(_LITE0_BLOCKS):
        if number < blocks:
            return f"{stage}.{number}"
        number -= blocks
    raise ValueError(f"block {number} beyond the last")


def _rename(state: State, rules: Sequence[tuple[str, str]]) -> State:
    """Apply the first rule that matches each name; the others pass through."""
    renamed: State = {}
    for key, value in state.items():
        new = key
        for pattern, replacement in rules:
            new, hits = re.subn(pattern, replacement, key)
            if hits and not replacement:  # a prefix was taken off: the rules go on with the rest
                key = new
                continue
            if hits:
                break
        else:
            new = key
        renamed[new] = value
    return renamed


def _fuse_qkv(state: State) -> State:
    """Stack separate query, key and value projections into timm's ``qkv``; an incomplete triple stays as it is."""
    fused = dict(state)
    for key in state:
        match = re.fullmatch(r"(blocks\.\d+\.attn\.)q_proj\.(weight|bias)", key)
        parts = [f"{match[1]}{part}_proj.{match[2]}" for part in "qkv"] if match else []
        if match and all(part in state for part in parts):
            fused[f"{match[1]}qkv.{match[2]}"] = torch.cat([fused.pop(part) for part in parts])
    return fused


KEY_MAPS: dict[str, Callable[[State], State]] = {
    "plain": plain,
    "densenet": densenet,
    "efficientnet_lite": efficientnet_lite,
    "conch": conch,
    "ctranspath": ctranspath,
    "past": past,
    "clip": clip,
    "beit3": beit3,
    "dinov2": dinov2,
}
