"""``params.yaml`` as typed settings; a misspelt key fails with the nearest name."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from protocols.contract import Settings
from protocols.errors import UserError, did_you_mean
from protocols.protocol import GeneChoice, SplitSettings

PARAMS_FILE = Path("params.yaml")


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CohortConfig(Strict):
    """Where a cohort lies and how it is read. ``truth`` is set for phantoms only; ``manifest`` lists the slides."""

    name: str
    reader: str
    root: Path
    manifest: Path
    truth: Path | None = None

    @field_validator("truth", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return value or None


class CropConfig(Strict):
    """The field of view around a unit, in micrometres, and the pixels it is resampled to."""

    um: float = Field(gt=0)
    pixels: int = Field(ge=8)


class SplitConfig(Strict):
    """Numbers of the splits; see :class:`protocols.protocol.SplitSettings`."""

    blocks: int = 4
    top_mean_genes: int | None = Field(default=None, ge=1)
    max_train_units: int | None = Field(default=None, ge=10)
    min_units: int = Field(default=40, ge=3)


class PatientCohortConfig(Strict):
    """One cohort of patients; paths but ``root`` and ``truth`` are relative to ``root``. See docs/survival.md."""

    reader: str
    root: Path
    table: str | None = None
    outcome: str | None = None
    clinical: str | None = None
    genomic: str | None = None
    slides: str | None = None
    signatures: str | None = None
    splits: str | None = None
    endpoint: str = "overall survival"
    truth: Path | None = None
    published_in: tuple[str, ...] = ()


class TileConfig(Strict):
    """How slides become tiles: their side in µm and in pixels, the tissue rule, and how many are drawn at most."""

    um: float = Field(default=128.0, gt=0)
    pixels: int = Field(default=256, ge=8)
    max_tiles: int = Field(default=4000, ge=1)
    tissue: str = "saturation"


class SurvivalConfig(Strict):
    """The survival protocols: their cohorts and models, and the cohorts whose mean makes the ``average`` board."""

    protocols: list[str] = Field(default_factory=list)
    tile: TileConfig = TileConfig()
    cohorts: dict[str, PatientCohortConfig] = Field(default_factory=dict)
    average: list[str] = Field(default_factory=list)
    models: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _average_is_of_cohorts(self) -> SurvivalConfig:
        for name in self.average:
            if name not in self.cohorts:
                raise ValueError(f"only names under survival.cohorts ({did_you_mean(name, self.cohorts)})")
        if self.protocols and not (self.models and self.cohorts):
            raise ValueError("cohorts and models for the protocols, or no protocols")
        return self


class BulkCohortConfig(Strict):
    """One cohort with bulk expression. ``files`` are the reader's own settings; paths among them are relative to
    ``root``. ``external`` names the cohort whose five models are asked about this one; ``normal`` tissue is pre-trained
    on. ``truth``: the phantom's expectation by patient. See docs/bulk.md."""

    reader: str
    root: Path
    files: dict[str, str | list[str]]
    external: str | None = None
    normal: bool = False
    truth: Path | None = None
    published_in: tuple[str, ...] = ()


class SectionsConfig(Strict):
    """Sections with spatial transcriptomics, and the cohort whose models are asked for their maps.

    ``window`` x ``window`` tiles, moved by ``stride``; ``genes`` are scored: the most variable in the bulk cohort.
    """

    of: str
    reader: str
    root: Path
    manifest: Path
    window: int = Field(default=10, ge=1)
    stride: int = Field(default=1, ge=1)
    genes: int = Field(default=500, ge=1)
    modules: Path | None = None
    truth: Path | None = None


class BulkConfig(Strict):
    """The protocols of bulk expression: cohorts, sections and models; ``average``: cohorts of the mean's board."""

    protocols: list[str] = Field(default_factory=list)
    tile: TileConfig = TileConfig()
    super_tiles: int = Field(default=100, ge=1)
    criteria: str = "standard"
    gene_sets: Path | None = None
    cohorts: dict[str, BulkCohortConfig] = Field(default_factory=dict)
    sections: SectionsConfig | None = None
    average: list[str] = Field(default_factory=list)
    models: list[str] = Field(default_factory=list)

    @property
    def discovery(self) -> list[str]:
        """Cohorts that are cut into folds."""
        return [name for name, entry in self.cohorts.items() if entry.external is None and not entry.normal]

    def external_of(self, cohort: str) -> list[str]:
        return [name for name, entry in self.cohorts.items() if entry.external == cohort]

    @property
    def normal(self) -> str | None:
        return next((name for name, entry in self.cohorts.items() if entry.normal), None)

    @model_validator(mode="after")
    def _names_are_cohorts(self) -> BulkConfig:
        asked = {"average": self.average, "sections.of": [self.sections.of] if self.sections else []}
        asked |= {f"cohorts.{name}.external": [e.external] for name, e in self.cohorts.items() if e.external}
        for key, names in asked.items():
            for name in names:
                if name not in self.discovery:
                    raise ValueError(f"in {key} only cohorts with folds ({did_you_mean(str(name), self.discovery)})")
        if sum(entry.normal for entry in self.cohorts.values()) > 1:
            raise ValueError("one cohort of normal tissue at most (join them in one table)")
        if self.protocols and not (self.models and self.discovery):
            raise ValueError("cohorts and models for the protocols, or no protocols")
        if "gbm_spatial" in self.protocols and "tcga_expression" not in self.protocols:
            raise ValueError("tcga_expression beside gbm_spatial: its models are the ones that are asked for maps")
        if "gbm_spatial" in self.protocols and self.sections is None:
            raise ValueError("sections for gbm_spatial, or not this protocol")
        if self.sections and self.sections.window**2 != self.super_tiles:
            raise ValueError("as many super-tiles as a window has tiles: a model has one place for each")
        return self


