"""The encoders' networks: timm's, with the parts that timm lacks (CTransPath's stem, CONCH's pooler)."""

from __future__ import annotations

import importlib
import importlib.util
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import torch
from torch import Tensor, nn

from baselines.encoders.entries import encoder_spec
from baselines.encoders.spec import EncoderSpec
from past_model.timm_import import import_timm
from protocols.contract import Settings
from protocols.errors import UserError, did_you_mean, look_up
from protocols.seeds import derive_seed


class ConvStem(nn.Module):
    """CTransPath's patch embedding: two stride-2 3x3 convolutions, a 1x1 one, and a LayerNorm.

    Stands in for timm's ``PatchEmbed``, hence its arguments and its ``NHWC`` output ``(batch, h, w, embed_dim)``.
    """

    def __init__(
        self,
        img_size: int | tuple[int, int] = 224,
        patch_size: int = 4,
        in_chans: int = 3,
        embed_dim: int = 96,
        norm_layer: Callable[[int], nn.Module] = nn.LayerNorm,
        **_: object,
    ) -> None:
        super().__init__()
        self.img_size = (img_size, img_size) if isinstance(img_size, int) else img_size
        self.patch_size = (patch_size, patch_size)
        self.grid_size = (self.img_size[0] // patch_size, self.img_size[1] // patch_size)
        self.num_patches = self.grid_size[0] * self.grid_size[1]
        first, second = embed_dim // 8, embed_dim // 4
        self.proj = nn.Sequential(
            nn.Conv2d(in_chans, first, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(inplace=True),
            nn.Conv2d(first, second, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(second),
            nn.ReLU(inplace=True),
            nn.Conv2d(second, embed_dim, 1),
        )
        self.norm = norm_layer(embed_dim)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.norm(self.proj(x).permute(0, 2, 3, 1)))


class AttentionalPooler(nn.Module):
    """One learnable query attends to all tokens: ``(batch, tokens, context_dim)`` to ``(batch, dim)``."""

    def __init__(self, dim: int, context_dim: int, heads: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(1, dim))
        self.attn = nn.MultiheadAttention(dim, heads, kdim=context_dim, vdim=context_dim, batch_first=True)
        self.ln_q = nn.LayerNorm(dim)
        self.ln_k = nn.LayerNorm(context_dim)

    def forward(self, tokens: Tensor) -> Tensor:
        context = self.ln_k(tokens)
        query = self.ln_q(self.query).expand(len(tokens), 1, -1)
        pooled, _ = self.attn(query, context, context, need_weights=False)
        return cast(Tensor, pooled[:, 0])


class ConchVision(nn.Module):
    """CONCH's image tower up to its contrastive feature, before projection and L2 normalisation."""

    def __init__(self, trunk: nn.Module, pooled_dim: int, pooler_heads: int) -> None:
        super().__init__()
        self.trunk = trunk
        width = int(cast(int, trunk.embed_dim))
        self.attn_pool_contrast = AttentionalPooler(pooled_dim, width, pooler_heads)
        self.ln_contrast = nn.LayerNorm(pooled_dim)

    def forward(self, x: Tensor) -> Tensor:
        tokens = cast(Callable[[Tensor], Tensor], self.trunk.forward_features)(x)
        return cast(Tensor, self.ln_contrast(self.attn_pool_contrast(tokens)))


def _timm(spec: EncoderSpec, kwargs: Mapping[str, Any]) -> nn.Module:
    timm = import_timm()
    if not timm.is_model(spec.timm_name):
        raise UserError(
            f"timm has no model {spec.timm_name!r}", where=f"encoder {spec.name}", expected="a name of timm",
            remedy=did_you_mean(spec.timm_name, timm.list_models()),
        )  # fmt: skip
    try:
        return cast(nn.Module, timm.create_model(spec.timm_name, pretrained=False, **kwargs))
    except TypeError as error:
        raise UserError(
            f"{spec.timm_name}: {error}", where=f"encoder {spec.name}", expected="what timm's model takes",
            remedy="mend its kwargs",
        ) from error  # fmt: skip


def _ctranspath(spec: EncoderSpec, kwargs: Mapping[str, Any]) -> nn.Module:
    return _timm(spec, {**kwargs, "embed_layer": ConvStem})


def _conch(spec: EncoderSpec, kwargs: Mapping[str, Any]) -> nn.Module:
    own = {"pooled_dim", "pooler_heads"}
    trunk = _timm(spec, {key: value for key, value in kwargs.items() if key not in own})
    return ConchVision(trunk, int(kwargs["pooled_dim"]), int(kwargs["pooler_heads"]))


def _resnet_layer3(spec: EncoderSpec, kwargs: Mapping[str, Any]) -> nn.Module:
    network = _timm(spec, kwargs)
    network.layer4 = nn.Identity()
    return network


def _built(spec: EncoderSpec, kwargs: Mapping[str, Any]) -> nn.Module:
    """What somebody's own function returns; its file is run by the process that embeds with it and by no other."""
    place, _, name = spec.build.rpartition(":")
    module = _module_of_file(spec, place) if place.endswith(".py") else _module_of_package(spec, place)
    if not callable(getattr(module, name, None)):
        raise UserError(
            f"no function {name!r}", where=place, expected=f"what builds encoder {spec.name}",
            remedy=did_you_mean(name, [key for key, value in vars(module).items() if callable(value)]),
        )  # fmt: skip
    network = getattr(module, name)(**kwargs)
    if not isinstance(network, nn.Module):
        raise UserError(
            f"{name} returned a {type(network).__name__}",
            where=place,
            expected="a torch.nn.Module",
            remedy="return one",
        )
    return network


def _module_of_file(spec: EncoderSpec, place: str) -> ModuleType:
    module_spec = importlib.util.spec_from_file_location(f"slide2omics_encoder_{spec.name}", place)
    if module_spec is None or module_spec.loader is None or not Path(place).is_file():
        raise UserError(
            "no such file", where=f"encoders.{spec.name}.build", expected="file.py:function", remedy="mend it"
        )
    module = importlib.util.module_from_spec(module_spec)
    module_spec.loader.exec_module(module)
    return module


def _module_of_package(spec: EncoderSpec, place: str) -> ModuleType:
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        raise UserError(
            f"no module {place!r} ({error})", where=f"encoders.{spec.name}.build",
            expected="file.py:function or package.module:function", remedy="install it, or mend the entry",
        ) from None  # fmt: skip


BUILDERS: dict[str, Callable[[EncoderSpec, Mapping[str, Any]], nn.Module]] = {
    "build": _built,
    "timm": _timm,
    "ctranspath": _ctranspath,
    "conch": _conch,
    "resnet_layer3": _resnet_layer3,
}


def construct(spec: EncoderSpec, profile: str) -> nn.Module:
    """The network as its library initialises it (also on torch's ``meta`` device, to count parameters)."""
    builder = look_up(spec.architecture, BUILDERS, kind="architecture", where=f"encoder {spec.name}")
    return builder(spec, spec.size(profile).kwargs)


def build(spec: EncoderSpec, profile: str, seed: int) -> nn.Module:
    """The network with its random start drawn from ``seed`` alone, in eval mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # the library's own draws, all replaced below, must not move the global generator
        network = construct(spec, profile)
    initialise(network, torch.Generator().manual_seed(seed))
    return network.eval()


@torch.no_grad()
def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Draw every weight anew so that a *frozen random* network keeps information at any width.

    Libraries start networks so that they train well: LayerScale at 1e-5 and the last BatchNorm of a residual block at
    0 make every block the identity, a standard deviation of 0.02 is tuned to a width near 1,000. Here weights are
    normal with variance gain / fan-in (gain 2 for convolutions, which ReLU follows; 1 for linear layers), norms and
    LayerScale 1, biases 0, and positions, class tokens and queries as large as the tokens that they are added to.
    """
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.ndim >= 2:
                parameter.normal_(0.0, _spread(module, name, parameter), generator=generator)
            else:
                parameter.fill_(1.0 if name in ("weight", "gamma") else 0.0)


def _spread(module: nn.Module, name: str, parameter: Tensor) -> float:
    if isinstance(module, nn.Conv2d):
        return math.sqrt(2.0 / math.prod(parameter.shape[1:]))
    if isinstance(module, nn.Linear) or name.endswith("weight"):
        return math.sqrt(1.0 / parameter.shape[-1])
    return 0.02 if "bias" in name else 1.0


def build_encoder(name: str, settings: Settings, seed: int | None = None) -> nn.Module:
    """The encoder at the profile's size, randomly initialised, in eval mode, on the CPU.

    The start depends on ``seed`` (default: the settings') and the encoder's name alone, so that CHIEF and CTransPath,
    one architecture, differ. torch's global generator is left as it was. ``weights.load_encoder`` adds real weights.
    """
    chosen = settings.seed if seed is None else seed
    return build(encoder_spec(name, settings), settings.profile, derive_seed(chosen, "encoder", name))
