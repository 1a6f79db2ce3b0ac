"""Bases of the models of bulk expression: what a subclass states is its card and what sets it apart."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from baselines.bulk.parts.schedule_record import record_of
from protocols.bulk.contract import GroupedBy, SlideInputs, SlideTraining
from protocols.contract import Card, FloatArray, ScheduleRecord, WeightsRecord
from protocols.errors import UserError, look_up
from protocols.seeds import derive_seed, generator

if TYPE_CHECKING:
    import torch
    from torch import nn

    from baselines.training.bulk_checkpoint import Checkpoint
    from baselines.training.bulk_stopping import StoppingRule
    from baselines.training.bulk_training import Forward, Looking, Schedule, Tiles

Arrays = dict[str, NDArray[np.float32]]
Phase = Literal["pretrain", "fit"]
Twin = Literal["random", "before_fit"]
"""The untrained network: all weights random, or (HE2RNA as SEQUOIA released it) a pre-trained trunk, new head."""


def gene_columns(fitted: tuple[str, ...], asked: tuple[str, ...], where: str) -> NDArray[np.int64] | None:
    """Columns of the fitted genes that answer for the asked ones; None where both are the same."""
    if fitted == asked:
        return None
    place = {gene: at for at, gene in reversed(list(enumerate(fitted)))}
    missing = [gene for gene in asked if gene not in place]
    if missing:
        raise UserError(
            f"asked for {missing[0]!r} and {len(missing) - 1} more genes that were not fitted", where=where,
            expected="genes of the training slides", remedy="ask for the genes that both cohorts have",
        )  # fmt: skip
    return np.array([place[gene] for gene in asked], dtype=np.int64)


def patient_means(patient: NDArray[np.str_], *tables: FloatArray) -> tuple[NDArray[np.float64], ...]:
    """Mean row of every patient, in sorted order of the names, for each table ``(n, columns)``."""
    names, at, slides = np.unique(patient, return_inverse=True, return_counts=True)
    found = []
    for table in tables:
        total = np.zeros((len(names), table.shape[1]))
        np.add.at(total, at, table.astype(np.float64))
        found.append(total / slides[:, None])
    return tuple(found)


class BulkNetwork:
    """A network on super-tiles, trained by the card's recipe.

    Tile features are standardised by the training slides (``standardised``), since one published learning rate must
    serve encoders whose scales differ by orders of magnitude; the head's bias starts at the training mean
    (``mean_bias``), since an early stop otherwise comes while the network still learns the means. The network starts
    from the run's seed alone.
    """

    card: ClassVar[Card]
    grouped_by: ClassVar[GroupedBy] = "features"
    standardised: ClassVar[bool] = True
    masked: ClassVar[bool] = True
    mean_bias: ClassVar[bool] = True
    published_schedule: ClassVar[bool] = False
    """Trained as long as published under every profile: for a rule that never acts before a smaller cap."""
    twin: ClassVar[Twin] = "random"
    drawn_as: ClassVar[str] = ""
    """The model whose random draws this one shares, so that they differ in one thing only; empty: its own."""
    _done: Mapping[Phase, ScheduleRecord] = MappingProxyType({})

    def network(self, profile: str, places: int, width: int, genes: int) -> nn.Module:
        """The untrained network, with ``trunk`` (which holds ``scale``) and the linear layer ``output``."""
        raise NotImplementedError

    def plan(self, profile: str, phase: Phase) -> Schedule:
        """How long a phase lasts; under ``full`` as published."""
        raise NotImplementedError

    def planned(self, table: Mapping[str, Schedule], profile: str) -> Schedule:
        """The profile's numbers, or (``published_schedule``) those of ``full`` whatever the network's size."""
        found = look_up(profile, table, kind="profile", where=self.card.name)
        return table["full"] if self.published_schedule else found

    def rule(self, schedule: Schedule, phase: Phase) -> StoppingRule | None:
        raise NotImplementedError

    def looking(self) -> Looking:
        from baselines.training.bulk_training import Looking

        return Looking()

    def training_pass(self, _network: Any, _rng: np.random.Generator, /) -> Forward | None:
        """The forward pass of a training step, where it is not the network's own."""
        return None

    def weights(self) -> tuple[WeightsRecord, ...]:
        return (WeightsRecord(part="network, trained from scratch", source="none"),)

    def schedule(self) -> tuple[ScheduleRecord, ...]:
        """Of each training that this instance has done: its own fold's, or the pre-training."""
        return tuple(self._done.values())

    def fit(self, train: SlideTraining) -> None:
        self._genes = train.genes
        self._network = self._trained(train, "fit", self.starting_trunk())

    def predict(self, test: SlideInputs) -> FloatArray:
        return self._answer(self._network, test)

    def predict_untrained(self, test: SlideInputs) -> FloatArray:
        """The answer of the network before its first step; built again from its seed, which is as good as a copy."""
        trunk = self.starting_trunk() if self.twin == "before_fit" else None
        return self._answer(self._untrained(trunk), test)

    def starting_trunk(self) -> Arrays | None:
        """Arrays that the trunk starts from; None starts at random."""
        return None

    def finish(self, answer: FloatArray) -> FloatArray:
        """The last touch on predictions."""
        return answer

    def read_windows(self, network: Any, tiles: Tiles, rows: NDArray[np.int64], device: torch.device) -> FloatArray:
        """Answers for windows: by default, a window is a slide."""
        from baselines.training.bulk_training import predict_rows

        return predict_rows(network, tiles, rows, device)

    def _trained(self, train: SlideTraining, phase: Phase, trunk: Arrays | None) -> nn.Module:
        from baselines.training.bulk_training import Examples, Tiles, tile_scale
        from baselines.training.bulk_training import train as train_network
        from baselines.training.torch_run import torch_run

        settings = train.settings
        held = np.asarray(train.validation, dtype=bool)
        tiles = Tiles(train, self.grouped_by)
        examples = Examples(tiles, train.targets, np.flatnonzero(~held), np.flatnonzero(held))
        self._scale = tile_scale(tiles, examples.fitted, train.width) if self.standardised else None
        self._mean = train.targets[~held].mean(axis=0) if self.mean_bias and len(examples.fitted) else None
        self._shape = (settings, train.places, train.width, len(train.genes))
        network = self._untrained(trunk)
        plan = self.plan(settings.profile, phase)
        rule = self.rule(plan, phase)
        rng = generator(settings.seed, "bulk training", phase, self.drawn_as or self.card.name, len(train))
        checkpoint = self._checkpoint(train, network, plan, phase)
        with torch_run(settings) as device:
            self.trained = train_network(
                network, examples, plan, rule, self.looking(), rng, device, self.training_pass(network, rng),
                most_steps=settings.most_steps, checkpoint=checkpoint,
            )  # fmt: skip
            network.cpu()
        self._done = {**self._done, phase: record_of(self.trained, plan, self.plan("full", phase), rule, phase)}
        return network

    def _checkpoint(self, train: SlideTraining, network: nn.Module, plan: Schedule, phase: Phase) -> Checkpoint | None:
        """In the job's own folder, which survives a kill; None where there is none."""
        from baselines.training.bulk_checkpoint import Checkpoint, identity_of

        if train.workspace is None:
            return None
        settings = train.settings
        run = (settings.profile, settings.seed, settings.device, settings.threads, settings.most_steps)
        told = (self.card.name, phase, plan, *run, train.genes, train.slide.tolist())
        identity = identity_of(network, (train.targets, np.asarray(train.validation)), *told)
        return Checkpoint(train.workspace / f"{phase}.pt", identity, plan.save_every)

    def _untrained(self, trunk: Arrays | None) -> nn.Module:
        """The network before its first step; the same bytes whenever it is asked for."""
        import torch

        settings, places, width, genes = self._shape
        with torch.random.fork_rng(devices=[]):
            seed = derive_seed(settings.seed, "bulk network", self.drawn_as or self.card.name)
            torch.default_generator.manual_seed(seed)
            network: Any = self.network(settings.profile, places, width, genes)
        if self._scale is not None:
            network.trunk.scale.mean.copy_(torch.from_numpy(self._scale[0]))
            network.trunk.scale.spread.copy_(torch.from_numpy(self._scale[1]))
        if self._mean is not None:
            with torch.no_grad():
                network.output.bias.copy_(torch.from_numpy(self._mean))
        if trunk is not None:
            load_trunk(network.trunk, trunk, self.card.name)
        return network  # type: ignore[no-any-return]

    def _answer(self, network: Any, test: SlideInputs) -> FloatArray:
        from baselines.training.bulk_training import Tiles, predict_rows
        from baselines.training.torch_run import torch_run

        _, places, width, _ = self._shape
        if (test.places, test.width) != (places, width):
            raise UserError(
                f"{test.places} places of {test.width} features", where=self.card.name,
                expected=f"{places} places of {width} features, as in training", remedy="use one K and one encoder",
            )  # fmt: skip
        columns = gene_columns(self._genes, test.genes, self.card.name)
        with torch_run(test.settings) as device:
            network.to(device)
            tiles, rows = Tiles(test, self.grouped_by, keep=False), np.arange(len(test))
            answer = (self.read_windows if test.windows else predict_rows)(network, tiles, rows, device)
            network.cpu()
        return self.finish(answer if columns is None else answer[:, columns])


