"""Cells of CyCIF, CODEX, Orion and mIF as tables (MCMICRO, scimap, QuPath, or columns that are named), and the H&E."""

from __future__ import annotations

from protocols.expression.proteins import ProteinReader
from protocols.task import Part

READER = ProteinReader(
    name="cell_table",
    task="expression",
    read=Part("protocols.readers.cells_on_image:read_table"),
    columns=("table", "image"),
    option_columns=(
        "id_column",
        "x_column",
        "y_column",
        "xy_unit",
        "markers",
        "cell_type_column",
        "unit",
        "mpp",
        "max_outside",
    ),
)
