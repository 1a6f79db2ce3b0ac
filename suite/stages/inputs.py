"""Stage ``inputs``: resolve every listed model, fingerprint its sources, and embed each encoder once.

It runs at every ``dvc repro`` (a model may live in any file, which DVC cannot list beforehand) and is quick
when nothing is new: torch is imported only if an embedding is missing. Each model's record changes exactly
when something that model depends on changes (its sources, the suite's files that fit it, the run's settings), so adding
a model runs that model's cells alone, and ``predict`` depends on the record and the data and nothing else.
Embeddings are kept by content key under ``runs/cache`` and survive a kill.
"""

from __future__ import annotations

import hashlib
import json
from importlib import metadata
from pathlib import Path
from typing import Any

from baselines.registry import load_model_class, source_closure
from protocols.cohorts.store import CohortStore
from protocols.contract import Card, Task, WeightsRecord
from protocols.errors import UserError
from protocols.files import sha256_of, sha256_of_files, write_text_whole
from suite.bulk.features import prepare_features
from suite.config import Config
from suite.data import cohort_crops
from suite.ihc.embeddings import embed_patches
from suite.places import COHORT, EMBEDDINGS, INPUTS
from suite.progress import steps
from suite.stages.encoder_sources import encoder_sources, repository
from suite.stages.machinery import fingerprint
from suite.survival.bags import embed_cohorts
from suite.workers import in_parallel

LISTS: dict[Task, str] = {
    "expression": "models",
    "survival": "survival.models",
    "bulk": "bulk.models",
    "image": "ihc.models",
}
"""Where params.yaml lists the models of a task."""


def run(config: Config) -> None:
    """Write ``runs/inputs/<model>.json`` for every model of ``params.yaml``, of every task."""
    cards, records = resolve(config)
    _refuse_unused_weights(config, cards)
    expression = config.models if config.protocols else []
    survival = config.survival.models if config.survival.protocols else []
    bulk = config.bulk.models if config.bulk.protocols else []
    image = config.ihc.models if config.ihc.protocols else []
    if expression:
        embeddings = embed_all(config, CohortStore(COHORT), _encoders(cards, expression))
        for name in expression:
            encoder = cards[name].encoder
            records[name]["embedding"] = embeddings[encoder] if encoder else None
    if survival:
        bags = embed_cohorts(config, _encoders(cards, survival))
        for name in survival:
            encoder = cards[name].encoder
            records[name]["bags"] = {cohort: note for (cohort, of), note in bags.items() if of == encoder}
    if bulk:
        asked = {"protocols": config.bulk.protocols, "super_tiles": config.bulk.super_tiles}
        features = prepare_features(config, _encoders(cards, bulk))
        for name in bulk:
            encoder = cards[name].encoder
            records[name]["asked"] = asked
            records[name]["features"] = {cohort: note for (cohort, of), note in features.items() if of == encoder}
    if image:
        patches = embed_patches(config, _encoders(cards, image))
        for name in image:
            encoder = cards[name].encoder
            records[name]["patches"] = {board: note for (board, of), note in patches.items() if of == encoder}
    for name, record in records.items():
        write_text_whole(INPUTS / f"{name}.json", json.dumps(record, indent=1, sort_keys=True) + "\n")


def resolve(config: Config) -> tuple[dict[str, Card], dict[str, dict[str, Any]]]:
    """Every listed model's card, and its record up to the embedding."""
    tasks: list[tuple[Task, list[str]]] = [
        ("expression", config.models if config.protocols else []),
        ("survival", config.survival.models if config.survival.protocols else []),
        ("bulk", config.bulk.models if config.bulk.protocols else []),
        ("image", config.ihc.models if config.ihc.protocols else []),
    ]
    listed = [name for _, names in tasks for name in names]
    if len(set(listed)) < len(listed):
        twice = sorted({name for name in listed if listed.count(name) > 1})
        raise UserError(
            f"model {twice[0]!r} is listed twice", where="params.yaml", expected="each once", remedy="drop one"
        )
    cards: dict[str, Card] = {}
    records: dict[str, dict[str, Any]] = {}
    for task, names in tasks:
        for name in names:
            model = load_model_class(name, config.adapters, Path.cwd())
            if model.card.task != task:
                raise UserError(
                    f"{name!r} answers {model.card.task} protocols",
                    where="params.yaml",
                    expected=f"a model of the task {task}",
                    remedy=f"list it under {LISTS[model.card.task]}",
                )
            cards[name] = model.card
            sources = source_closure(model)
            records[name] = {
                "model": name,
                "adapter": config.adapters.get(name),
                "card": model.card.to_dict(),
                "sources": sha256_of_files(sources, _common_root(sources)),
                "fitted_by": fingerprint(task),
                "settings": {key: getattr(config, key) for key in ("profile", "seed", "device", "threads")},
                "weights": config.settings(*weight_parts(name, model.card)).weights,
            }
    return cards, records