def load_trunk(trunk: nn.Module, arrays: Arrays, where: str) -> None:
    """Every array of the trunk, no other, each of its shape; or one line."""
    import torch

    own = {name: tuple(part.shape) for name, part in trunk.state_dict().items()}
    given = {name: array.shape for name, array in arrays.items()}
    wrong = sorted(name for name in own.keys() | given.keys() if own.get(name) != given.get(name))
    if wrong:
        raise UserError(
            f"pre-trained {wrong[0]!r} is {given.get(wrong[0])}", where=where, expected=f"{own.get(wrong[0])}",
            remedy="pre-train with the same K, encoder and profile",
        )  # fmt: skip
    trunk.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in arrays.items()}, strict=True)


class StartsFromNormal(BulkNetwork):
    """Learns first from normal tissue; its trunk, with the scale of the features it has learned on, is kept.

    The head is new in every fold, and everything goes on learning (SEQUOIA preprint, Methods).
    """

    _pretrained: Arrays | None = None

    def pretrain(self, normal: SlideTraining) -> Arrays:
        network: Any = self._trained(normal, "pretrain", None)
        return {name: part.numpy().astype(np.float32) for name, part in network.trunk.state_dict().items()}

    def start_from(self, pretrained: Arrays) -> None:
        self._pretrained = pretrained

    def starting_trunk(self) -> Arrays | None:
        if self._pretrained is None:
            raise UserError(
                "was not pre-trained", where=self.card.name, expected="start_from() before fit()",
                remedy="pre-train it on normal tissue, or take the model without pre-training",
            )  # fmt: skip
        return self._pretrained

    def weights(self) -> tuple[WeightsRecord, ...]:
        return (
            WeightsRecord(part="trunk, pre-trained on the cohort's normal tissue", source="none"),
            WeightsRecord(part="head, trained from scratch", source="none"),
        )
