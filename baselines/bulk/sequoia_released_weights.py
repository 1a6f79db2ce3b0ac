"""SEQUOIA with its published fold weights: nothing is trained; a patient is answered by the fold that held it out."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from baselines.bulk.parts.answer import gene_columns
from baselines.bulk.parts.models import ONE_TILE, OVERHANG, SEQUOIA_RELEASE, UNI
from baselines.bulk.parts.released_folds import PARTS, fold_parts, load_released, named_folds, others
from protocols.bulk.contract import SlideInputs, SlideTraining, WindowRule
from protocols.contract import Card, FloatArray, Settings, WeightsRecord
from protocols.errors import UserError
from protocols.seeds import derive_seed

if TYPE_CHECKING:
    from baselines.networks.sequoia_networks import SequoiaNetwork

OVERLAP = (
    "TCGA: each fold's weights were trained on four fifths of the cancer's TCGA patients. A patient of the published "
    f"splits is answered by the one fold that held it out, anybody else by the mean of five. Encoder: {UNI}"
)


class SequoiaReleasedWeights:
    """The cohort's cancer is that of whose published split its training patients are."""

    window_rule: ClassVar[WindowRule] = "released"
    card: ClassVar[Card] = Card(
        name="sequoia_released_weights",
        title="SEQUOIA, published weights",
        task="bulk",
        summary="Summary mixing over super-tiles of UNI; the release's five fold models, untouched.",
        paper=SEQUOIA_RELEASE,
        licence="encoder CC-BY-NC-ND-4.0 (gated); weights as their repositories say",
        encoder="uni",
        checkpoints=PARTS,
        needs=("weights",),
        training_overlap=OVERLAP,
        notes=(
            ONE_TILE,
            OVERHANG,
            "The release skips slides with fewer tiles than places; here they stay, with rows of zeros.",
            "Only genes of the release's list can be asked of it: give the cohort that gene_list.",
        ),
    )

    @classmethod
    def load_weights(cls, settings: Settings) -> tuple[WeightsRecord, ...]:
        """Every part that is named, of whatever cancer, one network after the other."""
        found: dict[str, WeightsRecord] = {}
        for parts in ((), *((part,) for part in named_folds(settings))):
            found |= load_released(settings, parts, cls.card.name).records
        return tuple(found.values())

    def fit(self, train: SlideTraining) -> None:
        """Nothing is learned: the training patients say which cancer's weights are asked."""
        settings, name = train.settings, self.card.name
        splits = load_released(settings, (), name).splits
        cancer = splits.cancer_of(set(train.patient.tolist()), name)
        parts = fold_parts(cancer)
        released = load_released(settings, parts, name)
        self._genes, self._held, self._settings = released.genes, splits.held_out[cancer], settings
        self._networks = [released.networks[part] for part in parts]
        self._records = (*released.records.values(), *others(settings, parts))
        self._twin: SequoiaNetwork | None = None

    def weights(self) -> tuple[WeightsRecord, ...]:
        return self._records

    def predict(self, test: SlideInputs) -> FloatArray:
        """Of a patient whom a fold held out by that fold alone; of others the mean of all folds."""
        patients = test.patient.tolist()
        held = np.array([[patient in fold for fold in self._held] for patient in patients]).reshape(-1, len(self._held))
        asked = held | ~held.any(axis=1, keepdims=True)
        total = np.zeros((len(test), len(test.genes)))
        for fold, network in enumerate(self._networks):
            rows = np.flatnonzero(asked[:, fold])
            if len(rows):
                total[rows] += self._answer(network, test, rows)
        return np.asarray(total / np.maximum(asked.sum(axis=1, keepdims=True), 1), dtype=np.float32)

    def predict_untrained(self, test: SlideInputs) -> FloatArray:
        """A fresh random network of the same sizes, as in the release."""
        if self._twin is None:
            self._twin = self._fresh()
        return self._answer(self._twin, test, np.arange(len(test)))

    def _answer(self, network: SequoiaNetwork, test: SlideInputs, rows: NDArray[np.int64]) -> FloatArray:
        from baselines.bulk.parts.windows import repeat_first_tile
        from baselines.training.bulk_training import Tiles, predict_rows
        from baselines.training.torch_run import torch_run

        places, width = network.trunk.place.shape
        if (test.places, test.width) != (places, width):
            raise UserError(
                f"{test.places} places of {test.width} features", where=self.card.name,
                expected=f"{places} places of {width} features, as the weights have",
                remedy="set super_tiles, and profile: full with UNI's weights",
            )  # fmt: skip
        columns = gene_columns(self._genes, test.genes, self.card.name)
        with torch_run(test.settings) as device:
            network.to(device)
            tiles = Tiles(test, "features", keep=False)
            answer = (repeat_first_tile if test.windows else predict_rows)(network, tiles, rows, device)
            network.cpu()
        return answer if columns is None else answer[:, columns]

    def _fresh(self) -> SequoiaNetwork:
        import torch

        from baselines.networks.sequoia_networks import PROFILES, SequoiaNetwork

        places, width = self._networks[0].trunk.place.shape
        sizes, genes = PROFILES[self._settings.profile], len(self._genes)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(derive_seed(self._settings.seed, "bulk network", self.card.name))
            return SequoiaNetwork("vis", sizes, places, width, genes, masked=False).eval()
