"""Real weights, found, verified and loaded strictly; without them a model starts at random and its record says so."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from baselines.encoders.checkpoint_keys import KEY_MAPS, State
from baselines.encoders.entries import encoder_spec, weights_of
from baselines.encoders.modules import build_encoder
from baselines.encoders.spec import EncoderSpec
from protocols.contract import Settings, WeightsRecord
from protocols.errors import NotThere, UserError, did_you_mean, look_up, refuse_unknown_keys
from protocols.files import sha256_of

_CONTAINERS = ("model", "state_dict", "module")
_FILE_KEYS = ("path", "sha256")
_HUB_KEYS = ("hub", "revision", "file", "sha256")
_SHOWN = 5


def load_encoder(name: str, settings: Settings, seed: int | None = None) -> tuple[nn.Module, WeightsRecord]:
    """The encoder in eval mode, with the weights that ``settings.weights[name]`` names, or a random start.

    ``{"path": …, "sha256": …}`` is a local file (the hash is required); ``{"hub": id, "revision": 40 hex digits,
    "file": …, "sha256": optional}`` comes through huggingface_hub with the user's own token.
    """
    spec, network = encoder_spec(name, settings), build_encoder(name, settings, seed)
    given = weights_of(name, settings)
    if given is None:
        return network, WeightsRecord(part=name, source="random")
    path, record = find_weights(spec, given)
    load_strictly(network, read_checkpoint(path), spec, where=path)
    return network, record


def find_weights(spec: EncoderSpec, entry: Mapping[str, str]) -> tuple[Path, WeightsRecord]:
    """The verified local file of an encoder's ``weights`` entry, and its record."""
    return find_file(spec.name, entry, spec.hub_file)


def find_file(name: str, entry: Mapping[str, str], hub_file: str | None) -> tuple[Path, WeightsRecord]:
    """The verified local file of part ``name``'s ``weights`` entry; ``hub_file`` is its usual name on the hub."""
    where = f"weights.{name}"
    if "hub" in entry:
        refuse_unknown_keys(entry, _HUB_KEYS, where=where)
        path, revision = _from_hub(entry, hub_file, where), entry["revision"]
        return path, WeightsRecord(name, entry["hub"], revision, _verified(path, entry.get("sha256")))
    refuse_unknown_keys(entry, _FILE_KEYS, where=where)
    if "path" not in entry or not re.fullmatch(r"[0-9a-f]{64}", entry.get("sha256", "")):
        raise UserError(
            "incomplete entry",
            where=where,
            expected="path and sha256 (64 hex digits), or hub and revision",
            remedy="compute it with `sha256sum` and write it beside the path",
        )
    path = Path(entry["path"]).expanduser()
    if not path.is_file():
        raise NotThere("no such file", where=path, expected="a checkpoint", remedy=f"mend {where}.path")
    return path, WeightsRecord(name, path.name, None, _verified(path, entry["sha256"]))


def _verified(path: Path, expected: str | None) -> str:
    found = sha256_of(path)
    if expected is not None and found != expected:
        raise UserError(
            f"sha256 is {found}", where=path, expected=expected, remedy="fetch the file again, or mend the entry"
        )
    return found


def _from_hub(entry: Mapping[str, str], hub_file: str | None, where: str) -> Path:
    if not re.fullmatch(r"[0-9a-f]{40}", entry.get("revision", "")):
        raise UserError(
            "no fixed revision",
            where=where,
            expected="revision: a commit of 40 hex digits",
            remedy="copy it from the repository's history (a branch name may move)",
        )
    file = entry.get("file", hub_file)
    if file is None:
        raise UserError("no file named", where=where, expected="file: …", remedy="name the checkpoint in the hub")
    try:
        import huggingface_hub
        from huggingface_hub import errors as hub_errors
    except ImportError:
        raise UserError(
            "huggingface_hub is not installed",
            where=where,
            expected="the optional extra 'hub'",
            remedy="pip install 'slide2omics[hub]'",
        ) from None
    try:
        return Path(huggingface_hub.hf_hub_download(entry["hub"], file, revision=entry["revision"]))
    except hub_errors.GatedRepoError:
        what, remedy = "the repository is gated", "accept its terms on the hub, then `hf auth login`"
    except (
        hub_errors.RepositoryNotFoundError,
        hub_errors.RevisionNotFoundError,
        hub_errors.RemoteEntryNotFoundError,
        hub_errors.HFValidationError,
    ) as error:
        what, remedy = f"not found on the hub ({type(error).__name__})", "check id, revision, file and your token"
    except (hub_errors.LocalEntryNotFoundError, hub_errors.HfHubHTTPError, OSError) as error:
        what, remedy = f"the hub cannot be reached ({type(error).__name__})", "connect, or give path and sha256"
    raise NotThere(what, where=f"{where} ({entry['hub']})", expected=f"{file} at {entry['revision']}", remedy=remedy)