def _encoders(cards: dict[str, Card], models: list[str]) -> list[str]:
    return sorted({encoder for name in models if (encoder := cards[name].encoder)})


def embed_all(config: Config, store: CohortStore, encoders: list[str]) -> dict[str, dict[str, Any]]:
    """Each encoder's embedding of the cohort: where it lies, its hash and its weights; missing ones are computed."""
    arrays = {encoder: embedding_file(config, store, encoder) for encoder in encoders}
    missing = [(config, encoder, str(arrays[encoder])) for encoder in encoders if not _note(arrays[encoder]).exists()]
    if missing:
        label = f"embedding {len(store)} {store.info.unit}s: {', '.join(encoder for _, encoder, _ in missing)}"
        with steps(len(missing), label) as report:
            for done, _ in enumerate(in_parallel(embed_one, missing, config.workers, at_once=len(missing) > 1)):
                report(done + 1)
    return {name: {"file": array.as_posix(), **json.loads(_note(array).read_text())} for name, array in arrays.items()}


def embedding_file(config: Config, store: CohortStore, encoder: str) -> Path:
    """The file named by everything the embedding depends on."""
    settings = config.settings(encoder)
    key = {
        "cohort": store.hash,
        "encoder": encoder,
        "profile": settings.profile,
        "seed": settings.seed,
        "device": settings.device,
        "threads": settings.threads,
        "weights": settings.weights,
        "sources": sha256_of_files(*encoder_sources()),
        "libraries": {name: metadata.version(name) for name in ("torch", "timm")},
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return EMBEDDINGS / f"{encoder}-{digest[:16]}.npy"


def embed_one(task: tuple[Config, str, str]) -> None:
    """Embed the cohort with one encoder; the note beside the array comes last and makes it count."""
    from baselines.encoders.embedding import embed

    config, encoder, file = task
    store, array = CohortStore(COHORT), Path(file)
    crops = cohort_crops(store, config.cohort.root)
    rows = store.rows_of(store.slides)
    with steps(len(rows), f"embedding with {encoder}") as report:
        weights = embed(encoder, crops, rows, config.settings(encoder), array, lambda done, _: report(done))
    write_text_whole(_note(array), json.dumps({"sha256": sha256_of(array), "weights": vars(weights)}, sort_keys=True))


def _note(array: Path) -> Path:
    return array.with_suffix(".json")


def read_inputs(model: str) -> dict[str, Any]:
    """A model's record as this stage wrote it."""
    path = INPUTS / f"{model}.json"
    try:
        record: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        raise UserError(
            f"model {model!r} has no inputs",
            where=path,
            expected="a model of params.yaml",
            remedy="run `dvc repro inputs`",
        ) from None
    return record


def embedding_weights(record: dict[str, Any]) -> tuple[WeightsRecord, ...]:
    """Provenance of the frozen encoder behind a model, if any."""
    embedding = record["embedding"]
    return (WeightsRecord(**embedding["weights"]),) if embedding else ()


def weight_parts(name: str, card: Card) -> tuple[str, ...]:
    return (name, *card.starts_from, *((card.encoder,) if card.encoder else ()))


def _refuse_unused_weights(config: Config, cards: dict[str, Card]) -> None:
    from baselines.encoders.table import ENCODERS
    from protocols.errors import did_you_mean

    known = {*ENCODERS, *cards}
    for part in config.weights:
        if part not in known:
            raise UserError(
                f"weights for unknown part {part!r}",
                where="params.yaml",
                expected="an encoder or a listed model",
                remedy=did_you_mean(part, known),
            )


def _common_root(files: list[Path]) -> Path:
    """Names enter the fingerprint relative to the repository, or bare for files elsewhere."""
    root = repository()
    return root if all(file.is_relative_to(root) for file in files) else Path("/")
