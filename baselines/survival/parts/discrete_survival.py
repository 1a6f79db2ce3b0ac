"""The base of all survival networks here: what a subclass states is its card, what it reads, and its network."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from baselines.survival.parts.features import Standardiser
from protocols.contract import Card, FloatArray, ScheduleRecord, Settings, WeightsRecord
from protocols.errors import look_up
from protocols.seeds import derive_seed, generator
from protocols.survival.contract import (
    PatientInputs,
    SurvivalPrediction,
    SurvivalTraining,
    TimeArray,
    signature_columns,
)

if TYPE_CHECKING:
    from torch import nn

    from baselines.networks.survival_blocks import SurvivalSizes
    from baselines.training.survival_training import Patients, TrainingPlan


SCALE_TILES = 512
"""Tiles a patient from which the scale of tile features is estimated."""


@dataclass(frozen=True)
class Widths:
    """Features of a tile, of each genomic token, and of an extra token; 0 where there is none."""

    tile: int
    genomic: tuple[int, ...]
    extra: int


class DiscreteSurvival:
    """Four hazards, negative log-likelihood, risk = -sum of S.

    Genomic features are standardised on training patients and grouped by the cohort's signatures, of which those
    without any usable feature are left out; a cohort without signatures, or a network that wants ``one_token``, gets
    all features as one token. Tile features are standardised, too: encoders differ in scale by orders of magnitude,
    and one learning rate must serve them all (``as_released`` feeds them raw). The network starts from the run's seed
    alone.
    """

    card: ClassVar[Card]
    reads_bags: ClassVar[bool] = True
    reads_genome: ClassVar[bool] = True
    one_token: ClassVar[bool] = False
    as_released: ClassVar[bool] = False
    weighted: ClassVar[bool] = True
    """Of ``as_released``: patients are drawn with replacement, each bin and censoring class as likely as the next."""
    l1: ClassVar[float] = 0.0

    def network(self, sizes: SurvivalSizes, widths: Widths) -> nn.Module:
        """The untrained network for inputs of these widths."""
        raise NotImplementedError

    def profiles(self) -> Mapping[str, SurvivalSizes]:
        """Sizes and training by the name of the run's profile."""
        from baselines.networks.survival_blocks import PROFILES

        return PROFILES

    def extra_tokens(self, _data: PatientInputs, /) -> NDArray[np.float32] | None:
        """Further tokens beside the genomic ones, float32 ``(n, tokens, width)``: the hook for PAST-multi and MICA."""
        return None

    def weights(self) -> tuple[WeightsRecord, ...]:
        return (WeightsRecord(part="survival network, trained from scratch", source="none"),)

    def fit(self, train: SurvivalTraining) -> None:
        import torch

        from baselines.training.survival_checkpoint import Checkpoint
        from baselines.training.survival_loss import bin_edges, bins_of
        from baselines.training.survival_training import Targets
        from baselines.training.survival_training import train as train_network
        from baselines.training.torch_run import torch_run

        settings = train.settings
        self._sizes = look_up(settings.profile, self.profiles(), kind="profile", where=self.card.name)
        self._tables = _token_tables(train, one=self.one_token) if self.reads_genome else []
        self._tile_scale = _tile_scale(train) if self.reads_bags and not self.as_released else None
        self._token_scale: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
        edges = bin_edges(train.time, train.event)
        self._times = _curve_times(edges, train.time)
        targets = Targets(bins_of(train.time, edges), train.event)
        with torch_run(settings) as device:
            torch.manual_seed(derive_seed(settings.seed, "survival network", self.card.name))
            patients = self._patients(train)
            extra = 0 if patients.extra is None else patients.extra.shape[2]
            widths = tuple(part.shape[1] for part in patients.genomic)
            tiles = train.bag_width if self.reads_bags else 0
            self._network = self.network(self._sizes, Widths(tiles, widths, extra))
            rng = generator(settings.seed, "survival training", self.card.name, len(train))
            plan = self._plan(settings, len(train))
            keep = Checkpoint(train.workspace, self._identity(train, plan)) if train.workspace else None
            self.epochs = train_network(self._network, patients, targets, self._sizes, plan, rng, device, keep)
            self._network.cpu()
        self._schedule = self._scheduled(plan)

    def schedule(self) -> tuple[ScheduleRecord, ...]:
        return (self._schedule,)

    def _plan(self, settings: Settings, patients: int) -> TrainingPlan:
        """The training of these sizes: whole epochs of at most so many updates as the run allows, or a part of one."""
        from baselines.training.survival_training import TrainingPlan

        epochs, updates = self._sizes.epochs, -(-patients // self._sizes.accumulate)
        if settings.most_steps:
            epochs = min(epochs, max(settings.most_steps // updates, 1))
        most = settings.most_steps
        early = not self.as_released
        return TrainingPlan(early, self.l1, self.as_released, weighted=self.weighted, epochs=epochs, most_updates=most)

    def _scheduled(self, plan: TrainingPlan) -> ScheduleRecord:
        from baselines.networks.survival_blocks import PUBLISHED_EPOCHS

        rule = f"{PUBLISHED_EPOCHS} epochs, as released"
        if plan.early:
            rule += f"; ours ends sooner after {self._sizes.patience} without gain on held-out patients"
        cut = self.epochs == plan.epochs < PUBLISHED_EPOCHS
        return ScheduleRecord("survival network", "epochs", self.epochs, plan.epochs, rule, cut)

    def _identity(self, train: SurvivalTraining, plan: TrainingPlan) -> str:
        """What a checkpoint must have been made for; another training's is not taken."""
        settings = train.settings
        told = (train.patient.tolist(), train.time.tolist(), train.event.tolist(), self._sizes, plan)
        shapes = [tuple(parameter.shape) for parameter in self._network.parameters()]
        content = hashlib.sha256(repr((told, shapes)).encode()).hexdigest()
        return repr((self.card.name, settings.profile, settings.seed, settings.device, content))

    def predict(self, test: PatientInputs) -> SurvivalPrediction:
        from baselines.training.survival_loss import risk_of, survival_of
        from baselines.training.survival_training import predict_logits
        from baselines.training.torch_run import torch_run

        with torch_run(test.settings) as device:
            logits = predict_logits(self._network.to(device), self._patients(test), device)
            self._network.cpu()
        times = np.unique(self._times)  # tied edges leave a bin empty: the later bin's survival holds from there
        places = np.searchsorted(self._times, times, side="right") - 1
        return SurvivalPrediction(risk_of(logits).numpy(), times, survival_of(logits).numpy()[:, places])

    def _patients(self, data: PatientInputs) -> Patients:
        from baselines.training.survival_training import BagCache, Patients

        genomic = tuple(table.transform(data.genomic[:, columns]).astype(np.float32) for columns, table in self._tables)
        bags = BagCache(self._reader(data)) if self.reads_bags else None
        return Patients(len(data), genomic, bags, self._scaled_tokens(self.extra_tokens(data)))

    def _scaled_tokens(self, tokens: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
        """Standardised like the genomic features, by the patients that come first, which are the training ones; raw
        ``as_released``, like the tiles."""
        if tokens is None or self.as_released:
            return tokens
        if self._token_scale is None:
            self._token_scale = tokens.mean(axis=0), np.maximum(tokens.std(axis=0), 1e-6)
        mean, spread = self._token_scale
        return np.asarray((tokens - mean) / spread, dtype=np.float32)

    def _reader(self, data: PatientInputs) -> Callable[[int], FloatArray]:
        scale = self._tile_scale
        if scale is None:
            return data.bag
        mean, spread = scale
        return lambda position: ((data.bag(position) - mean) / spread).astype(np.float32)


def _tile_scale(train: SurvivalTraining) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and SD of each tile feature over training patients, every patient with the same weight.

    Of a large bag evenly spread tiles are read. A constant feature keeps its scale.
    """
    first, second = np.zeros(train.bag_width), np.zeros(train.bag_width)
    for position in range(len(train)):
        bag = train.bag(position)
        tiles = bag[np.unique(np.linspace(0, len(bag) - 1, SCALE_TILES).round().astype(int))].astype(np.float64)
        first += tiles.mean(axis=0) / len(train)
        second += (tiles**2).mean(axis=0) / len(train)
    variance = np.maximum(second - first**2, 0.0)
    spread = np.where(variance > 1e-12 * np.maximum(first**2, 1e-30), np.sqrt(variance), 1.0)
    return first.astype(np.float32), spread.astype(np.float32)


def _token_tables(train: SurvivalTraining, *, one: bool) -> list[tuple[NDArray[np.int64], Standardiser]]:
    """(columns, fitted standardiser) of every genomic token."""
    everything = np.arange(len(train.genomic_features), dtype=np.int64)
    groups = signature_columns(train.genomic_features, train.signatures) if train.signatures and not one else {}
    found: list[tuple[NDArray[np.int64], Any]] = []
    for columns in groups.values() or [everything]:
        table = Standardiser().fit(train.genomic[:, columns])
        if len(table.columns):
            found.append((columns, table))
    if not found:
        found.append((everything, Standardiser().fit(train.genomic)))
    return found


def _curve_times(edges: NDArray[np.float64], time: TimeArray) -> NDArray[np.float64]:
    """The month at which each bin ends; the last ends with training follow-up."""
    return np.concatenate([edges, [max(float(time.max()), float(edges[-1]))]])
