"""The files of real weights, local or from the hub, found and verified by their hash."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from protocols.contract import WeightsRecord
from protocols.errors import UserError, refuse_unknown_keys
from protocols.files import sha256_of

_FILE_KEYS = ("path", "sha256")
_HUB_KEYS = ("hub", "revision", "file", "sha256")


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
        raise UserError("no such file", where=path, expected="a checkpoint", remedy=f"mend {where}.path")
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
    raise UserError(what, where=f"{where} ({entry['hub']})", expected=f"{file} at {entry['revision']}", remedy=remedy)
