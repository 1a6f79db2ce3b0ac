"""SEQUOIA's published fold weights: whose they are, on which patients each was trained, and for which genes."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from protocols.contract import Settings, WeightsRecord
from protocols.errors import NotThere, UserError, look_up

if TYPE_CHECKING:
    from baselines.networks.sequoia_networks import SequoiaNetwork

CANCERS = (
    "blca", "brca", "coad", "gbm", "hnsc", "kirc", "kirp", "lihc", "luad", "lusc", "paad", "prad", "skcm", "stad",
    "thca", "ucec",
)  # fmt: skip
FOLDS = 5
GENES, SPLITS = "sequoia_genes", "sequoia_splits"
HUB_FILE = "model.safetensors"


def fold_parts(cancer: str) -> tuple[str, ...]:
    """Names under ``weights`` of a cancer's five fold weights; on the hub ``gevaertlab/sequoia-<cancer>-<fold>``."""
    return tuple(f"sequoia_{cancer}_{fold}" for fold in range(FOLDS))


PARTS = (GENES, SPLITS, *(part for cancer in CANCERS for part in fold_parts(cancer)))


@dataclass(frozen=True)
class Splits:
    """By cancer, the patients that each fold's weights never saw: its test patients."""

    held_out: Mapping[str, tuple[frozenset[str], ...]]

    def cancer_of(self, patients: set[str], where: str) -> str:
        """The cancer whose published split has patients of these; one and no more."""
        found = {cancer for cancer, folds in self.held_out.items() if patients & frozenset().union(*folds)}
        if len(found) != 1:
            raise UserError(
                f"the training patients are in the published splits of {', '.join(sorted(found)) or 'no cancer'}",
                where=where, expected="patients of one TCGA project",
                remedy="leave the model out of this cohort",
            )  # fmt: skip
        return found.pop()


@dataclass(frozen=True)
class Released:
    """What the run's file names, loaded: genes in the order of the outputs, splits, networks by part, and records."""

    genes: tuple[str, ...]
    splits: Splits
    networks: Mapping[str, SequoiaNetwork]
    records: Mapping[str, WeightsRecord]


def load_released(settings: Settings, parts: tuple[str, ...], where: str) -> Released:
    """Genes, splits and the networks of ``parts``, each file verified and each network strictly loaded."""
    from baselines.encoders.weights import find_file, read_checkpoint
    from baselines.networks.sequoia_checkpoint import network_of
    from baselines.networks.sequoia_networks import PROFILES

    sizes = look_up(settings.profile, PROFILES, kind="profile", where=where)
    files = {}
    for part in (GENES, SPLITS, *parts):
        if part not in settings.weights:
            raise NotThere(
                f"no weights.{part}", where=where,
                expected=f"{GENES}, {SPLITS} and all five fold weights of the cohort's cancer under weights",
                remedy=f"name it, on the hub gevaertlab/{part.replace('_', '-')}" if part in parts else "name the file",
            )  # fmt: skip
        files[part] = find_file(part, settings.weights[part], HUB_FILE if part in parts else None)
    genes = read_genes(files[GENES][0])
    networks = {}
    for part in parts:
        path = files[part][0]
        network = network_of(read_checkpoint(path), "vis", sizes, where=path)
        if network.output.out_features != len(genes):
            raise UserError(
                f"weights of {network.output.out_features} genes", where=path,
                expected=f"the {len(genes)} of weights.{GENES}", remedy="name the gene list that the weights are of",
            )  # fmt: skip
        networks[part] = network.eval()
    records = {part: record for part, (_, record) in files.items()}
    return Released(genes, read_splits(files[SPLITS][0]), networks, records)


def named_folds(settings: Settings) -> tuple[str, ...]:
    """Fold weights that the run's file names, of whatever cancer."""
    return tuple(part for part in PARTS[2:] if part in settings.weights)


def others(settings: Settings, parts: tuple[str, ...]) -> Iterator[WeightsRecord]:
    """Files that are named for other cancers than a cohort's: verified, and said not to be asked."""
    from baselines.encoders.weights import find_file

    for part in named_folds(settings):
        if part not in parts:
            record = find_file(part, settings.weights[part], HUB_FILE)[1]
            yield replace(record, part=f"{part}, not of this cohort: never asked")


def read_genes(path: Path) -> tuple[str, ...]:
    """Column ``gene`` of the release's list, in its order, which is that of the outputs."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            genes = tuple(row["gene"] for row in csv.DictReader(file))
    except (KeyError, UnicodeDecodeError):
        genes = ()
    if not genes or len(set(genes)) != len(genes):
        raise UserError(
            "no list of different genes", where=path, expected="a CSV with a column gene",
            remedy="name the gene_list.csv of the release",
        )  # fmt: skip
    return genes


def read_splits(path: Path) -> Splits:
    """The release's ``{"TCGA-BRCA": {"fold_0": {"train": […], "val": […], "test": […]}, …}}``.

    Every patient is held out by one fold, and that fold's training and validation patients do not have it.
    """
    try:
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        folds = {
            cancer.removeprefix("TCGA-").lower(): [parts[f"fold_{number}"] for number in range(FOLDS)]
            for cancer, parts in told.items()
        }
        held = {cancer: tuple(frozenset(one["test"]) for one in parts) for cancer, parts in folds.items()}
        seen = {cancer: [frozenset((*one["train"], *one["val"])) for one in parts] for cancer, parts in folds.items()}
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"unreadable splits ({type(error).__name__})", where=path,
            expected="JSON: project, fold_0 to fold_4, lists train, val and test", remedy="name the release's splits",
        ) from None  # fmt: skip
    for cancer, sets in held.items():
        everyone, times = frozenset().union(*sets, *seen[cancer]), sum(map(len, sets))
        leaked = [patient for test, fitted in zip(sets, seen[cancer], strict=True) for patient in test & fitted]
        if leaked or times != len(everyone) or frozenset().union(*sets) != everyone:
            both = f"{leaked[0]} is on both sides of a fold" if leaked else ""
            raise UserError(
                both or "a patient is not held out by exactly one fold", where=f"{path}, {cancer}",
                expected="every patient in one test list", remedy="name the release's splits",
            )  # fmt: skip
    return Splits(held)
