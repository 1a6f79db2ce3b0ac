"""Inputs: what listed models read of a cohort through frozen encoders, made once for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from protocols.sealed import is_sealed, read_seal
from protocols.task import Features, Task
from suite.engine import keys
from suite.engine.embedding import DERIVED, EMBEDDING, EmbedItem, embed_cohort, features_of
from suite.engine.questions import opened
from suite.engine.run import Run
from suite.engine.store import digest, kept
from suite.workers import Job, run_jobs

Place = tuple[str, str, str, int]
"""Task, cohort, encoder, training seed."""


@dataclass(frozen=True)
class Embedded:
    """Where an encoder's features of a cohort lie: crop sets by key, and what was derived."""

    sets: Mapping[str, Path]
    derived: Path | None

    def hashes(self) -> dict[str, str]:
        """The seals' hashes, for the keys of what is made of the features."""
        found = {f"set {key}": read_seal(folder, EMBEDDING).hash for key, folder in self.sets.items()}
        return found | ({"derived": read_seal(self.derived, DERIVED).hash} if self.derived else {})

    def features(self) -> Features:
        return features_of(dict(self.sets), self.derived)


def run_inputs(run: Run) -> dict[Place, Embedded]:
    """Embed every cohort with every encoder of the listed models that can be asked of it; missing ones are made."""
    found: dict[Place, Embedded] = {}
    items: list[Job[EmbedItem]] = []
    config = run.told()
    for request in run.cohorts:
        task = run.tasks[request.task]
        encoders = sorted({entry.card.encoder for entry in run.models_of(request.task) if entry.card.encoder})
        if not encoders or (task.crops is None and task.derive is None):
            continue
        cohort = opened(task, request)
        served = [encoder for encoder in encoders if task.serves is None or task.serves(cohort, encoder)]
        sets = {one.key: len(one.rows) for one in task.crops(cohort)} if task.crops else {}
        for seed in run.config.seeds:
            places = {
                encoder: _places(run, task, request.name, cohort.hash, encoder, list(sets), seed) for encoder in served
            }
            for encoder, place in places.items():
                found[request.task, request.name, encoder, seed] = place
            folders = tuple(
                (key, encoder, path) for encoder, place in places.items() for key, path in place.sets.items()
            )
            derived = tuple((encoder, place.derived) for encoder, place in places.items() if place.derived)
            made = [*(path for _, _, path in folders), *(path for _, path in derived)]
            if all(is_sealed(path) for path in made):
                continue
            item = EmbedItem(config, run.root, request.task, request.name, seed, folders, derived, cohort.hash)
            weight = sum(sets.values()) * len(served)
            # A network that somebody else's file builds is built by a process that does nothing else.
            alone = any("build" in entry for entry in run.config.settings(*served).encoders.values())
            items.append(Job(item, weight=float(weight), alone=alone))
    for _ in run_jobs(embed_cohort, items, run.config.workers):
        pass
    return found


def _places(
    run: Run, task: Task, cohort: str, hash_of_cohort: str, encoder: str, sets: list[str], seed: int
) -> Embedded:
    folders = {}
    for key in sets:
        name = digest({"cohort": hash_of_cohort, **keys.of_embedding(run, task, encoder, key, seed)})
        folders[key] = kept("embeddings", task.name, cohort, f"{encoder}-{key}", key=name)
    derived = None
    if task.derive is not None:
        request = run.requests(task.name)[cohort]
        made_of = {key: folder.name for key, folder in folders.items()}
        name = digest({"cohort": hash_of_cohort, "encoder": encoder, "of": made_of, **keys.of_derived(task, request)})
        derived = kept("embeddings", task.name, cohort, f"{encoder}-derived", key=name)
    return Embedded(folders, derived)
