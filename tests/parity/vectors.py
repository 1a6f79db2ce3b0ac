"""Stored parity vectors: what the upstream code of a system gives for weights and inputs of the formula.

    vectors = read("encoder_uni")
    state = vectors.state()                        # every upstream key, filled
    vectors.check(ours, "features, weights by the rule")

`check` compares one tensor with one stored entry, notes the difference for the table (`tests/parity/table.py`), and
fails the test if it is over the file's tolerance. Differences are relative: the largest absolute difference within
a tensor over the largest absolute expected value that the file holds.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.parity.formula import Rule, a, fill_by_formula, fill_tensor, image
from tests.parity.table import note

__all__ = ["Vectors", "a", "difference", "expand", "fill_by_formula", "fill_tensor", "image", "read"]

FOLDER = Path(__file__).parent / "vectors"


@dataclass(frozen=True)
class Vectors:
    """One file of stored numbers."""

    name: str
    content: Mapping[str, Any]

    @property
    def system(self) -> str:
        return str(self.content["system"])

    def shapes(self, *where: str) -> dict[str, tuple[int, ...]]:
        """Upstream keys and shapes; `where` names another list under `weights` than `keys`."""
        found = self.content["weights"]
        for part in where or ("keys",):
            found = found[part]
        return expand(found)

    def state(self, rule: Rule = "rule", *where: str) -> dict[str, torch.Tensor]:
        """An upstream state dict, float32, filled by the formula: what a checkpoint of the release would hold."""
        state = {key: torch.empty(shape) for key, shape in self.shapes(*where).items()}
        fill_by_formula(state, rule)
        return state

    def tolerance(self, kind: str = "relative") -> float:
        return float(self.content["tolerance"][kind])

    def expected(self, *path: str | int) -> Any:
        """The stored entry under `expected`, by its keys from the outermost in."""
        found = self.content["expected"]
        for part in path:
            found = found[part]
        return found

    def check(self, got: Any, *path: str | int, tolerance: float | None = None, kind: str = "relative") -> float:
        """The difference of `got` from the entry at `path`, noted for the table; AssertionError over the tolerance.

        `kind` names the tolerance of the file that holds here (`gradients`); `tolerance` puts a number in its place
        where a file states one in words only.
        """
        return self.compare(got, self.expected(*path), " / ".join(map(str, path)), tolerance=tolerance, kind=kind)

    def compare(
        self, got: Any, expected: Any, what: str, *, tolerance: float | None = None, kind: str = "relative"
    ) -> float:
        """As `check`, for an expected value that is put together by the test from several entries."""
        allowed = self.tolerance(kind) if tolerance is None else tolerance
        found = difference(got, expected, absolute=kind == "absolute")
        note(self.name, self.system, what, found, allowed)
        assert found <= allowed, f"{self.system}, {what}: off by {found:.3g}, allowed {allowed:g}"
        return found


def read(name: str) -> Vectors:
    return Vectors(name, json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8")))


def expand(entries: Sequence[Sequence[Any]]) -> dict[str, tuple[int, ...]]:
    """A list of keys with its folds undone: `["blocks.#.bias", [3], "0-1,4"]` stands for blocks 0, 1 and 4."""
    result: dict[str, tuple[int, ...]] = {}
    for key, shape, *numbers in entries:
        for number in _numbers(numbers[0]) if numbers else [None]:
            result[key if number is None else key.replace("#", str(number), 1)] = tuple(shape)
    return result


def _numbers(text: str) -> list[int]:
    result: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        result.extend(range(int(first), int(last or first) + 1))
    return result


def difference(got: Any, expected: Any, *, absolute: bool = False) -> float:
    """How far a tensor is from a stored entry: largest difference over the largest expected value (or `absolute`).

    An entry is a number, a (nested) list, or a dictionary of shape, values in full or at flat indices, norm and sum.
    Norm and sum are held against what the largest difference could make of them, so that one figure serves all:
    norm by sqrt(n) and sum by n. A shape that differs is infinitely far.
    """
    ours = _array(got)
    if not isinstance(expected, Mapping):
        theirs = _array(expected)
        return _far(ours, theirs, absolute) if ours.shape == theirs.shape else math.inf
    if "shape" in expected and tuple(expected["shape"]) != ours.shape:
        return math.inf
    theirs = _array(expected["values"])
    flat = ours.ravel()
    picked = flat[expected["at_flat_index"]] if "at_flat_index" in expected else flat
    if picked.size != theirs.size:
        return math.inf
    found = [_far(picked, theirs.ravel(), absolute)]
    scale = 1.0 if absolute else float(np.abs(theirs).max()) or 1.0
    if "l2" in expected:
        found.append(abs(float(np.linalg.norm(flat)) - expected["l2"]) / scale / math.sqrt(flat.size))
    if "sum" in expected:
        found.append(abs(float(flat.sum()) - expected["sum"]) / scale / flat.size)
    return max(found)


def _array(value: Any) -> np.ndarray:
    if isinstance(value, torch.Tensor):
        value = value.detach().to("cpu", torch.float64).numpy()
    return np.asarray(value, dtype=np.float64)


def _far(ours: np.ndarray, theirs: np.ndarray, absolute: bool) -> float:
    """The largest difference; not-a-number where it is not expected, or missing where it is, is infinitely far."""
    if not np.array_equal(np.isnan(ours), np.isnan(theirs)):
        return math.inf
    there = ~np.isnan(theirs)
    if not there.any():
        return 0.0
    scale = 1.0 if absolute else float(np.abs(theirs[there]).max()) or 1.0
    return float(np.abs(ours[there] - theirs[there]).max()) / scale
