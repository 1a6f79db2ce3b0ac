"""Bases of the virtual-staining models: what a subclass states is its card and what sets it apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from baselines.staining.parts.controls import refuse_no_patches
from protocols.contract import Card, CropArray, Published, RowArray, ScheduleRecord, WeightsRecord
from protocols.errors import UserError, look_up
from protocols.seeds import derive_seed
from protocols.staining.contract import PatchInputs, PatchTraining

if TYPE_CHECKING:
    from baselines.staining.parts.pairs import Plan
    from baselines.training.image_training import Learner

MINI_SAVE_EVERY = 50
"""Steps between two checkpoints of a mini training, which has one or two hundred."""
OWN_LICENCE = "BSD-3-Clause (this repository)"
SOURCE = "PAST (arXiv 2507.06418)"
PUBLISHED_NOTE = "split, tile size, settings of the baselines unstated; mean over tiles"


def published(psnr: float, ssim: float) -> tuple[Published, ...]:
    """PAST's figure 3b: PSNR in dB and SSIM over one window, as the paper's formula has it."""
    return (
        Published("ihc4bc", "psnr", psnr, source=SOURCE, note=PUBLISHED_NOTE),
        Published("ihc4bc", "ssim_global", ssim, source=SOURCE, note=PUBLISHED_NOTE, words="SSIM, one window"),
    )


class ImageNetwork:
    """A network trained from scratch on pairs, from the run's seed alone, with checkpoints in the workspace.

    ``own_epochs``: passes over the patches that the method takes by its own rule, said in words in ``own_rule``; 0
    where paper and code state none, so that no schedule of ours can cut it short.
    """

    card: ClassVar[Card]
    own_epochs: ClassVar[int] = 0
    own_rule: ClassVar[str] = ""

    def plan(self, profile: str) -> Plan:
        raise NotImplementedError

    def learner(self, profile: str, embedding: int) -> Learner:
        """The untrained networks; ``embedding`` is its width (0 without an encoder)."""
        raise NotImplementedError

    def weights(self) -> tuple[WeightsRecord, ...]:
        return (WeightsRecord(part="networks, trained from scratch", source="none"),)

    def fit(self, train: PatchTraining) -> None:
        import torch

        from baselines.training.image_training import train as train_networks
        from baselines.training.torch_run import torch_run

        refuse_no_patches(len(train), self.card.name)
        settings, embedded = train.settings, self.card.encoder is not None
        self._width = train.embedding(np.arange(1)).shape[1] if embedded else 0
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(derive_seed(settings.seed, "image network", self.card.name))
            learner = self.learner(settings.profile, self._width)
        with torch_run(settings) as device:
            whole = self.plan(settings.profile)
            plan = whole.at_most(settings.most_steps, len(train))
            self._schedule = scheduled(plan, whole, len(train), self.own_epochs, self.own_rule)
            self.resumed_from = train_networks(learner, train, plan, self.card.name, device, embedded=embedded)
            for part in learner.parts.values():
                part.cpu().eval()
        learner.optimisers = {}  # only training needs them, and they are twice the networks' size
        self._learner = learner

    def schedule(self) -> tuple[ScheduleRecord, ...]:
        return (self._schedule,)

    def predict(self, test: PatchInputs, rows: RowArray) -> CropArray:
        """One patch at a time on a CPU; on a GPU in passes of one size, filled up with repeats: either way, a patch's
        answer does not depend on its companions. What is drawn for a patch depends on its name and the seed."""
        import torch

        from baselines.staining.parts.pairs import chunks, to_images, to_tensor
        from baselines.training.image_training import fast_answers
        from baselines.training.torch_run import torch_run

        rows = np.asarray(rows, dtype=np.int64)
        answer = np.zeros((len(rows), test.pixels, test.pixels, 3), dtype=np.uint8)
        seeds = [derive_seed(test.settings.seed, "image noise", test.marker, name) for name in test.patch[rows]]
        with torch_run(test.settings) as device, torch.no_grad(), fast_answers(device):
            size = rows_at_once(device.type)
            for part in self._learner.parts.values():
                part.to(device)
            for piece in chunks(np.arange(len(rows)), size):
                filled = np.resize(piece, size)
                he = to_tensor(test.he(rows[filled]), device)
                embedding = self._embedding(test, rows[filled], device)
                noise = [torch.Generator().manual_seed(seeds[at]) for at in filled]
                answer[piece] = to_images(self._learner.answer(he, embedding, noise))[: len(piece)]
            for part in self._learner.parts.values():
                part.cpu()
        return answer

    def _embedding(self, test: PatchInputs, rows: RowArray, device: Any) -> Any:
        import torch

        if self.card.encoder is None:
            return None
        embedding = test.embedding(rows)
        if embedding.shape[1] != self._width:
            raise UserError(
                f"an embedding of {embedding.shape[1]} features", where=self.card.name,
                expected=f"{self._width}, as in training", remedy="embed with the same encoder",
            )  # fmt: skip
        return torch.from_numpy(np.ascontiguousarray(embedding)).to(device)


def scheduled(plan: Plan, whole: Plan, patches: int, own_epochs: int, own_rule: str) -> ScheduleRecord:
    """What ``plan`` is beside the training that was meant (``whole``) and beside the method's own.

    Cut: fewer patches are seen than the method's own epochs show, or the run's limit of steps ended ``whole``.
    """
    steps, meant = plan.total(patches), whole.total(patches)
    short = steps * plan.batch < own_epochs * patches
    rule = own_rule or f"none published; ours: {meant} steps"
    return ScheduleRecord("networks", "steps", steps, steps, rule, short or steps < meant)


def rows_at_once(device: str) -> int:
    """Patches asked in one pass."""
    return 8 if device == "cuda" else 1


def profiled(table: dict[str, Any], profile: str) -> Any:
    """A profile's entry, or one line that names the nearest."""
    return look_up(profile, table, kind="profile", where="settings.profile")
