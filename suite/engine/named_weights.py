"""Weights that the run's file names: who loads each, and whether whoever should has loaded it.

A name that no listed model loads, or that a model was handed and does not report, stops the run: nobody may believe
that an answer stands on weights that it never saw.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from baselines.encoders.entries import known_encoders, weights_of
from protocols.contract import Card, Settings, WeightsRecord
from protocols.errors import UserError, did_you_mean
from suite.config import replaced
from suite.engine.run import ModelEntry, Run

Entry = Mapping[str, str]


def handed(card: Card, settings: Settings) -> dict[str, Entry]:
    """What the model of that card must load itself: its parts, the frozen encoder aside, of which weights are named."""
    if any(part in settings.weights for part in card.checkpoints):
        own = [*card.checkpoints, *(part for part in card.starts_from if part not in replaced(card))]
    else:
        own = [*card.starts_from]
    found = {part: weights_of(part, settings) for part in dict.fromkeys(own)}
    return {part: entry for part, entry in found.items() if entry is not None}


def refuse_unreported(named: Mapping[str, Entry], records: Iterable[WeightsRecord], *, where: object) -> None:
    """Every named part is among ``records`` with the hash of its file."""
    records = tuple(records)
    for part, entry in named.items():
        if not any(_is_of(record, entry) for record in records):
            told = ", ".join(f"{one.part}: {one.source}" for one in records) or "nothing"
            raise UserError(
                f"weights.{part} was named and is not among what was loaded ({told})", where=where,
                expected=f"a record of {entry.get('path') or entry.get('hub')} with its sha256, from weights()",
                remedy="load the part with load_encoder or find_file and report the record that they return",
            )  # fmt: skip


def _is_of(record: WeightsRecord, entry: Entry) -> bool:
    if record.sha256 is None:
        return False
    if "sha256" in entry:
        return record.sha256 == entry["sha256"]
    return (record.source, record.revision) == (entry.get("hub"), entry.get("revision"))


def loaded_by(run: Run, entries: Iterable[ModelEntry]) -> dict[str, list[str]]:
    """Part to the models that load it, of those named under ``weights``."""
    found: dict[str, list[str]] = {}
    for entry in entries:
        for part in run.config.settings_of(entry.card).weights:
            found.setdefault(part, []).append(entry.name)
    return found


def refuse_unused(run: Run) -> None:
    """Every name under ``weights`` is a part that a model of this run loads; else one line that says what is wrong."""
    if not run.config.weights:
        return
    asked = [entry for entry in run.models.values() if entry.card.task in run.tasks]
    users = loaded_by(run, asked)
    for part in run.config.weights:
        if part not in users:
            raise _unused(run, part, asked)
        if "weights" in run.config.encoders.get(part, {}):
            raise UserError(
                f"{part} has weights here and under encoders.{part}.weights", where=f"weights.{part}",
                expected="one file a part", remedy="drop one of them",
            )  # fmt: skip


def _unused(run: Run, part: str, asked: list[ModelEntry]) -> UserError:
    """What is wrong with a name that nothing of this run loads: the nearest cause."""
    parts = sorted({one for entry in asked for one in entry.parts})
    expected = f"a part that a listed model loads ({', '.join(parts) or 'no listed model loads any'})"
    own = [entry.name for entry in asked if part in entry.card.starts_from]
    elsewhere = [entry for entry in run.models.values() if part in entry.parts]
    listed = run.models.get(part)
    if own:
        rest = f"{own[0]} starts from a checkpoint of its own instead, which is named, too"
        what, remedy = f"no model would load it: {rest}", "drop one of them"
    elif elsewhere:
        what = f"no model would load it: {elsewhere[0].name} answers no listed protocol"
        remedy = f"list a protocol of {elsewhere[0].card.task}, or drop weights.{part}"
    elif listed is not None:
        takes = " or ".join(f"weights.{one}" for one in listed.parts)
        what = f"the model {part} takes no weights under its own name"
        remedy = f"name {takes}" if takes else "drop it: it takes none"
    elif part in (known := known_parts(run)):
        others = f" ({', '.join(known[part])})" if known[part] else ""
        what, remedy = "no listed model loads it", f"list a model that does{others}, or drop weights.{part}"
    else:
        what, remedy = f"unknown part {part!r}", did_you_mean(part, {*parts, *known})
    return UserError(what, where=f"weights.{part}", expected=expected, remedy=remedy)


def known_parts(run: Run) -> dict[str, list[str]]:
    """Every name that could stand under ``weights``, and the built-in and listed models that would load it."""
    from baselines.registry import built_in, load_model_class

    cards = [load_model_class(name, {}, run.root).card for name in built_in()]
    found: dict[str, list[str]] = {name: [] for name in known_encoders(run.config.encoders)}
    for card in dict.fromkeys([*cards, *(entry.card for entry in run.models.values())]):
        for part in card.parts:
            found.setdefault(part, []).append(card.name)
    return found
