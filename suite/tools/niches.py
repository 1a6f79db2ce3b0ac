"""From tables of cells to niches: gates, pairs counted slide by slide, added up by patient, judged, and set against an
outcome. One row a patient comes out (``niche_<A>_<B>``, ``mean_<marker>``): the protein table that prognosis and
response take as features."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
import pandas as pd

from protocols.errors import UserError, did_you_mean
from protocols.metrics.niches import DRAWS, LEAST_POSITIVES, RADIUS_UM, Counts, Niche, added, count_pairs, niches
from protocols.metrics.positivity import Gate, Rule, gate, positives
from protocols.seeds import derive_seed
from suite.tools.niche_inputs import Float, SlideCells

Pair = tuple[str, str]
COHORT = "all slides"


@dataclass(frozen=True)
class Options:
    """``pairs`` None: all of them. ``gates_from_all``: one gate a marker over all slides, in place of each slide's own,
    which keeps a patient's row free of every other patient. ``block_um``: see :mod:`protocols.metrics.niches`."""

    radius_um: float = RADIUS_UM
    rule: Rule = field(default_factory=Rule)
    permutations: int = DRAWS
    seed: int = 0
    block_um: float | None = None
    pairs: tuple[Pair, ...] | None = None
    least_positives: int = LEAST_POSITIVES
    gates_from_all: bool = False


@dataclass(frozen=True)
class PatientNiches:
    """One patient: slides, cells, pairs judged, and the mean of each marker over the patient's cells."""

    patient: str
    slides: tuple[str, ...]
    cells: int
    niches: tuple[Niche, ...]
    means: dict[str, float]


@dataclass(frozen=True)
class NicheRun:
    """Everybody, the gates by slide (or of all), and what was noticed on the way."""

    patients: tuple[PatientNiches, ...]
    gates: dict[str, tuple[Gate, ...]]
    notes: tuple[str, ...]

    def table(self) -> pd.DataFrame:
        """One row a patient; ``niche_<A>_<B>`` is the log ratio of pairs to those expected, NaN where undefined."""
        rows = {
            one.patient: {f"niche_{pair.a}_{pair.b}": pair.log_ratio for pair in one.niches}
            | {f"mean_{marker}": value for marker, value in one.means.items()}
            for one in self.patients
        }
        made = pd.DataFrame.from_dict(rows, orient="index").sort_index()
        made.index.name = "patient"
        return made


def run_niches(slides: Iterable[SlideCells], options: Options) -> NicheRun:
    """Slides of a patient follow each other; tables are looked at one at a time, and of a patient who is done only what
    was judged is kept (with gates of all slides, all tables are held)."""
    seen = list(slides) if options.gates_from_all else slides
    shared = _gates_of_all(list(seen), options) if options.gates_from_all else None
    gates: dict[str, tuple[Gate, ...]] = {COHORT: tuple(shared)} if shared else {}
    notes: list[str] = []
    patients: list[PatientNiches] = []
    markers: tuple[str, ...] = ()
    for patient, of_patient in groupby(seen, key=lambda table: table.patient):
        counts: list[Counts] = []
        names: list[str] = []
        without: dict[str, str] = {}
        total: Float = np.zeros(1)
        for table in of_patient:
            _same_markers(table, markers)
            if not markers:
                markers = table.markers
                _known_pairs(options.pairs, markers)
            own = shared or _gates(table.values, markers, options)
            if shared is None:
                gates[table.slide] = tuple(own)
            # A marker without a gate on any slide of a patient is undefined for the patient: half a count is none.
            without |= {one.marker: one.reason for one in own if one.reason}
            notes += table.notes
            names.append(table.slide)
            total = total + table.values.sum(axis=0)
            one = _counted(table, own, options)
            counts = [added([*counts, one])]
        whole = counts[0]
        judged = niches(whole, options.pairs, undefined=without, least_positives=options.least_positives)
        means = dict(zip(markers, (total / whole.cells).tolist(), strict=True))
        patients.append(PatientNiches(patient, tuple(names), whole.cells, tuple(judged), means))
    return NicheRun(tuple(sorted(patients, key=lambda one: one.patient)), gates, tuple(notes))


def _counted(table: SlideCells, gates: list[Gate], options: Options) -> Counts:
    return count_pairs(
        table.xy,
        positives(table.values, gates),
        table.markers,
        radius=options.radius_um,
        # Of its own for each slide: equal orders on two slides of a patient would not be independent draws.
        seed=derive_seed(options.seed, table.slide),
        permutations=options.permutations,
        blocks=options.block_um,
    )


def _gates(values: Float, markers: Sequence[str], options: Options) -> list[Gate]:
    return [gate(name, values[:, at], options.rule, seed=options.seed) for at, name in enumerate(markers)]


def _gates_of_all(slides: list[SlideCells], options: Options) -> list[Gate]:
    for one in slides[1:]:
        _same_markers(one, slides[0].markers)
    return _gates(np.concatenate([one.values for one in slides]), slides[0].markers, options)


def _same_markers(table: SlideCells, markers: tuple[str, ...]) -> None:
    if markers and table.markers != markers:
        apart = sorted(set(table.markers) ^ set(markers)) or ["their order"]
        raise UserError(
            f"other markers than the slides before: {', '.join(apart[:5])}", where=f"slide {table.slide}",
            expected="the same markers on every slide", remedy="name those that all have by --markers",
        )  # fmt: skip


def _known_pairs(pairs: tuple[Pair, ...] | None, markers: tuple[str, ...]) -> None:
    for name in (one for pair in pairs or () for one in pair):
        if name not in markers:
            raise UserError(
                f"unknown marker {name!r}", where="--pairs", expected="markers of the tables",
                remedy=did_you_mean(name, markers),
            )  # fmt: skip
