"""The formula by which parity vectors make weights and inputs: numbers in [-1, 1) from a name, the same everywhere.

With it neither trained weights nor upstream code are needed to hold a network against its release. The numbers of
one tensor are made in pieces that fit a processor's cache, in 32-bit integers that wrap by themselves, so that the
300 million parameters of a large transformer take seconds.
"""

import math
import zlib
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
import torch

Rule = Literal["rule", "alternative"]
Filler = Callable[[str, int, int], np.ndarray]
CHUNK = 1 << 16


def numbers(name: str, start: int, stop: int) -> np.ndarray:
    """a(name, i) for i = start .. stop-1, float64."""
    h = np.arange(start, stop, dtype=np.uint32)
    h *= np.uint32(2654435761)
    h += np.uint32(zlib.crc32(name.encode()))
    h ^= h >> np.uint32(16)
    h *= np.uint32(2246822519)
    h ^= h >> np.uint32(13)
    h *= np.uint32(3266489917)
    h ^= h >> np.uint32(16)
    result: np.ndarray = h.astype(np.float64)
    result *= 1 / 2**31
    result -= 1
    return result


def sines(name: str, start: int, stop: int) -> np.ndarray:
    """The alternative numbers, sin(0.37 i + crc32(name) mod 1000), float64: smoother than those of `numbers`."""
    result: np.ndarray = np.sin(0.37 * np.arange(start, stop) + zlib.crc32(name.encode()) % 1000)
    return result


def a(name: str, shape: int | tuple[int, ...], dtype: type[np.floating] = np.float32) -> np.ndarray:
    """The input of this name and shape, row-major order; float32 unless asked otherwise."""
    size = (shape,) if isinstance(shape, int) else shape
    result = np.empty(math.prod(size), dtype=dtype)
    for start in range(0, len(result), CHUNK):
        stop = min(start + CHUNK, len(result))
        result[start:stop] = numbers(name, start, stop)
    return result.reshape(size)


def image(rows: int, columns: int) -> np.ndarray:
    """The image of the parity vectors, uint8 (rows, columns, 3): (7 i + 11 j + 53 c + (i j) mod 97) mod 256."""
    i, j, c = np.ogrid[:rows, :columns, :3]
    made: np.ndarray = ((7 * i + 11 * j + 53 * c + (i * j) % 97) % 256).astype(np.uint8)
    return made


def fill_tensor(key: str, tensor: torch.Tensor, rule: Rule = "rule") -> None:
    """One floating-point tensor of a state, in place, by its upstream key and its shape."""
    if not kept(key, tensor):
        flat = np.empty(tensor.numel(), dtype=np.float32)
        filler: Filler = numbers if rule == "rule" else sines
        for start in range(0, len(flat), CHUNK):
            stop = min(start + CHUNK, len(flat))
            flat[start:stop] = scaled(key, tuple(tensor.shape), filler(key, start, stop), rule)
        with torch.no_grad():
            tensor.copy_(torch.from_numpy(flat).view(tensor.shape))


def scaled(key: str, shape: tuple[int, ...], drawn: np.ndarray, rule: Rule) -> np.ndarray:
    """What the drawn numbers become in a tensor of this key and shape: weights as large as a network's own start."""
    if rule == "rule" and len(shape) == 3 and shape[0] == 1:
        size: float = 0.5
    elif len(shape) >= 2:
        size = math.sqrt((6 if rule == "rule" else 2) / math.prod(shape[1:]))
    elif key.endswith("running_var"):
        return np.asarray(1 + 0.2 * drawn * drawn)
    elif key.endswith(("weight", "gamma")):
        return np.asarray(1 + 0.1 * drawn)
    else:
        size = 0.1
    return np.asarray(drawn * size)


def kept(key: str, tensor: torch.Tensor) -> bool:
    """Whether a tensor keeps what it was built with: no axes, whole numbers, attention masks."""
    return tensor.ndim == 0 or not tensor.is_floating_point() or "attn_mask" in key


def fill_by_formula(state: Mapping[str, torch.Tensor], rule: Rule = "rule") -> None:
    """A whole state, in place, by its UPSTREAM keys: `fill_by_formula(network.state_dict())` where ours are theirs."""
    for key, tensor in state.items():
        fill_tensor(key, tensor, rule)
