"""Before anything is fitted: every named file of weights is loaded once into each network that reads it.

A part of the plan, so that a wrong, misshapen or missing file is one line at the start of a run and not hours later.
What was loaded is kept by the bytes of the file and the code that loads it: the next run reads a hash and no file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from baselines.encoders.entries import weights_of
from protocols.contract import Settings, WeightsRecord
from protocols.files import write_text_whole
from protocols.progress import steps
from protocols.sealed import is_sealed
from suite.engine import keys
from suite.engine.named_weights import handed, refuse_unreported, refuse_unused
from suite.engine.run import ModelEntry, Run
from suite.engine.store import digest, forget_others, kept, made
from suite.workers import Job, run_jobs

KIND, LOADED_FILE = "loaded weights", "weights.json"


@dataclass(frozen=True)
class LoadItem:
    """One network to load: a frozen encoder's (``model`` empty) or those that a model starts from."""

    config: str
    root: Path
    name: str
    model: str = ""

    def __str__(self) -> str:
        return f"weights of the {'model' if self.model else 'encoder'} {self.name}"


def run_weights(run: Run) -> None:
    """Refuse names that nobody loads and files that do not fit; nothing is done where no weights are named."""
    refuse_unused(run)
    waiting = {folder: (item, alone) for folder, item, alone in _items(run) if not is_sealed(folder)}
    places = {item: folder for folder, (item, _) in waiting.items()}
    jobs = [Job(item, alone=alone) for item, alone in waiting.values()]
    if not jobs:
        return
    with steps(len(jobs), f"loading named weights into {len(jobs)} networks") as report:
        for number, (item, records) in enumerate(run_jobs(load_job, jobs, run.config.workers)):
            _keep(places[item], records)
            forget_others(places[item])
            report(number + 1)


def load_job(item: LoadItem) -> tuple[WeightsRecord, ...]:
    """Load one network's weights, let it go again, and see that each named file was read."""
    from suite.engine.questions import run_of

    run = run_of(item.config, item.root)
    if not item.model:
        from baselines.encoders.weights import load_encoder

        settings = run.config.settings(item.name)
        records: tuple[WeightsRecord, ...] = (load_encoder(item.name, settings)[1],)
        named: Mapping[str, Any] = {item.name: weights_of(item.name, settings)}
    else:
        from baselines.registry import load_model_class

        model_class = load_model_class(item.model, run.config.adapters, run.root)
        settings = run.config.settings_of(model_class.card)
        named = handed(model_class.card, settings)
        records = _loaded(model_class, named, settings)
    refuse_unreported(named, records, where=item)
    return records


def _loaded(model_class: type[Any], named: Mapping[str, Any], settings: Settings) -> tuple[WeightsRecord, ...]:
    """By the model's own hook; of a model without one the files are verified, and loaded when it is fitted."""
    from baselines.encoders.table import ENCODERS
    from baselines.encoders.weights import find_file

    if callable(getattr(model_class, "load_weights", None)):
        return tuple(model_class.load_weights(settings))
    found = []
    for part, entry in named.items():
        usual = ENCODERS.get(part)
        file = (usual.hub_file, usual.hub_repo_type) if usual else (None, "model")
        found.append(find_file(part, entry, *file)[1])
    return tuple(found)


def _items(run: Run) -> Iterator[tuple[Path, LoadItem, bool]]:
    """Where each result is kept, and what is to be loaded for it; ``alone``: somebody else's code is run."""
    asked = [entry for entry in run.models.values() if entry.card.task in run.tasks]
    for encoder in dict.fromkeys(entry.card.encoder for entry in asked if entry.card.encoder):
        settings = run.config.settings(encoder)
        if weights_of(encoder, settings) is not None:
            key = {"encoder": encoder, **_key(settings, run.root), "code": keys.of_loading(settings, run.root)}
            own = any("build" in one for one in settings.encoders.values())
            yield kept("weights", f"encoder-{encoder}", key=digest(key)), _item(run, encoder), own
    for entry in asked:
        settings = run.config.settings_of(entry.card)
        if handed(entry.card, settings):
            key = {"model": entry.name, **_key(settings, run.root)}
            key |= {"code": keys.of_loading(settings, run.root, entry.start)}
            yield kept("weights", f"model-{entry.name}", key=digest(key)), _item(run, entry.name, entry), entry.outside


def _item(run: Run, name: str, entry: ModelEntry | None = None) -> LoadItem:
    return LoadItem(run.told(), run.root, name, entry.name if entry else "")


def _key(settings: Settings, root: Path) -> dict[str, Any]:
    told = keys.settings_key(settings, root)
    return {name: told[name] for name in ("profile", "weights", "encoders")}


def _keep(folder: Path, records: tuple[WeightsRecord, ...]) -> None:
    def make(part: Path) -> None:
        text = json.dumps([asdict(one) for one in records], indent=1, sort_keys=True) + "\n"
        write_text_whole(part / LOADED_FILE, text)

    made(folder, KIND, {}, make)
