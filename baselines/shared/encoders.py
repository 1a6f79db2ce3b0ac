"""The encoder table: one row per published image encoder, with everything needed to build, feed and load it.

The table is plain data and imports no torch. ``build_encoder`` makes the network. Sizes come per profile: ``full`` is
the published architecture, ``mini`` the same blocks, fewer and smaller, on 64-pixel input.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from protocols.contract import Settings
from protocols.errors import look_up

if TYPE_CHECKING:
    from torch import nn

Triple = tuple[float, float, float]

IMAGENET: tuple[Triple, Triple] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP: tuple[Triple, Triple] = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
INCEPTION: tuple[Triple, Triple] = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@dataclass(frozen=True)
class EncoderSize:
    """``pixels``: side of the square input; ``dim``: length of the embedding; ``kwargs``: what the builder gets.

    ``view`` is the central share of the crop's side that the encoder sees. A published encoder sees the whole crop. A
    random one hardly does more than average over what it sees, so the mini sizes look at the central half, where the
    cell itself is, and are not drowned by its neighbours.
    """

    pixels: int
    dim: int
    kwargs: Mapping[str, Any]
    view: float = 1.0


@dataclass(frozen=True)
class EncoderSpec:
    """One published encoder.

    ``architecture`` names a builder in ``encoder_modules.BUILDERS``, ``key_map`` a renaming in
    ``checkpoint_keys.KEY_MAPS``. ``unused_keys`` are regular expressions of checkpoint entries that the encoder
    rightly leaves aside, ``zero_keys`` parameters that the checkpoint rightly lacks (they become 0); every other
    difference is an error. ``mpp`` is the pre-training resolution in micrometres per pixel (None: mixed or unstated).
    """

    name: str
    title: str
    architecture: str
    timm_name: str
    full: EncoderSize
    mini: EncoderSize
    normalisation: tuple[Triple, Triple]
    parameters: int
    licence: str
    paper: str
    training_overlap: str
    hub_id: str | None = None
    hub_file: str | None = None
    mpp: float | None = None
    key_map: str = "plain"
    unused_keys: tuple[str, ...] = ()
    zero_keys: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def size(self, profile: str) -> EncoderSize:
        return look_up(profile, {"mini": self.mini, "full": self.full}, kind="profile", where=f"encoder {self.name}")


_MINI_VIEW = 0.5
_VIT_MINI: dict[str, Any] = {"img_size": 64, "patch_size": 8, "embed_dim": 96, "depth": 2, "num_heads": 6}
_SWIN_MINI: dict[str, Any] = {
    "img_size": 64,
    "window_size": 4,
    "embed_dim": 24,
    "depths": (1, 1, 2, 1),
    "num_heads": (1, 2, 4, 8),
}
_RESNET_MINI: dict[str, Any] = {"layers": (1, 1, 1, 1), "channels": (8, 16, 32, 64)}
_SWIN_BUFFERS = (r"attn_mask$", r"relative_position_index$", r"^head\.")
_IMAGENET_ONLY = "ImageNet photographs only: no histology, no overlap"

_ROWS: tuple[EncoderSpec, ...] = (
    EncoderSpec(
        name="resnet50",
        title="ResNet-50 (ImageNet), final pooled features",
        architecture="timm",
        timm_name="resnet50",
        full=EncoderSize(224, 2048, {"num_classes": 0}),
        mini=EncoderSize(48, 256, {"num_classes": 0, **_RESNET_MINI}, view=_MINI_VIEW),
        normalisation=IMAGENET,
        parameters=23_508_032,
        licence="BSD-3-Clause (torchvision weights)",
        paper="He et al., CVPR 2016",
        training_overlap=_IMAGENET_ONLY,
        hub_id="timm/resnet50.tv_in1k",
        hub_file="model.safetensors",
        unused_keys=(r"^fc\.",),
    ),
    EncoderSpec(
        name="resnet50_layer3",
        title="ResNet-50 (ImageNet) cut after the third stage and averaged, as MCAT and CLAM use it",
        architecture="resnet_layer3",
        timm_name="resnet50",
        full=EncoderSize(224, 1024, {"num_classes": 0}),
        mini=EncoderSize(48, 128, {"num_classes": 0, **_RESNET_MINI}, view=_MINI_VIEW),
        normalisation=IMAGENET,
        parameters=8_543_296,
        licence="BSD-3-Clause (torchvision weights)",
        paper="He et al., CVPR 2016; cut of Lu et al., Nature Biomedical Engineering 2021",
        training_overlap=_IMAGENET_ONLY,
        hub_id="timm/resnet50.tv_in1k",
        hub_file="model.safetensors",
        unused_keys=(r"^fc\.", r"^layer4\."),
    ),
    EncoderSpec(
        name="densenet121",
        title="DenseNet-121 (ImageNet)",
        architecture="timm",
        timm_name="densenet121",
        full=EncoderSize(224, 1024, {"num_classes": 0}),
        mini=EncoderSize(32, 32, {"num_classes": 0, "growth_rate": 8, "block_config": (2, 2, 2, 2)}, view=_MINI_VIEW),
        normalisation=IMAGENET,
        parameters=6_953_856,
        licence="BSD-3-Clause (torchvision weights)",
        paper="Huang et al., CVPR 2017",
        training_overlap=_IMAGENET_ONLY,
        hub_id="timm/densenet121.tv_in1k",
        hub_file="model.safetensors",
        key_map="densenet",
        unused_keys=(r"^classifier\.",),
    ),
    EncoderSpec(
        name="uni",
        title="UNI (ViT-L/16, DINOv2)",
        architecture="timm",
        timm_name="vit_large_patch16_224",
        full=EncoderSize(
            224,
            1024,
            {"img_size": 224, "patch_size": 16, "init_values": 1e-5, "num_classes": 0, "dynamic_img_size": True},
        ),
        mini=EncoderSize(
            64, 96, {"init_values": 1e-5, "num_classes": 0, "dynamic_img_size": True, **_VIT_MINI}, view=_MINI_VIEW
        ),
        normalisation=IMAGENET,
        parameters=303_350_784,
        licence="CC-BY-NC-ND-4.0 (gated)",
        paper="Chen et al., Nature Medicine 2024",
        training_overlap="Mass-100K, private hospital slides; no TCGA (secondary source)",
        hub_id="MahmoodLab/UNI",
        hub_file="pytorch_model.bin",
        mpp=0.5,
    ),
    EncoderSpec(
        name="conch",
        title="CONCH (ViT-B/16 with its contrastive attentional pooler, before projection)",
        architecture="conch",
        timm_name="vit_base_patch16_224",
        full=EncoderSize(
            448,
            512,
            {"pooled_dim": 512, "pooler_heads": 8, "img_size": 448, "num_classes": 0, "dynamic_img_size": True},
        ),
        mini=EncoderSize(
            64,
            64,
            {"pooled_dim": 64, "pooler_heads": 8, "num_classes": 0, "dynamic_img_size": True, **_VIT_MINI},
            view=_MINI_VIEW,
        ),
        normalisation=CLIP,
        parameters=87_567_104,
        licence="CC-BY-NC-ND-4.0 (gated)",
        paper="Lu et al., Nature Medicine 2024",
        training_overlap="1.17 M image-caption pairs; overlap with the evaluated cohorts unknown",
        hub_id="MahmoodLab/conch",
        hub_file="pytorch_model.bin",
        key_map="conch",
        unused_keys=(
            r"^text\.",
            r"^logit_scale$",
            r"^attn_pool_caption\.",
            r"^ln_caption\.",
            r"^proj_contrast$",
        ),
    ),
    EncoderSpec(
        name="ctranspath",
        title="CTransPath (Swin-T with a convolutional stem)",
        architecture="ctranspath",
        timm_name="swin_tiny_patch4_window7_224",
        full=EncoderSize(224, 768, {"num_classes": 0}),
        mini=EncoderSize(64, 192, {"num_classes": 0, **_SWIN_MINI}, view=_MINI_VIEW),
        normalisation=IMAGENET,
        parameters=27_520_038,
        licence="GPL-3.0, wording restricts to non-commercial use",
        paper="Wang et al., Medical Image Analysis 2022",
        training_overlap="about 15 M patches of TCGA and PAIP: overlaps every TCGA task",
        mpp=1.0,
        key_map="ctranspath",
        unused_keys=_SWIN_BUFFERS,
    ),
    EncoderSpec(
        name="chief",
        title="CHIEF tile encoder (CTransPath's architecture, own weights)",
        architecture="ctranspath",
        timm_name="swin_tiny_patch4_window7_224",
        full=EncoderSize(224, 768, {"num_classes": 0}),
        mini=EncoderSize(64, 192, {"num_classes": 0, **_SWIN_MINI}, view=_MINI_VIEW),
        normalisation=IMAGENET,
        parameters=27_520_038,
        licence="AGPL-3.0 (licence file) against GPL-3.0 non-commercial (read-me)",
        paper="Wang et al., Nature 2024",
        training_overlap="60,530 slides of 19 sites, TCGA among them",
        hub_id="MahmoodLab/hest-bench",
        hub_file="fm_v1/ctranspath/CHIEF_CTransPath.pth",
        key_map="ctranspath",
        unused_keys=_SWIN_BUFFERS,
    ),
    EncoderSpec(
        name="plip",
        title="PLIP (CLIP ViT-B/32 with its projection)",
        architecture="timm",
        timm_name="vit_base_patch32_clip_quickgelu_224",
        full=EncoderSize(224, 512, {"num_classes": 512}),
        mini=EncoderSize(64, 64, {"num_classes": 64, **_VIT_MINI}, view=_MINI_VIEW),
        normalisation=CLIP,
        parameters=87_849_728,
        licence="MIT (setup.py; no licence file)",
        paper="Huang et al., Nature Medicine 2023",
        training_overlap="208,414 pairs from the web (OpenPath); overlap unknown",
        hub_id="vinid/plip",
        hub_file="pytorch_model.bin",
        key_map="clip",
        unused_keys=(r"^text_model\.", r"^text_projection\.", r"^logit_scale$", r"position_ids$"),
        zero_keys=("head.bias",),
    ),
    EncoderSpec(
        name="musk",
        title="MUSK vision branch (BEiT-3 large), the backbone of HEX",
        architecture="timm",
        timm_name="beit3_large_patch16_224",
        full=EncoderSize(384, 1024, {"img_size": 384, "num_classes": 0, "global_pool": "token"}),
        mini=EncoderSize(64, 96, {"num_classes": 0, "global_pool": "token", **_VIT_MINI}, view=_MINI_VIEW),
        normalisation=INCEPTION,
        parameters=303_936_512,
        licence="CC-BY-NC-ND-4.0 (gated)",
        paper="Xiang et al., Nature 2025",
        training_overlap="50 M tiles, TCGA among them; overlap with the evaluated cohorts unknown",
        hub_id="xiangjx/musk",
        hub_file="model.safetensors",
        key_map="beit3",
        unused_keys=(
            r"\.B\.",
            r"text_embed\.",
            r"mask_token$",
            r"^logit_scale$",
            r"^(vision|language)_head\.",
        ),
    ),
    EncoderSpec(
        name="past",
        title="PAST's image encoder (UNI's architecture, aligned with single-cell transcriptomes)",
        architecture="timm",
        timm_name="vit_large_patch16_224",
        full=EncoderSize(
            224,
            1024,
            {"img_size": 224, "patch_size": 16, "init_values": 1e-5, "num_classes": 0, "dynamic_img_size": True},
        ),
        mini=EncoderSize(
            64, 96, {"init_values": 1e-5, "num_classes": 0, "dynamic_img_size": True, **_VIT_MINI}, view=_MINI_VIEW
        ),
        normalisation=IMAGENET,
        parameters=303_350_784,
        licence="no licence file; starts from UNI, whose CC-BY-NC-ND-4.0 likely binds it",
        paper="PAST, arXiv 2507.06418",
        training_overlap="public Xenium slides; starts from UNI (Mass-100K)",
        hub_id="Boyoungc/PAST",
        hub_file="checkpoint-context300.pth",
        key_map="past",
        unused_keys=(
            r"^(cell_encoder|graph_encoder|fusion_layer|fusion_norm|image_projection|cell_projection)\.",
            r"^(temperature|attn_bias)$",
        ),
    ),
)

ENCODERS: dict[str, EncoderSpec] = {row.name: row for row in _ROWS}


def encoder_spec(name: str) -> EncoderSpec:
    """The table's row, or an error that suggests the nearest name."""
    return look_up(name, ENCODERS, kind="encoder", where="the encoder table")


def build_encoder(name: str, settings: Settings, seed: int | None = None) -> nn.Module:
    """The encoder at the profile's size, randomly initialised, in eval mode, on the CPU.

    The start depends on ``seed`` (default: the settings') and the encoder's name alone, so that CHIEF and CTransPath,
    one architecture, differ. torch's global generator is left as it was. ``weights.load_encoder`` adds real weights.
    """
    from baselines.shared.encoder_modules import build
    from protocols.seeds import derive_seed

    chosen = settings.seed if seed is None else seed
    return build(encoder_spec(name), settings.profile, derive_seed(chosen, "encoder", name))
