"""Stage ``inputs``: resolve every listed model, fingerprint its sources, and embed each encoder once.

It runs at every ``dvc repro`` (a model may live in any file, which DVC cannot list beforehand) and is quick
when nothing is new: torch is imported only if an embedding is missing. Each model's record changes exactly
when something that model depends on changes, so adding a model runs that model's cells alone.
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
from protocols.contract import Card, WeightsRecord
from protocols.errors import UserError
from protocols.files import sha256_of, sha256_of_files, write_text_whole
from suite.config import Config
from suite.data import cohort_crops
from suite.places import COHORT, EMBEDDINGS, INPUTS
from suite.progress import steps

ENCODER_SOURCES = [Path("baselines/shared") / name for name in ("encoders.py", "embedding.py", "weights.py")]


def run(config: Config) -> None:
    """Write ``runs/inputs/<model>.json`` for every model of ``params.yaml``."""
    if len(set(config.models)) < len(config.models):
        twice = sorted({name for name in config.models if config.models.count(name) > 1})
        raise UserError(
            f"model {twice[0]!r} is listed twice", where="params.yaml", expected="each once", remedy="drop one"
        )
    store = CohortStore(COHORT)
    cards: dict[str, Card] = {}
    records: dict[str, dict[str, Any]] = {}
    for name in config.models:
        model = load_model_class(name, config.adapters, Path.cwd())
        cards[name] = model.card
        sources = source_closure(model)
        records[name] = {
            "model": name,
            "adapter": config.adapters.get(name),
            "card": model.card.to_dict(),
            "sources": sha256_of_files(sources, _common_root(sources)),
            "weights": config.settings(*weight_parts(name, model.card)).weights,
        }
    _refuse_unused_weights(config, cards)
    for name, record in records.items():
        encoder = cards[name].encoder
        record["embedding"] = embedding_record(config, store, encoder) if encoder else None
        write_text_whole(INPUTS / f"{name}.json", json.dumps(record, indent=1, sort_keys=True) + "\n")


def embedding_record(config: Config, store: CohortStore, encoder: str) -> dict[str, Any]:
    """Where an encoder's embedding of the cohort lies, computed first if it is missing."""
    settings = config.settings(encoder)
    key = {
        "cohort": store.hash,
        "encoder": encoder,
        "profile": settings.profile,
        "seed": settings.seed,
        "device": settings.device,
        "threads": settings.threads,
        "weights": settings.weights,
        "sources": sha256_of_files(_repository_files(ENCODER_SOURCES), _repository()),
        "libraries": {name: metadata.version(name) for name in ("torch", "timm")},
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    array = EMBEDDINGS / f"{encoder}-{digest[:16]}.npy"
    note = array.with_suffix(".json")
    if not note.exists():
        from baselines.shared.embedding import embed

        crops = cohort_crops(store, config.cohort.root)
        rows = store.rows_of(store.slides)
        with steps(len(rows), f"embedding {len(rows)} {store.info.unit}s with {encoder}") as report:
            weights = embed(encoder, crops, rows, settings, array, lambda done, _: report(done))
        write_text_whole(note, json.dumps({"sha256": sha256_of(array), "weights": vars(weights)}, sort_keys=True))
    record: dict[str, Any] = json.loads(note.read_text())
    return {"file": array.as_posix(), **record}


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
    from baselines.shared.encoders import ENCODERS
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


def _repository() -> Path:
    return Path(__file__).resolve().parents[2]


def _repository_files(paths: list[Path]) -> list[Path]:
    return [_repository() / path for path in paths]


def _common_root(files: list[Path]) -> Path:
    """Names enter the fingerprint relative to the repository, or bare for files elsewhere."""
    root = _repository()
    return root if all(file.is_relative_to(root) for file in files) else Path("/")
