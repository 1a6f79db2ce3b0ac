"""Tiny trees in IHC4BC's layout: 64 px patches cut with half overlap from one made-up field a subregion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from protocols.contract import CropArray
from protocols.readers.ihc4bc import read_ihc4bc
from protocols.staining.cohort import IhcCohort
from protocols.staining.store import IhcStore, write_ihc_store

SIDE = 64
FOLDER_OF = {"ER": "ER", "PR": "PR", "Ki67": "Ki67", "HER2": "Her2"}


@dataclass(frozen=True)
class Tree:
    """What to write: cases, markers, and each subregion's grid of patches."""

    cases: Sequence[str] = ("1001", "1002", "1003")
    markers: Sequence[str] = ("ER", "PR")
    grid: tuple[int, int] = (2, 2)
    side: int = SIDE
    suffix: str = ".png"


def field_of(seed: object, height: int, width: int) -> CropArray:
    """A tissue-like field: dark nuclei on pink, sharp enough for the focus rule."""
    rng = np.random.default_rng([*str(seed).encode()])
    coarse = rng.integers(60, 200, (height // 4 + 1, width // 4 + 1, 3), dtype=np.uint8)
    return np.ascontiguousarray(coarse.repeat(4, axis=0).repeat(4, axis=1)[:height, :width])


def image_path(root: Path, side: str, marker: str, name: str, suffix: str = ".png") -> Path:
    prefix, case, region, _, _ = name.split("_")
    return (
        root
        / "Images"
        / side
        / FOLDER_OF[marker]
        / f"Patient_{prefix}_{case}"
        / f"Subregion_{region}"
        / (name + suffix)
    )


def save(path: Path, pixels: CropArray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=95)  # PNG takes no notice of it


def write_tree(root: Path, tree: Tree | None = None) -> list[str]:
    """Images and labels; returns the patches' names in order."""
    tree = tree or Tree()
    names = []
    half = tree.side // 2
    for marker in tree.markers:
        rows = []
        for case in tree.cases:
            shape = (half * (tree.grid[0] + 1), half * (tree.grid[1] + 1))
            fields = {side: field_of(f"{side}{marker}{case}", *shape) for side in ("HandE", "IHC")}
            for row, column in np.ndindex(*tree.grid):
                name = f"7_{case}_0_{row}_{column}"
                names.append(name)
                for side, field in fields.items():
                    cut = field[half * row : half * row + tree.side, half * column : half * column + tree.side]
                    save(image_path(root, side, marker, name, tree.suffix), cut)
                rows.append(f"{name}.png,a,4,0.05,{0.1 * (row + 1):.1f},0.5")
        labels(root, marker, rows)
    return list(dict.fromkeys(names))


def labels(root: Path, marker: str, rows: Sequence[str]) -> Path:
    path = root / "Labels" / f"{FOLDER_OF[marker]}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{row}\n" for row in rows))
    return path


def read(root: Path, **options: object) -> IhcCohort:
    return read_ihc4bc("tiny", root, **options)  # type: ignore[arg-type]


def stored(root: Path, tree: Tree | None = None, *, tile_px: int = 32, source_px: int | None = None) -> IhcStore:
    tree = tree or Tree()
    write_tree(root / "tree", tree)
    cohort = read(root / "tree", markers=tree.markers)
    return write_ihc_store(root / "store", cohort, tile_px=tile_px, source_px=source_px, phantom=True)
