"""What a model is, what it is given, and what it must answer.

A model is one class with ``card``, ``fit`` and ``predict``; nothing of the pipeline shows in it.
It is made with no arguments, once per fold (once per *group* of folds if it pre-trains), fitted on
a :class:`TrainingData` and asked about an :class:`Inputs`, which has no targets at all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from protocols.errors import UserError

FloatArray = NDArray[np.float32]
CountArray = NDArray[np.int32]
CropArray = NDArray[np.uint8]
RowArray = NDArray[np.int64]
TextArray = NDArray[np.str_]

Kind = Literal["model", "control", "oracle"]


@dataclass(frozen=True)
class Published:
    """One number as a paper prints it; it stands beside the measured one, never in its place.

    ``metric`` is a key of the protocol's metrics, empty where nothing measured here is what the paper's words mean.
    ``board``: "average" for a mean of cohorts, a cohort's short name ("brca") where the number is one cohort's, empty
    for a protocol's every board. ``words``: what the paper calls the metric.
    """

    protocol: str
    metric: str
    value: float
    spread: float | None = None
    spread_is: str = ""
    source: str = ""
    note: str = ""
    board: str = ""
    words: str = ""


@dataclass(frozen=True)
class Card:
    """What is known of a model before it is run.

    ``task`` says which protocols it answers: those of the same task. ``encoder`` names a row of the encoder
    table (or of the run's ``encoders``) whose frozen embedding the model reads; the engine computes it once for all.
    ``needs`` names what a cohort must have (each task says which words it knows; ``"oracle"``: a known truth), so that
    a cohort without it is skipped with a reason instead of failing. ``starts_from`` names further encoders whose
    ``weights`` entries the model loads itself; ``checkpoints`` names released states of its own, no encoders, which it
    loads in place of those. ``files``: data files beside the model's own file that it reads.
    """

    name: str
    title: str
    kind: Kind = "model"
    task: str = "expression"
    summary: str = ""
    paper: str = ""
    licence: str = ""
    encoder: str | None = None
    starts_from: tuple[str, ...] = ()
    checkpoints: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    training_overlap: str = "unknown"
    published: tuple[Published, ...] = ()
    notes: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def parts(self) -> tuple[str, ...]:
        """Names whose ``weights`` and ``encoders`` entries are this model's: it is handed these and no others."""
        encoder = (self.encoder,) if self.encoder else ()
        return tuple(dict.fromkeys((*encoder, *self.starts_from, *self.checkpoints)))


@dataclass(frozen=True)
class WeightsRecord:
    """Where one part's starting weights came from: ``source`` is "random", "none", a file or a hub id.

    ``seen_um`` and ``seen_mpp``, of a frozen encoder: the side of what it sees of a crop, in micrometres, and the
    micrometres a pixel of its input.
    """

    part: str
    source: str
    revision: str | None = None
    sha256: str | None = None
    seen_um: float | None = None
    seen_mpp: float | None = None


@dataclass(frozen=True)
class ScheduleRecord:
    """How long one part was trained: ``run`` of at most ``cap`` ``unit`` (epochs, steps).

    ``rule`` says what ends the training by the method's own account, as its paper or code states it ("200 epochs,
    patience 20"). ``cut``: our cap ended it and not that rule, so that the score is no verdict on the method.
    """

    part: str
    unit: Literal["epochs", "steps"]
    run: int
    cap: int
    rule: str
    cut: bool


class PartWeights(dict[str, dict[str, str]]):
    """``weights`` entries by part, of which a model sees those that its card names.

    Asking for any other is an error and never "there is none": a model whose card forgets a part would start at random
    whatever the run's file says. Lookups of the whole (``items``, ``len``) show what was handed over.
    """

    def __init__(
        self, given: Mapping[str, dict[str, str]] | Iterable[Any] = (), declared: Collection[str] | None = None
    ) -> None:
        super().__init__(given)
        self.declared = None if declared is None else frozenset(declared)

    def __contains__(self, part: object) -> bool:
        self._refuse_undeclared(part)
        return super().__contains__(part)

    def __getitem__(self, part: str) -> dict[str, str]:
        self._refuse_undeclared(part)
        return super().__getitem__(part)

    def get(self, part: str, default: Any = None, /) -> Any:
        self._refuse_undeclared(part)
        return super().get(part, default)

    def _refuse_undeclared(self, part: object) -> None:
        declared = getattr(self, "declared", None)
        if declared is not None and part not in declared:
            raise UserError(
                f"the model asks for the weights of {part!r}, which its card does not name", where="its card",
                expected=f"a part of the card ({', '.join(sorted(declared)) or 'it has none'})",
                remedy="name an encoder in starts_from, a state of the model's own in checkpoints",
            )  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """What a run hands to every model. ``profile`` changes numbers, never branches.

    ``most_steps``: updates after which every training ends, whatever its plan says (0: as the plan says). The stage of
    contract tests sets it: whether a model keeps its contract does not depend on how long it is trained. So does a run
    that is a smoke test: each architecture whole, a step or two of each training.
    ``deterministic``: on CUDA, whether a kernel without a deterministic version ends the run (else the record names
    it); a CPU has none such, and there it is False whatever the run's file says.
    """

    profile: str = "mini"
    seed: int = 0
    device: str = "cpu"
    threads: int = 2
    most_steps: int = 0
    deterministic: bool = False
    weights: dict[str, dict[str, str]] = field(default_factory=dict)
    encoders: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The run's own encoders by name, see :mod:`baselines.encoders.entries`."""
    parts: tuple[str, ...] | None = None
    """What the card names (``Card.parts``); None outside a run, where nobody's card is asked."""

    def __post_init__(self) -> None:
        if self.parts is not None:
            object.__setattr__(self, "weights", PartWeights(self.weights, self.parts))

    def at_most(self, steps: int) -> int:
        """The updates of a training that plans ``steps`` of them."""
        return min(steps, self.most_steps) if self.most_steps else steps


class Inputs(Protocol):
    """The units (cells or spots) a model may look at, without their expression.

    All arrays are in one row order. ``xy_um`` are micrometres in the frame of the slide's H&E image.
    """

    @property
    def genes(self) -> tuple[str, ...]:
        """The genes to predict, in the column order of the answer."""
        ...

    @property
    def slide(self) -> TextArray: ...

    @property
    def patient(self) -> TextArray: ...

    @property
    def cancer(self) -> TextArray: ...

    @property
    def xy_um(self) -> FloatArray: ...

    @property
    def settings(self) -> Settings: ...

    @property
    def crop_pixels(self) -> int: ...

    def __len__(self) -> int: ...

    def embedding(self) -> FloatArray:
        """Frozen embedding by the card's encoder, float32 ``(n, d)``."""
        ...

    def crops(self, rows: RowArray | None = None) -> CropArray:
        """RGB crops centred on the units, uint8 ``(k, p, p, 3)``; ``rows`` index this object (default: all)."""
        ...

    def crop_batches(self, size: int) -> Iterator[tuple[RowArray, CropArray]]:
        """Every crop once, in the order that decodes each image tile once: ``(rows, crops)`` batches."""
        ...

    def oracle(self) -> FloatArray:
        """The phantom's best prediction, ``(n, genes)``; only for cards that need ``"oracle"``."""
        ...


class TrainingData(Inputs, Protocol):
    """Inputs together with their measured expression."""

    @property
    def workspace(self) -> Path | None:
        """A folder that survives a kill, for this job alone; a checkpoint left there is found again."""
        ...

    @property
    def targets(self) -> FloatArray:
        """float32 ``(n, genes)``: log1p of counts scaled to 10,000; NaN where a slide's panel lacks the gene."""
        ...

    def counts(self) -> tuple[CountArray, NDArray[np.bool_], tuple[str, ...]]:
        """Raw counts ``(n, all genes)``, the mask of measured entries, and the gene names."""
        ...

    def filled_targets(self) -> FloatArray:
        """Targets with every hole replaced by its gene's training mean (0 if never measured)."""
        ...


@runtime_checkable
class Model(Protocol):
    """An answer. Optional hooks: ``pretrain(data)`` before ``fit``, ``weights()`` for provenance,
    ``load_weights(settings)`` where it loads parts itself."""

    card: ClassVar[Card]

    def fit(self, train: TrainingData) -> None: ...

    def predict(self, test: Inputs) -> FloatArray:
        """Predicted log-normalised expression, float32 ``(n, len(test.genes))``, finite everywhere."""
        ...


@runtime_checkable
class Pretrains(Protocol):
    """A model that learns a representation first, on the union of its fold group's training sets."""

    def pretrain(self, data: TrainingData) -> None: ...


@runtime_checkable
class HasWeights(Protocol):
    def weights(self) -> tuple[WeightsRecord, ...]: ...


@runtime_checkable
class LoadsWeights(Protocol):
    """A model that loads parts itself (``starts_from``, ``checkpoints``) and can be asked to before it is fitted."""

    @classmethod
    def load_weights(cls, settings: Settings, /) -> tuple[WeightsRecord, ...]:
        """Load every part that ``settings.weights`` names into the networks that a fit would start from, and say where
        each came from. Nothing is kept: the run learns in time whether the files fit."""
        ...


@runtime_checkable
class HasSchedule(Protocol):
    """A model that says how long it was trained; of several trainings (folds, groups) one record each."""

    def schedule(self) -> tuple[ScheduleRecord, ...]: ...
