"""Copies of an image among images of other owners: re-encoded, re-stained, turned, mirrored, shifted, rescaled.

An image is recognised by its key points (SIFT: Lowe, International Journal of Computer Vision 60, 2004, by OpenCV) on
its green channel, where haematoxylin, eosin and DAB all show, at one working size. A descriptor is normalised by
its own length, so brightness and contrast do not matter; it turns with the image; a mirrored image's is the same
numbers in another order. Points on bare glass, and on grey or black print (fiducial frames, scale bars), are left out:
they are alike on every slide of a kind.

Copies are looked for among all images at once by an inverted file (Sivic and Zisserman, ICCV 2003): every descriptor
falls into the cell of its nearest centre, and only descriptors of a cell are compared, exactly. Pairs of images with
several like points are then verified: their points must agree on one similarity transform of moderate scale
(Fischler and Bolles 1981, OpenCV's RANSAC). Whole numbers make the comparison exact, so nothing hangs on threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from protocols.contract import CropArray, FloatArray, RowArray
from protocols.errors import UserError
from protocols.files import written_whole

SMALL, LARGE = 96, 320
POINTS = 200
ENOUGH = 16
DIMENSIONS = 128
BORDER = 2
STAIN_OD = 0.04
ALIKE = 225
PROBES, NEIGHBOURS, CELL_SIZE, BLOCK = 2, 8, 160, 4096
AGREE, SHARE = 8, 0.5
TOLERANCE = 0.012
SCALES = (0.75, 1.34)

Points = NDArray[np.float32]
Descriptors = NDArray[np.uint8]

MIRRORED = np.arange(DIMENSIONS).reshape(4, 4, 8)[::-1, :, -np.arange(8) % 8].ravel()


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """What an image is recognised by; may hold no point (nothing to be recognised by: glass, flat colour)."""

    points: Points
    descriptors: Descriptors

    @property
    def recognisable(self) -> bool:
        return len(self.points) >= ENOUGH


@dataclass(frozen=True, order=True)
class LookAlike:
    first: int
    second: int
    matched: int


@contextmanager
def one_thread() -> Iterator[None]:
    import cv2

    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


def working(image: CropArray):
    import cv2

    long = max(image.shape[:2])
    side = min(max(long, SMALL), LARGE)
    if long == side:
        return image, 1.0
    size = tuple(max(1, round(n * side / long)) for n in image.shape[1::-1])
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if side < long else cv2.INTER_CUBIC), long / side


def stained(image: CropArray):
    import cv2

    white = np.percentile(image.reshape(-1, 3), 99.5, axis=0)
    od = -np.log10((image.astype(np.float32) + 1) / (white.astype(np.float32) + 1))
    od = cv2.GaussianBlur(od, (0, 0), 3)
    return od.max(2) - od.min(2)


def fingerprint(image: CropArray) -> Fingerprint:
    import cv2

    with one_thread():
        small, scale = working(np.ascontiguousarray(image))
        green = np.ascontiguousarray(small[:, :, 1])
        sift = cv2.SIFT_create(0, 3, 0.02, 10.0, 1.6)
        found = sift.detect(green, None)
        chroma = stained(small)
        keep = [p for p in found if chroma[int(p.pt[1]), int(p.pt[0])] >= STAIN_OD]
        keep.sort(key=lambda p: (-p.response, p.pt, p.angle))
        keep, descriptors = sift.compute(green, keep[:POINTS])
    if not keep:
        return Fingerprint(np.zeros((0, 2), np.float32), np.zeros((0, DIMENSIONS), np.uint8))
    xy = np.array([p.pt for p in keep], np.float32)
    return Fingerprint(((xy + 0.5) * scale - 0.5).astype(np.float32), descriptors.astype(np.uint8))


def find_look_alikes(prints, owner):
    prints = list(prints)
    owner = np.unique(np.asarray(owner), return_inverse=True)[1]
    image = np.repeat(np.arange(len(prints)), [len(p.points) if p.recognisable else 0 for p in prints])
    if not len(image):
        return []
    used = [p for p in prints if p.recognisable]
    D = np.concatenate([p.descriptors for p in used])
    XY = np.concatenate([p.points for p in used]).astype(np.float64)
    matches = like_points(D, image, owner[image])
    best = {}
    for key, a, b, mirror in matches:
        n = agreeing(XY[a] * ([-1, 1] if mirror else [1, 1]), XY[b])
        if n >= AGREE:
            best[key] = max(best.get(key, 0), n)
    return [LookAlike(*key, n) for key, n in sorted(best.items())]


def like_points(D, image, owner):
    M = len(D)
    cells = max(1, M // CELL_SIZE)
    centres = D[np.linspace(0, M - 1, cells).round().astype(int)].astype(np.float32)
    norm = (D.astype(np.float32) ** 2).sum(1)
    cn = (centres**2).sum(1)

    def assign(E, k):
        out = np.empty((len(E), k), np.int32)
        for s in range(0, len(E), BLOCK):
            near = 2 * E[s : s + BLOCK].astype(np.float32) @ centres.T - cn
            out[s : s + BLOCK] = np.argmax(near, 1)[:, None] if k == 1 else np.argpartition(-near, k - 1, 1)[:, :k]
        return out

    home = assign(D, 1)[:, 0]
    order = np.argsort(home, kind="stable")
    starts = np.searchsorted(home[order], np.arange(cells + 1))
    Q, B, W = [], [], []
    k = min(PROBES, cells)
    for mirror in (False, True):
        E = D[:, MIRRORED] if mirror else D
        probe = assign(E, k)
        flat = np.argsort(probe.ravel(), kind="stable")
        ps = np.searchsorted(probe.ravel()[flat], np.arange(cells + 1))
        for c in range(cells):
            db = order[starts[c] : starts[c + 1]]
            if not len(db):
                continue
            q = flat[ps[c] : ps[c + 1]] // k
            dist = norm[q][:, None] + norm[db] - 2 * (E[q].astype(np.float32) @ D[db].astype(np.float32).T)
            dist[(owner[q][:, None] == owner[db]) | (image[q][:, None] >= image[db])] = np.inf
            i, j = np.nonzero(dist < ALIKE**2)
            Q.append(q[i])
            B.append(db[j])
            W.append(np.full(len(i), mirror))
    q, b, w = map(np.concatenate, (Q, B, W))
    key = (image[q].astype(np.int64) * (image.max() + 1) + image[b]) * 2 + w
    o = np.argsort(key, kind="stable")
    key, q, b, w = key[o], q[o], b[o], w[o]
    u, s, n = np.unique(key, return_index=True, return_counts=True)
    for st, nn in zip(s[n >= AGREE], n[n >= AGREE]):
        sl = slice(st, st + nn)
        yield (int(image[q[st]]), int(image[b[st]])), q[sl], b[sl], bool(w[st])


def agreeing(a, b):
    import cv2

    tol = TOLERANCE * max(np.ptp(a, axis=0).max(), np.ptp(b, axis=0).max())
    cv2.setRNGSeed(0)
    m, inl = cv2.estimateAffinePartial2D(a, b, method=cv2.RANSAC, ransacReprojThreshold=tol, maxIters=1000)
    if m is None:
        return 0
    s = np.hypot(m[0, 0], m[1, 0])
    if not SCALES[0] <= s <= SCALES[1]:
        return 0
    i = inl.ravel().astype(bool)
    grid = lambda x: len(np.unique(np.round(x / (2 * tol)), axis=0))
    return min(grid(a[i]), grid(b[i]))


def write_fingerprints(path: Path, prints: Sequence[Fingerprint]) -> None:
    sizes = np.array([len(p.points) for p in prints], np.int64)
    points = np.concatenate([np.zeros((0, 2), np.float32), *(p.points for p in prints)])
    descriptors = np.concatenate([np.zeros((0, DIMENSIONS), np.uint8), *(p.descriptors for p in prints)])
    with written_whole(path) as part, part.open("wb") as file:
        np.savez(file, sizes=sizes, points=points, descriptors=descriptors)


def read_fingerprints(path: Path) -> list[Fingerprint]:
    with np.load(path, allow_pickle=False) as file:
        ends = np.cumsum(file["sizes"])[:-1]
        points, descriptors = np.split(file["points"], ends), np.split(file["descriptors"], ends)
        return [Fingerprint(*both) for both in zip(points, descriptors, strict=True)] if len(file["sizes"]) else []
