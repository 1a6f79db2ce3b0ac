"""Weights: verified, renamed, loaded strictly; every fault a planted one."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from torch import Tensor

from baselines.encoders.modules import build_encoder
from baselines.encoders.weights import load_encoder
from protocols.contract import Settings
from protocols.errors import UserError
from protocols.files import sha256_of

State = dict[str, Tensor]


def _own(name: str) -> State:
    """A mini encoder's state with another seed, so that loading is seen."""
    return {key: value.clone() for key, value in build_encoder(name, Settings(seed=7)).state_dict().items()}


def _split_qkv(state: State) -> State:
    """q, k and v apart, as CLIP's and BEiT-3's files have them."""
    out: State = {}
    for key, value in state.items():
        if ".qkv." in key:
            for part, piece in zip("qkv", value.chunk(3), strict=True):
                out[key.replace("qkv", f"{part}_proj")] = piece
        else:
            out[key] = value
    return out


def _upstream_conch(own: State) -> State:
    extra = {
        "text.positional_embedding": torch.zeros(2),
        "logit_scale": torch.zeros(()),
        "visual.proj_contrast": torch.zeros(2),
    }
    extra["visual.attn_pool_caption.query"] = torch.zeros(2)
    return {**{f"visual.{key}": value for key, value in own.items()}, **extra}


def _upstream_ctranspath(own: State) -> State:
    out = {}
    for key, value in own.items():
        parts = key.split(".")
        if parts[0] == "layers" and parts[2] == "downsample":
            parts[1] = str(int(parts[1]) - 1)
        out[".".join(parts)] = value
    out["layers.0.blocks.1.attn_mask"] = torch.zeros(2)
    out["layers.0.blocks.0.attn.relative_position_index"] = torch.zeros(2)
    out["head.weight"] = torch.zeros(2)
    return out


def _upstream_clip(own: State) -> State:
    names = {
        "cls_token": "vision_model.embeddings.class_embedding",
        "pos_embed": "vision_model.embeddings.position_embedding.weight",
        "patch_embed.proj.weight": "vision_model.embeddings.patch_embedding.weight",
        "norm_pre.weight": "vision_model.pre_layrnorm.weight",
        "norm_pre.bias": "vision_model.pre_layrnorm.bias",
        "norm.weight": "vision_model.post_layernorm.weight",
        "norm.bias": "vision_model.post_layernorm.bias",
        "head.weight": "visual_projection.weight",
    }
    out: State = {"logit_scale": torch.zeros(()), "text_model.embeddings.position_ids": torch.zeros(2)}
    for key, value in _split_qkv(own).items():
        if key == "head.bias":
            continue
        if key in names:
            out[names[key]] = value.reshape(-1) if key == "cls_token" else value[0] if key == "pos_embed" else value
            continue
        key = key.replace("blocks.", "vision_model.encoder.layers.").replace(".norm", ".layer_norm")
        out[key.replace(".attn.proj.", ".self_attn.out_proj.").replace(".attn.", ".self_attn.")] = value
    return out


def _upstream_beit3(own: State) -> State:
    out: State = {
        "beit3.text_embed.weight": torch.zeros(2),
        "beit3.vision_embed.mask_token": torch.zeros(2),
        "beit3.encoder.layers.0.ffn.B.fc1.weight": torch.zeros(2),
        "logit_scale": torch.zeros(()),
        "vision_head.weight": torch.zeros(2),
    }
    for key, value in _split_qkv(own).items():
        if key == "pos_embed":
            out["beit3.encoder.embed_positions.A.weight"] = torch.cat([torch.zeros(2, value.shape[2]), value[0]])
        elif key == "cls_token" or key.startswith("patch_embed."):
            out["beit3.vision_embed." + key.removeprefix("patch_embed.")] = value
        elif key.startswith("norm."):
            out[key.replace("norm.", "beit3.encoder.layer_norm.A.")] = value
        else:
            _, number, *rest = key.split(".")
            inner, tail = ".".join(rest[:-1]), rest[-1]
            table = {
                "norm1": "self_attn_layer_norm.A",
                "norm2": "final_layer_norm.A",
                "attn.norm": "self_attn.inner_attn_ln.A",
                "attn.proj": "self_attn.out_proj.A",
                "mlp.norm": "ffn.A.ffn_layernorm",
                "mlp.fc1": "ffn.A.fc1",
                "mlp.fc2": "ffn.A.fc2",
                **{f"attn.{p}_proj": f"self_attn.{p}_proj.A" for p in "qkv"},
            }
            out[f"beit3.encoder.layers.{number}.{table[inner]}.{tail}"] = value
    return out


