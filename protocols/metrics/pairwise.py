"""Which models of a board differ beyond chance, all pairs together: max-T over joint sign flips.

Under "these two models are equal" the difference of a patient is as likely to be d as -d. So the signs of patients'
differences are flipped, the same flip for every pair of models, and the largest studentised difference of all pairs in
each flip is the null of the largest one observed (Westfall & Young 1993; step-down as in Romano & Wolf 2005). That
holds the family-wise error at 5 % for any number of models and any dependence among them, exact where differences are
symmetric, without assuming a distribution; all flips are taken up to :data:`ALL_UP_TO` patients.

Its price: n patients have 2ⁿ⁻¹ flips up to sign, so below six patients no difference of any size reaches 5 %.

The studentised difference of a pair is T = |Σ c| / √(Σ c²) over patients' contributions c = weight · (a - b), which no
flip of signs changes below the line; Student's t is T √((n-1)/(n-T²)).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols.metrics.intervals import t_quantile
from protocols.metrics.patient_values import PatientValues
from protocols.seeds import generator

Float = NDArray[np.float64]
LEVEL = 0.05
"""Family-wise: the chance that any two equal models of a board are told apart."""
POWER = 0.8
ALL_UP_TO = 14
"""Patients up to whom every flip is taken."""
FLIPS = 10_000
TELLING = 6
"""Fewest patients that can tell any two models apart at :data:`LEVEL`: 1 / 2⁵ is below it, 1 / 2⁴ is not."""
LEAST_IN_FOLD = 10
"""Patients of a fold below which pseudo-values are no fair coin: of 17 equal models of survival in folds of six, two
come out apart in 12 of 100 runs; in folds of twelve in 4."""
SAME = 1e-9
"""Studentised differences this near are equal."""
_AT_ONCE = 2**22  # numbers of one block of flips


@dataclass(frozen=True)
class Pair:
    """``a`` minus ``b`` over the ``n`` patients that both have: the difference, its standard error, the standardised
    effect (mean over standard deviation of patients' differences; None without spread), and the adjusted p."""

    a: str
    b: str
    difference: float
    error: float
    effect: float | None
    n: int
    p: float

    @property
    def apart(self) -> bool:
        return self.p <= LEVEL


@dataclass(frozen=True)
class Pairs:
    """Every pair of a board. ``critical``: the studentised difference that a pair needs if all models were equal;
    ``telling``: whether the patients of every model are enough to tell any two apart."""

    pairs: tuple[Pair, ...]
    critical: float
    telling: bool = True

    def of(self, a: str, b: str) -> Pair:
        """``a`` minus ``b``, whichever way it is kept."""
        for one in self.pairs:
            if (one.a, one.b) == (a, b):
                return one
            if (one.a, one.b) == (b, a):
                turned = None if one.effect is None else -one.effect
                return Pair(a, b, -one.difference, one.error, turned, one.n, one.p)
        raise KeyError((a, b))

    def detectable(self, a: str, b: str) -> float | None:
        """The true difference that these patients would show with 80 % power, among all of the board's pairs.

        (critical t + t at 80 %) standard errors; None where no difference of any size could be shown.
        """
        pair = self.of(a, b)
        room = pair.n - self.critical**2
        if not self.telling or pair.n < TELLING or room <= SAME or not np.isfinite(pair.error):
            return None
        needed = self.critical * np.sqrt((pair.n - 1) / room)
        return float((needed + t_quantile(2 * POWER - 1, pair.n - 1)) * pair.error)


def compare_all(models: Mapping[str, PatientValues], seed: int, noise: Mapping[str, float] | None = None) -> Pairs:
    """All pairs of ``models``, in order of their names.

    ``noise``: a further variance of a model's headline that patients do not show, as that of training seeds; it makes
    a pair's observed studentised difference smaller and leaves its null as it is.
    """
    names = sorted(models)
    listed = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    if not listed:
        return Pairs((), np.inf)
    patients = sorted({one for values in models.values() for one in values.patient})
    contributions = np.stack([_contributions(models[a], models[b], patients) for a, b in listed], axis=1)
    length = np.sqrt((contributions**2).sum(axis=0))
    total = contributions.sum(axis=0)
    added = np.array([sum((noise or {}).get(name, 0.0) for name in pair) for pair in listed])
    common = [len(set(models[a].patient) & set(models[b].patient)) for a, b in listed]
    real = length > SAME * np.abs(contributions).max(initial=0.0)
    unit = np.where(real, contributions, 0.0) / np.where(real, length, 1.0)
    variance = _variance(contributions, np.array(common))
    shrink = np.sqrt(np.divide(variance, variance + added, out=np.ones_like(variance), where=variance + added > 0))
    observed = np.where(real, np.abs(total) / np.where(real, length, 1.0), 0.0) * shrink
    p, critical = _adjusted(unit, observed, seed)
    p = np.where([_fair(models[a]) and _fair(models[b]) for a, b in listed], p, 1.0)
    found = []
    for place, (a, b) in enumerate(listed):
        n, error = common[place], float(np.sqrt(variance[place] + added[place]))
        spread = np.sqrt(variance[place] * n)
        effect = float(total[place] / spread) if spread > 0 else None
        found.append(Pair(a, b, float(total[place]), error, effect, n, float(p[place])))
    return Pairs(tuple(found), critical, all(telling(values) for values in models.values()))


def telling(values: PatientValues) -> bool:
    """Whether these patients are enough to tell a model from any other."""
    return len(values) >= TELLING and _fair(values)


def _fair(values: PatientValues) -> bool:
    sizes = values.sizes()
    return len(sizes) <= 1 or min(sizes.values()) >= LEAST_IN_FOLD


def _contributions(a: PatientValues, b: PatientValues, patients: list[str]) -> Float:
    """``weight · (a - b)`` of each of ``patients``, 0 where one of the two has none; they add up to the difference."""
    of_a, of_b = dict(zip(a.patient, a.value.tolist(), strict=True)), dict(zip(b.patient, b.value, strict=True))
    weights = dict(zip(a.patient, a.weight.tolist(), strict=True))
    shared = of_a.keys() & of_b.keys()
    whole = sum(weights[one] for one in sorted(shared)) or 1.0
    return np.array(
        [weights[one] / whole * (of_a[one] - float(of_b[one])) if one in shared else 0.0 for one in patients]
    )


def _variance(contributions: Float, numbers: NDArray[np.int64]) -> Float:
    """Of the sums: n/(n-1) Σ (c - mean)² over the ``numbers`` of patients that both have."""
    n = np.maximum(numbers, 1)
    centred = (contributions**2).sum(axis=0) - contributions.sum(axis=0) ** 2 / n
    found: Float = np.maximum(centred, 0.0) * n / np.maximum(n - 1, 1)
    return found


def _adjusted(unit: Float, observed: Float, seed: int) -> tuple[Float, float]:
    """Step-down adjusted p of each pair, and the 95 % point of the largest studentised difference under the null."""
    order = np.argsort(observed, kind="stable")  # the null of the j-th largest is the maximum of it and all smaller
    ranked, needed = np.ascontiguousarray(unit[:, order]), observed[order] - SAME
    reached, flips, largest = np.zeros(len(order), dtype=np.int64), 0, []
    for signs in _flips(len(unit), seed):
        null = np.maximum.accumulate(np.abs(signs @ ranked), axis=1)
        reached += (null >= needed).sum(axis=0)
        largest.append(null[:, -1])
        flips += len(signs)
    p = np.empty(len(order))
    p[order] = np.maximum.accumulate((reached / flips)[::-1])[::-1]
    # Identity is one of the flips, so p is never 0 and "as large or larger" counts the observed one.
    tops = np.sort(np.concatenate(largest))
    return p, float(tops[min(int(np.ceil((1 - LEVEL) * len(tops))), len(tops) - 1)])


def _flips(n: int, seed: int) -> Iterator[Float]:
    """Blocks of sign vectors ``(b, n)``; the first is the identity, and no two of all flips are opposites."""
    if n <= ALL_UP_TO:
        number = np.arange(2 ** max(n - 1, 0))[:, None]
        yield np.asarray(1.0 - 2.0 * ((number >> np.arange(n)) & 1), dtype=np.float64)
        return
    rng = generator(seed, "sign flips", n)
    yield np.ones((1, n))
    step = max(1, _AT_ONCE // n)
    for start in range(0, FLIPS - 1, step):
        yield np.asarray(1.0 - 2.0 * rng.integers(2, size=(min(step, FLIPS - 1 - start), n)), dtype=np.float64)
