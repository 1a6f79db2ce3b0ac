"""The run's file (``params.yaml``) as typed settings; a misspelt or outdated key fails with the right name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel, Field, ValidationError

from protocols.contract import Card, Settings
from protocols.errors import UserError, did_you_mean
from protocols.names import safe_names
from protocols.settings import Strict

PARAMS_FILE = Path("params.yaml")
MOVED = {
    "seed": "seeds, a list: [0]",
    "cohort": "cohorts.expression.<name>",
    "crop": "tasks.expression.crop",
    "split": "tasks.expression.split",
    "survival": "cohorts.survival, tasks.survival, protocols and models",
    "bulk": "cohorts.bulk, tasks.bulk, protocols and models",
    "ihc": "cohorts.staining, tasks.staining, protocols and models",
}
"""Keys of earlier versions and what took their place."""


class Config(Strict):
    """Everything in the run's file. ``tasks`` and ``cohorts`` are checked by their task, once it is asked."""

    profile: Literal["mini", "full"]
    seeds: tuple[int, ...] = Field(min_length=1)
    threads: int = Field(ge=1)
    workers: int = Field(ge=1)
    device: Literal["cpu", "cuda", "auto"]
    deterministic: bool = False
    most_steps: int | None = Field(default=None, ge=1)
    contract: Literal["mark", "leave_out"] = "mark"
    tasks: dict[str, dict[str, Any]] = Field(default_factory=dict)
    cohorts: dict[str, dict[str, dict[str, Any]]]
    protocols: tuple[str, ...]
    models: tuple[str, ...]
    encoders: dict[str, dict[str, Any]] = Field(default_factory=dict)
    adapters: dict[str, str] = Field(default_factory=dict)
    weights: dict[str, dict[str, str]] = Field(default_factory=dict)

    @property
    def seed(self) -> int:
        """The first seed: splits, draws of tiles and resamples are the same for every training seed."""
        return self.seeds[0]

    def settings(self, *parts: str, seed: int | None = None) -> Settings:
        """What models are handed; weights and encoders of the named parts alone, so others' do not re-run this one.

        An encoder that an installed package brings is among them: it is data like one of the run's file.
        """
        from baselines.encoders.entries import entry_of

        encoders = {part: entry_of(part, self.encoders) for part in parts}
        device = resolve_device(self.device)
        return Settings(
            profile=self.profile,
            seed=self.seed if seed is None else seed,
            device=device,
            threads=self.threads,
            deterministic=self.deterministic and device == "cuda",
            most_steps=self.most_steps or 0,
            weights={part: self.weights[part] for part in parts if part in self.weights},
            encoders={part: dict(entry) for part, entry in encoders.items() if entry is not None},
            parts=parts,
        )

    def settings_of(self, card: Card, seed: int | None = None) -> Settings:
        """What the model of that card is handed. A named checkpoint of its own stands in place of what it would start
        from, so the entries of ``starts_from`` are then not handed over: they would be loaded by nobody."""
        settings = self.settings(*card.parts, seed=seed)
        if not any(part in settings.weights for part in card.checkpoints):
            return settings
        kept = {part: given for part, given in settings.weights.items() if part not in replaced(card)}
        return replace(settings, weights=kept)


def replaced(card: Card) -> set[str]:
    """Parts that nobody loads once a checkpoint of the model's own is named."""
    return set(card.starts_from) - {card.encoder, *card.checkpoints}


def resolve_device(device: str) -> str:
    """``auto`` becomes ``cuda`` where PyTorch sees a GPU; torch is imported for ``auto`` alone."""
    if device != "auto":
        return device
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def read_config(path: Path = PARAMS_FILE) -> Config:
    """Read and check the run's file; every mistake is one line that names the key."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            "no parameters", where=path.absolute(), expected="params.yaml", remedy="run inside a slide2omics checkout"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(
            " ".join(str(error).split()), where=path, expected="valid YAML", remedy="mend that line"
        ) from None
    if not isinstance(values, dict):
        raise UserError("not a mapping", where=path, expected="keys and values", remedy="see docs/params.md")
    _refuse_moved(values, path)
    config: Config = validated(Config, values, where=path)
    _check_names(config, path)
    return config


def validated(model: type[Any], values: object, *, where: object, prefix: str = "") -> Any:
    """``model.model_validate``; the first mistake becomes one line with the key, and the nearest known one."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise _readable(error, model, where, prefix) from None


def _refuse_moved(values: dict[str, Any], path: Path) -> None:
    for key, place in MOVED.items():
        if key in values:
            raise UserError(
                f"key {key!r} is of an earlier version", where=path, expected=place, remedy="see docs/params.md"
            )


def _check_names(config: Config, path: Path) -> None:
    for task, cohorts in config.cohorts.items():
        safe_names(cohorts, kind="cohort", where=f"{path}, cohorts.{task}")
    safe_names(config.models, kind="model", where=f"{path}, models")
    safe_names(config.encoders, kind="encoder", where=f"{path}, encoders")
    safe_names(config.adapters, kind="adapter", where=f"{path}, adapters")
    safe_names(config.weights, kind="part", where=f"{path}, weights")
    for key, names in (("models", config.models), ("protocols", config.protocols), ("seeds", config.seeds)):
        twice = [name for name in names if list(names).count(name) > 1]
        if twice:
            raise UserError(
                f"{twice[0]!r} is listed twice", where=f"{path}, {key}", expected="each once", remedy="drop one"
            )


def _readable(error: ValidationError, model: type[BaseModel], where: object, prefix: str) -> UserError:
    first = error.errors()[0]
    key = ".".join([*([prefix] if prefix else []), *(str(part) for part in first["loc"])])
    if first["type"] == "extra_forbidden":
        known = _known_keys(model, first["loc"][:-1])
        return UserError(
            f"unknown key {key!r}",
            where=where,
            expected="only known keys",
            remedy=did_you_mean(str(first["loc"][-1]), known),
        )
    if first["type"] == "missing":
        return UserError(f"no {key}", where=where, expected="it, since it has no default", remedy=f"set {key}")
    return UserError(
        f"{key} is {first.get('input')!r}", where=where, expected=first["msg"].lower(), remedy=f"set {key} accordingly"
    )


def _known_keys(model: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    for part in location:
        field = model.model_fields.get(str(part))
        annotation = field.annotation if field else model  # a mapping's own key: its values are checked like any
        if get_origin(annotation) is dict:
            annotation = get_args(annotation)[1]
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)
