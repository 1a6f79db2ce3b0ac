"""Seeds are passed and derived by name, never drawn from a global generator."""

from __future__ import annotations

import hashlib

import numpy as np


def derive_seed(seed: int, *names: object) -> int:
    """A 63-bit seed for one named use; the same on every machine and Python."""
    text = "\x1f".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def generator(seed: int, *names: object) -> np.random.Generator:
    """A NumPy generator for one named use."""
    return np.random.default_rng(derive_seed(seed, *names))