def _upstream_densenet(own: State) -> State:
    out = {}
    for key, value in own.items():
        for part in ("norm", "conv"):
            for number in "12":
                if "denselayer" in key:
                    key = key.replace(f".{part}{number}.", f".{part}.{number}.")
        out[key] = value
    return {**out, "classifier.weight": torch.zeros(2)}


def _upstream_dinov2(own):  # type: ignore[no-untyped-def]
    """torch hub's names: half of the class token in the positions' first row, and a mask token for training."""
    half = own["cls_token"] / 2  # exact, so that the sum is
    out = {key: value for key, value in own.items() if key != "reg_token"}
    positions = torch.cat([half, own["pos_embed"]], dim=1)
    hub = {"cls_token": half, "pos_embed": positions, "register_tokens": own["reg_token"]}
    return {**out, **hub, "mask_token": torch.zeros(1, 96)}


UPSTREAM = {
    "uni": lambda own: own,
    "resnet50": lambda own: {**own, "fc.weight": torch.zeros(2)},
    "resnet50_layer3": lambda own: {**own, "fc.weight": torch.zeros(2), "layer4.0.conv1.weight": torch.zeros(2)},
    "densenet121": _upstream_densenet,
    "conch": _upstream_conch,
    "ctranspath": _upstream_ctranspath,
    "chief": _upstream_ctranspath,
    "plip": _upstream_clip,
    "musk": _upstream_beit3,
    "dinov2_vits14_reg": _upstream_dinov2,
}


def _settings(name: str, path: Path, sha256: str | None = None) -> Settings:
    return Settings(weights={name: {"path": str(path), "sha256": sha256 or sha256_of(path)}})


@pytest.mark.parametrize("name", sorted(UPSTREAM))
@pytest.mark.parametrize("container", ["bare", "model", "module"])
def test_the_true_key_layout_loads_whole(name: str, container: str, tmp_path: Path) -> None:
    own = _own(name)
    state = UPSTREAM[name](own)  # type: ignore[no-untyped-call]
    if container == "model":
        state = {"model": state, "epoch": 3}
    if container == "module":
        state = {f"module.{key}": value for key, value in state.items()}
    path = tmp_path / "weights.pth"
    torch.save(state, path)
    network, record = load_encoder(name, _settings(name, path))
    loaded = network.state_dict()
    for key, value in own.items():
        expected = torch.zeros_like(value) if (name, key) == ("plip", "head.bias") else value
        assert torch.equal(loaded[key], expected), key
    assert (record.part, record.source, record.sha256) == (name, "weights.pth", sha256_of(path))


def test_safetensors_loads(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    own = _own("uni")
    save_file(own, tmp_path / "w.safetensors")
    network, _ = load_encoder("uni", _settings("uni", tmp_path / "w.safetensors"))
    assert torch.equal(network.state_dict()["cls_token"], own["cls_token"])


def test_without_weights_the_record_says_random() -> None:
    _, record = load_encoder("uni", Settings())
    assert (record.source, record.revision, record.sha256) == ("random", None, None)


@pytest.mark.parametrize("name", sorted(UPSTREAM))
def test_a_renamed_key_is_named(name: str, tmp_path: Path) -> None:
    state = dict(UPSTREAM[name](_own(name)))  # type: ignore[no-untyped-call]
    victim = next(
        key
        for key in state
        if ("blocks" in key or "layers.0" in key or key.startswith(("layer1", "features"))) and ".B." not in key
    )
    state["renamed." + victim] = state.pop(victim)
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(UserError, match="renamed"):
        load_encoder(name, _settings(name, tmp_path / "w.pth"))


def test_a_missing_and_a_surplus_key_are_named_with_the_nearest(tmp_path: Path) -> None:
    state = _own("uni")
    state["blocks.0.norm1.wieght"] = state.pop("blocks.0.norm1.weight")
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"blocks\.0\.norm1\.wieght.*did you mean 'blocks\.0\.norm1\.weight'"):
        load_encoder("uni", _settings("uni", tmp_path / "w.pth"))