class IhcCohortConfig(Strict):
    """One cohort of paired patches in IHC4BC's tree. ``aligned``: the same tree with the IHC on the H&E's grid, and
    ``truth``: phantoms only. See docs/ihc.md."""

    root: Path
    images: str = "Images"
    labels: str | None = "Labels"
    markers: list[str] = Field(default_factory=lambda: ["ER", "PR"])
    mpp: float = Field(gt=0)
    stride_share: float = Field(default=0.5, gt=0, le=1)
    filters: dict[str, float | None] = Field(default_factory=dict)
    aligned: Path | None = None
    truth: Path | None = None
    published_in: tuple[str, ...] = ()


class IhcConfig(Strict):
    """The protocol of virtual staining: folds by patient, the tile a model draws, and shifts that are tolerated."""

    protocols: list[str] = Field(default_factory=list)
    folds: int = Field(default=5, ge=2)
    tile_px: int = Field(default=256, ge=32)
    source_px: int | None = Field(default=None, ge=32)
    shift_px: int = Field(default=3, ge=0)
    cohorts: dict[str, IhcCohortConfig] = Field(default_factory=dict)
    models: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _has_what_it_asks(self) -> IhcConfig:
        if self.protocols and not (self.models and self.cohorts):
            raise ValueError("cohorts and models for the protocols, or no protocols")
        return self


class Config(Strict):
    """Everything in ``params.yaml``."""

    profile: Literal["mini", "full"]
    seed: int = Field(ge=0)
    threads: int = Field(ge=1)
    workers: int = Field(ge=1)
    device: Literal["cpu", "cuda", "auto"]
    cohort: CohortConfig
    crop: CropConfig
    split: SplitConfig
    protocols: list[str]
    models: list[str]
    survival: SurvivalConfig = SurvivalConfig()
    bulk: BulkConfig = BulkConfig()
    ihc: IhcConfig = IhcConfig()
    adapters: dict[str, str] = Field(default_factory=dict)
    weights: dict[str, dict[str, str]] = Field(default_factory=dict)

    def split_settings(self) -> SplitSettings:
        return SplitSettings(
            crop_um=self.crop.um,
            seed=self.seed,
            blocks=self.split.blocks,
            genes=GeneChoice(self.split.top_mean_genes),
            max_train_units=self.split.max_train_units,
            min_units=self.split.min_units,
        )

    def settings(self, *parts: str) -> Settings:
        """What models are handed; only the weights of the named parts, so others' do not re-run this one."""
        return Settings(
            profile=self.profile,
            seed=self.seed,
            device=resolve_device(self.device),
            threads=self.threads,
            weights={part: self.weights[part] for part in parts if part in self.weights},
        )


def resolve_device(device: str) -> str:
    """``auto`` becomes ``cuda`` where PyTorch sees a GPU; torch is imported for ``auto`` alone."""
    if device != "auto":
        return device
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def read_config(path: Path = PARAMS_FILE) -> Config:
    """Read and check ``params.yaml``; every mistake is one line that names the key."""
    try:
        values = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise UserError(
            "no parameters", where=path.absolute(), expected="params.yaml", remedy="run inside a slide2omics checkout"
        ) from None
    except yaml.YAMLError as error:
        raise UserError(
            " ".join(str(error).split()), where=path, expected="valid YAML", remedy="mend that line"
        ) from None
    if not isinstance(values, dict):
        raise UserError("not a mapping", where=path, expected="keys and values", remedy="see docs/params.md")
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise _readable(error, path) from None


def _readable(error: ValidationError, path: Path) -> UserError:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = _known_keys(first["loc"][:-1])
        return UserError(
            f"unknown key {key!r}",
            where=path,
            expected="only known keys",
            remedy=did_you_mean(str(first["loc"][-1]), known),
        )
    return UserError(
        f"{key} is {first.get('input')!r}", where=path, expected=first["msg"].lower(), remedy=f"set {key} accordingly"
    )


def _known_keys(location: tuple[Any, ...]) -> list[str]:
    model: type[BaseModel] = Config
    for part in location:
        field = model.model_fields.get(str(part))
        annotation = field.annotation if field else model  # a mapping's own key: its values are checked like any
        if get_origin(annotation) is dict:
            annotation = get_args(annotation)[1]
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)