def read_checkpoint(path: Path) -> State:
    """The tensors of a ``.safetensors`` file or a torch checkpoint; code inside a pickle is never run.

    Containers (``model``, ``state_dict``, ``module``) are opened and a ``module.`` prefix common to all is removed.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            content: Any = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"refused, it holds more than tensors ({str(error).splitlines()[0]})",
            where=path,
            expected="a checkpoint of plain tensors",
            remedy="export its state dict, best as .safetensors",
        ) from None
    except Exception as error:  # each reader has error types of its own for a damaged file
        raise UserError(
            f"unreadable checkpoint ({type(error).__name__})",
            where=path,
            expected="a whole .safetensors or torch file",
            remedy="fetch it again",
        ) from error
    for container in _CONTAINERS:
        if isinstance(content, Mapping) and isinstance(content.get(container), Mapping):
            content = content[container]
    if not isinstance(content, Mapping) or not all(isinstance(v, Tensor) for v in content.values()) or not content:
        raise UserError(
            "no state dict inside", where=path, expected="names and tensors", remedy="export the model's state dict"
        )
    state = {str(key): value for key, value in content.items()}
    if all(key.startswith("module.") for key in state):
        state = {key.removeprefix("module."): value for key, value in state.items()}
    return state


def load_strictly(network: nn.Module, state: State, spec: EncoderSpec, *, where: object) -> None:
    """Copy a checkpoint into ``network``; any missing, unexpected or misshapen entry that the table does not explain
    is a :class:`UserError` that names it."""
    renamed = look_up(spec.key_map, KEY_MAPS, kind="key map", where=f"encoder {spec.name}")(state)
    own = network.state_dict()
    for key in spec.zero_keys:
        if key not in renamed and key in own:
            renamed[key] = torch.zeros_like(own[key])
    kept = {key: value for key, value in renamed.items() if key in own or not _explained(key, spec)}
    missing, unexpected = sorted(own.keys() - kept.keys()), sorted(kept.keys() - own.keys())
    # A batch norm's counter of batches is absent from files older than torch 0.4.1 and unused in eval mode.
    missing = [key for key in missing if not key.endswith("num_batches_tracked")]
    if missing or unexpected:
        hint = did_you_mean(unexpected[0], missing) if missing and unexpected else "use the published checkpoint"
        raise UserError(
            f"keys differ: missing {_listed(missing)}; unexpected {_listed(unexpected)}",
            where=where,
            expected=f"the layout of {spec.title}",
            remedy=hint,
        )
    for key, value in kept.items():
        if value.shape != own[key].shape:
            raise UserError(
                f"{key} has shape {tuple(value.shape)}",
                where=where,
                expected=f"{tuple(own[key].shape)}",
                remedy="name the model that the weights are of (timm, kwargs)"
                if spec.full == spec.mini
                else "published weights fit profile: full (mini scales the architecture down)",
            )
    network.load_state_dict(kept, strict=False)


def _explained(key: str, spec: EncoderSpec) -> bool:
    return any(re.search(pattern, key) for pattern in spec.unused_keys)


def _listed(keys: list[str]) -> str:
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return (", ".join(keys[:_SHOWN]) + more) or "none"