def test_published_shapes_do_not_fit_the_mini_network(tmp_path: Path) -> None:
    state = _own("uni")
    state["norm.weight"] = torch.ones(1024)
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"norm\.weight has shape \(1024,\).*\(96,\).*profile: full"):
        load_encoder("uni", _settings("uni", tmp_path / "w.pth"))


def test_truncated_files(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    torch.save(_own("uni"), tmp_path / "w.pth")
    save_file(_own("uni"), tmp_path / "w.safetensors")
    for path in (tmp_path / "w.pth", tmp_path / "w.safetensors"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(UserError, match="unreadable checkpoint"):
            load_encoder("uni", _settings("uni", path))


def test_wrong_hash_missing_hash_and_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save(_own("uni"), path)
    with pytest.raises(UserError, match="sha256 is"):
        load_encoder("uni", _settings("uni", path, "0" * 64))
    with pytest.raises(UserError, match="incomplete entry"):
        load_encoder("uni", Settings(weights={"uni": {"path": str(path)}}))
    with pytest.raises(UserError, match="no such file"):
        load_encoder("uni", _settings("uni", tmp_path / "absent.pth", "0" * 64))
    with pytest.raises(UserError, match="unknown key 'sha265'"):
        load_encoder("uni", Settings(weights={"uni": {"path": str(path), "sha265": "0"}}))


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("code of a stranger ran",))


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "w.pth"
    torch.save({"model": _Evil()}, path)
    with pytest.raises(UserError, match="refused"):
        load_encoder("uni", _settings("uni", path))
    path.write_bytes(pickle.dumps(_Evil()))
    with pytest.raises(UserError, match=r"refused|unreadable"):
        load_encoder("uni", _settings("uni", path))
    assert "stranger" not in capsys.readouterr().out


def test_a_hub_entry_needs_a_fixed_revision() -> None:
    with pytest.raises(UserError, match="no fixed revision"):
        load_encoder("uni", Settings(weights={"uni": {"hub": "MahmoodLab/UNI", "revision": "main"}}))


@pytest.mark.parametrize(
    ("error", "says"), [("GatedRepoError", "gated"), ("RevisionNotFoundError", "not found"), ("offline", "reached")]
)
def test_hub_failures_become_one_line(error: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")
    from huggingface_hub import errors

    def fail(*_: object, **__: object) -> str:
        if error == "offline":
            raise errors.LocalEntryNotFoundError("no network")
        kind = getattr(errors, error)
        raise kind.__new__(kind)

    monkeypatch.setattr(hub, "hf_hub_download", fail)
    with pytest.raises(UserError, match=says):
        load_encoder("uni", Settings(weights={"uni": {"hub": "MahmoodLab/UNI", "revision": "a" * 40}}))


def test_a_hub_file_is_verified_and_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")
    path = tmp_path / "pytorch_model.bin"
    torch.save(_own("uni"), path)
    monkeypatch.setattr(hub, "hf_hub_download", lambda repo, file, revision, repo_type: str(path))
    entry = {"hub": "MahmoodLab/UNI", "revision": "a" * 40}
    _, record = load_encoder("uni", Settings(weights={"uni": entry}))
    assert (record.source, record.revision, record.sha256) == ("MahmoodLab/UNI", "a" * 40, sha256_of(path))
    with pytest.raises(UserError, match="sha256 is"):
        load_encoder("uni", Settings(weights={"uni": {**entry, "sha256": "0" * 64}}))
