"""What stands beside a cell's answers: who answered what, made of which data, with which weights and libraries."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from protocols.contract import Card, Published, ScheduleRecord, WeightsRecord
from protocols.sealed import read_seal

MANIFEST_FILE = "manifest.json"
KIND = "answers"
PREDICTIONS_ONLY = "predictions only"
"""Profile and weights of a model of which only answers are known."""


@dataclass(frozen=True)
class Manifest:
    """One cell: a board, a model, a seed. ``skipped`` is empty, or the reason why the model was not asked."""

    protocol: str
    version: str
    board: str
    cohort: str
    model: str
    card: Card
    profile: str
    seed: int
    device: str
    threads: int
    libraries: dict[str, str] = field(default_factory=dict)
    weights: tuple[WeightsRecord, ...] = ()
    schedule: tuple[ScheduleRecord, ...] = ()
    """Of every training that the answers come from: pre-training, then fold by fold."""
    most_steps: int = 0
    """Updates after which the run ended every training (0: as planned): a smoke test and no result."""
    skipped: str = ""
    notes: tuple[str, ...] = ()
    """What a reader of the board must know of this cell, as its makers noticed it."""

    def write(self, folder: Path) -> None:
        text = json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"
        (folder / MANIFEST_FILE).write_text(text, encoding="utf-8")


def read_manifest(path: Path) -> tuple[Manifest, dict[str, str]]:
    """The manifest of a folder of answers and the hashes that it was made of, its own among them, verified."""
    seal = read_seal(path, KIND)
    told = json.loads((path / MANIFEST_FILE).read_text(encoding="utf-8"))
    told["card"] = card_of(told["card"])
    told["weights"] = tuple(WeightsRecord(**one) for one in told["weights"])
    told["schedule"] = tuple(ScheduleRecord(**one) for one in told["schedule"])
    told["notes"] = tuple(told["notes"])
    return Manifest(**told), {**seal.of, "predictions": seal.hash}


def card_of(told: dict[str, object]) -> Card:
    """A card from JSON: lists become tuples again."""
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in told.items()}
    fields["published"] = tuple(Published(**one) for one in told.get("published") or ())  # type: ignore[attr-defined]
    return Card(**fields)  # type: ignore[arg-type]


def predictions_only(card: Card, protocol: str, version: str, board: str, cohort: str, seed: int) -> Manifest:
    """The manifest of answers that somebody handed in."""
    return Manifest(
        protocol, version, board, cohort, card.name, card, PREDICTIONS_ONLY, seed, "unknown", 0,
        weights=(WeightsRecord("whole model", PREDICTIONS_ONLY),),
    )  # fmt: skip
