"""A reader: a CSV with slide, patient, image and fraction; images are PNG files beside it."""

from pathlib import Path

import pandas as pd

from protocols.errors import UserError
from protocols.task import Part, Reader

READER = Reader(
    "slide_table", "cell_fraction", Part("cell_fraction.slide_table:read"), options=("table",),
    data_files=Part("cell_fraction.slide_table:images"),
)  # fmt: skip
COLUMNS = ("slide", "patient", "image", "fraction")


def read(root: Path, table: Path) -> pd.DataFrame:
    found = pd.read_csv(root / table, dtype={"slide": str, "patient": str, "image": str})
    if tuple(found.columns) != COLUMNS:
        raise UserError(
            f"columns {', '.join(found)}", where=root / table, expected=", ".join(COLUMNS), remedy="rename them"
        )
    return found


def images(root: Path, table: Path) -> list[Path]:
    return [root / image for image in read(root, table)["image"]]
