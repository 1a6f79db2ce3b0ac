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
from suite.workers import in_parallel

ENCODER_SOURCES = [
    Path("past_model/timm_import.py"),
    *(
        Path("baselines/shared") / name
        for name in (
            "encoders.py",
            "encoder_modules.py",
            "embedding.py",
            "weights.py",
            "checkpoint_keys.py",
            "torch_run.py",
        )
    ),
]


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
    encoders = sorted({card.encoder for card in cards.values() if card.encoder})
    embeddings = embed_all(config, store, encoders)
    for name, record in records.items():
        encoder = cards[name].encoder
        record["embedding"] = embeddings[encoder] if encoder else None
        write_text_whole(INPUTS / f"{name}.json", json.dumps(record, indent=1, sort_keys=True) + "\n")


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
        "sources": sha256_of_files(_repository_files(ENCODER_SOURCES), _repository()),
        "libraries": {name: metadata.version(name) for name in ("torch", "timm")},
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return EMBEDDINGS / f"{encoder}-{digest[:16]}.npy"


def embed_one(task: tuple[Config, str, str]) -> None:
    """Embed the cohort with one encoder; the note beside the array comes last and makes it count."""
    from baselines.shared.embedding import embed

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
